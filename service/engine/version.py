"""A version as the engine needs it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EngineVersion:
    """Weights at `path`, known to the engine under a name and an id that no other content ever had."""

    name: str
    engine_id: int
    path: Path
