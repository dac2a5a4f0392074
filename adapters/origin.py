"""Whose adapter: whether an upload belongs to the base that is served, and whether its template does."""

import re
from pathlib import Path
from typing import Any

from adapters.archive import CONFIG, RUN
from adapters.base import Base, template_file, template_hash
from adapters.config import AdapterConfig
from adapters.errors import Problem, shown
from adapters.probes import Probes

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_WAY_OUT = "send accept_base=true if you know that it was trained on these weights"


def check_run(run: dict[str, Any]) -> list[Problem]:
    """What is wrong with a run record that came along: what it says of its base has to be readable."""
    recorded = run.get("base")
    if recorded is None:
        return []
    if not isinstance(recorded, dict):
        return [Problem("bad_run", f"base is {shown(recorded)}; give an object", RUN)]
    return [
        Problem("bad_run", f"base.{key} is {shown(recorded[key])}; give sha256: and 64 hex digits, or null", RUN)
        for key in ("digest", "template_hash")
        if recorded.get(key) is not None and not (isinstance(recorded[key], str) and _DIGEST.fullmatch(recorded[key]))
    ]


def check_origin(base: Base, config: AdapterConfig | None, probes: Probes | None, run: dict[str, Any] | None) -> list[Problem]:
    """No problem when the recorded base digest is the base's or its origin's, or, where none was recorded, the name is."""
    recorded = _recorded_digest(probes, run)
    if recorded is not None:
        if recorded == base.digest or recorded in base.origins:
            return []
        return [
            Problem(
                "base_mismatch",
                f"trained on the base {recorded[:19]}…, this one is {base.digest[:19]}… ({base.id}); {_WAY_OUT}",
                CONFIG,
            )
        ]
    name = config.base_name if config else None
    if config is None or (name is not None and base.is_named(name)):
        return []
    return [
        Problem("base_mismatch", f"base_model_name_or_path is {shown(name)}, this service serves {base.id}; {_WAY_OUT}", CONFIG)
    ]


def _recorded_digest(probes: Probes | None, run: dict[str, Any] | None) -> str | None:
    recorded = (run or {}).get("base")
    found = recorded.get("digest") if isinstance(recorded, dict) else None
    found = found or (probes.base_digest if probes else None)
    return found if isinstance(found, str) else None


def check_template(folder: Path, base: Base, run: dict[str, Any]) -> tuple[str | None, Problem | None]:
    """The hash of the chat template the adapter was trained with (None if unknown), and what is wrong where it is not the base's."""
    found = template_hash(folder) or (run.get("base") or {}).get("template_hash")
    if found is None or found == base.template_hash:
        return found, None
    return found, Problem(
        "template_mismatch",
        f"its chat template ({found[:19]}) is not that of {base.id} ({(base.template_hash or 'none')[:19]}), which is the one that chat "
        "requests will use; send accept_base=true if that is as it should be",
        template_file(folder) or RUN,
    )


def learned_from_conversations(run: dict[str, Any]) -> bool:
    """Whether the run's rows were conversations, so that the template is part of what it learned."""
    data = run.get("data")
    return isinstance(data, dict) and bool(data.get("conversations"))
