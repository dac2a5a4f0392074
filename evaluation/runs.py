"""Run folders as an evaluation finds them: what was trained, on which base, and the rows it ought to be scored on."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, NotFound
from evaluation.digest import file_digest
from evaluation.rows import find_split
from evaluation.sources import SUFFIXES

_RECORD = "run.json"
_PRODUCTS = ("adapter", "model")


@dataclass(frozen=True)
class Run:
    """A finished run; `product` is its adapter's folder, or the base's that full fine-tuning wrote."""

    folder: Path
    product: Path
    record: dict[str, Any]

    @property
    def is_base(self) -> bool:
        """Whether it is a base of its own."""
        return self.product.name == "model"

    @property
    def base(self) -> str:
        """The base it was trained on, as the run names it."""
        return str(self.record["config"]["base"])

    def digest(self) -> str:
        """Of its weights, whatever the folder is called."""
        found = [file_digest(path) for path in sorted(self.product.glob("*.safetensors"))]
        return found[0] if len(found) == 1 else "sha256:" + hashlib.sha256("".join(found).encode()).hexdigest()

    def test_rows(self) -> Path:
        """The test split of its own data, else the validation rows it was chosen by.

        Raises NotFound when the data is gone or has neither.
        """
        config = self.record["config"]
        data = Path(config["data"])
        if data.is_dir():
            there = {path.stem for path in data.iterdir() if path.suffix.lower() in SUFFIXES}
            split = next((name for name in ("test", "valid") if name in there), None)
            if split:
                return find_split(data, split)
        if config.get("valid") and Path(config["valid"]).is_file():
            return Path(config["valid"])
        raise NotFound(
            f"{self.folder} was trained on {data}, which has no test or valid rows here; give them with --data", param="data"
        )


def finished_runs(root: Path) -> list[Run]:
    """Every finished run under a folder, the one that ended first before the others.

    Raises NotFound where there is no such folder, BadInput for a record that is not JSON.
    """
    if not root.is_dir():
        raise NotFound(f"there is no folder {root}; give the one that holds your runs", param="watch")
    ended = []
    for path in root.rglob(_RECORD):
        product = next((path.parent / name for name in _PRODUCTS if (path.parent / name).is_dir()), None)
        if product is None:
            continue  # the copy inside an adapter's folder, or a run that has not ended
        record = _read(path)
        if record.get("kind") == "run" and record.get("status") == "finished":
            ended.append((path.stat().st_mtime_ns, str(path), Run(path.parent, product, record)))
    return [run for _, _, run in sorted(ended, key=lambda found: found[:2])]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise BadInput(f"{path} cannot be read as a run's record: {error}", param="watch") from error
