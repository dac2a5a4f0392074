"""What is measured of each base, the same for all."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """Rows to score with `metrics` (those that fit them where none are named), and how speed is taken: `turns` times
    `tokens` tokens for each of `streams` at once."""

    data: Path
    metrics: tuple[str, ...] = ()
    limit: int | None = None
    max_tokens: int = 48
    seed: int = 1
    tokens: int = 64
    streams: tuple[int, ...] = (1, 8)
    turns: int = 3
