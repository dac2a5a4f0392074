"""What goes on in a folder must be what was begun there: the same settings, the same data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.errors import Conflict
from training.config import TrainConfig


def require_same_config(record: Mapping[str, Any], config: TrainConfig, out: Path) -> None:
    """Raises Conflict when the run in `out`, whose record it is, was begun with other settings."""
    before = record["config"]
    changed = [
        f"{key} was {before.get(key)!r}, is {value!r}" for key, value in config.resolved().items() if before.get(key) != value
    ]
    if changed:
        raise Conflict(
            f"{out} holds a run of another config ({', '.join(changed)}); give the same, or another --out", param="out"
        )


def require_same_data(before: Mapping[str, str], now: Mapping[str, str], out: Path) -> None:
    """Raises Conflict when what `out` holds was begun with other files; both are digests by file."""
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise Conflict(
            f"{out} was begun with other data: {', '.join(changed)} changed since; give the data as it was, or another --out",
            param="out",
        )
