"""A data file as it is: the rows that can be used, and every row that cannot."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.errors import NotFound
from evaluation.digest import file_digest
from evaluation.rows import SPLITS, Row, find_split, read_rows
from evaluation.sources import SUFFIXES, RowRefused

# Wraps what is gone through, and says what for: a progress bar on a terminal, nothing elsewhere.
Track = Callable[[Iterable[Any], str], Iterable[Any]]


def untracked(items: Iterable[Any], _: str) -> Iterable[Any]:
    """No progress shown."""
    return items


@dataclass(frozen=True)
class Flaw:
    """One row that is not as it should be. `kind` is "malformed", "empty" or "overlong"."""

    line: int | None
    kind: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """As the report holds it."""
        return {"line": self.line, "kind": self.kind, "message": self.message}


@dataclass
class DataFile:
    """One file: a split, or a whole set. `flaws` are in the order of their lines."""

    name: str
    path: Path
    rows: list[Row] = field(repr=False)
    flaws: list[Flaw] = field(repr=False)

    @property
    def about(self) -> dict[str, Any]:
        """What there is to say of the file itself."""
        return {
            "file": self.path.name,
            "format": SUFFIXES[self.path.suffix.lower()],
            "bytes": self.path.stat().st_size,
            "digest": file_digest(self.path),
        }


def find_files(given: Sequence[Path]) -> list[tuple[str, Path]]:
    """Names and files: the splits of a folder, or each file under its own name.

    Raises NotFound for a folder without splits; a file that is not there is found out when it is read.
    """
    found: list[tuple[str, Path]] = []
    for path in given:
        if not path.is_dir():
            found.append((path.stem, path))
            continue
        there = {p.stem for p in path.iterdir() if p.suffix.lower() in SUFFIXES}
        splits = [(split, find_split(path, split)) for split in SPLITS if split in there]
        if not splits:
            listed = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
            raise NotFound(f"{path} has no train, valid or test file; found {listed}. Give the file itself.", param="data")
        found += splits
    names = [name for name, _ in found]
    return [(name if names.count(name) == 1 else str(path), path) for name, path in found]


def read_file(name: str, path: Path, track: Track = untracked) -> DataFile:
    """Reads a file to its end, whatever is wrong in between.

    Raises BadInput where the file as a whole cannot be read, NotFound when there is none.
    """
    rows: list[Row] = []
    flaws: list[Flaw] = []
    for row in track(read_rows(path), f"{name}: rows"):
        if isinstance(row, RowRefused):
            flaws.append(Flaw(row.line, row.code, str(row)))
        else:
            rows.append(row)
    return DataFile(name, path, rows, flaws)
