"""The records a notebook is rendered from: found by path, read, sorted by kind."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from adapters.base import RECORD as BASE_RECORD
from adapters.errors import BadInput, NotFound
from training.notebook.names import name_records
from training.notebook.project import read_project
from training.record import RECORD as RUN_RECORD

Record = dict[str, Any]
# A folder is the record that one of these files in it holds.
_OWN = (RUN_RECORD, "sweep.json", BASE_RECORD)
_KINDS = (
    "run",
    "base",
    "evaluation",
    "history",
    "sweep",
    "compare",
    "data-check",
    "loadtest",
    "memory",
    "seeds",
    "quantization",
    "project",
)
CURVES, SEEDS, _HISTORY, _PROJECT = "curves.jsonl", "seeds.json", ".jsonl", (".yaml", ".yml")


class Records:
    """All records given, by kind, in their order; each has its name as `path`."""

    def __init__(self, found: Sequence[Record]) -> None:
        self._by_kind: dict[str, list[Record]] = defaultdict(list)
        for record in found:
            self._by_kind[record["kind"]].append(record)

    def of(self, kind: str) -> list[Record]:
        """The records of a kind."""
        return self._by_kind[kind]

    def last(self, kind: str) -> Record | None:
        """The record of a kind that was given last."""
        return self._by_kind[kind][-1] if self._by_kind[kind] else None

    @property
    def finished(self) -> list[Record]:
        """Runs that have ended."""
        return [run for run in self.of("run") if run["status"] == "finished"]


def read_records(paths: Sequence[Path]) -> Records:
    """Records by path: run, sweep and base folders, JSON results, histories, a project file; a folder that is none of
    these stands for all records under it.

    Raises:
        NotFound: nothing is there. BadInput: it is no record this program writes.
    """
    found = list(_once(record for path in paths for record in _read(path)))
    name_records(found)
    return Records(found)


def _once(records: Iterable[Record]) -> Iterator[Record]:
    """What is given twice stands once. A watched evaluation is in the history, and with its items in a file beside it."""
    seen = set()
    for record in records:
        key = record["kind"], record.get("id", record["place"])
        if key not in seen:
            yield record
        seen.add(key)


def _read(path: Path) -> list[Record]:
    if not path.exists():
        raise NotFound(f"there is no record at {path}; give a folder that patchbay train wrote, or a JSON result", param="runs")
    found = list(_under(path)) if path.is_dir() else _file(path)
    if not found:
        what = "holds no record" if path.is_dir() else "is no record"
        raise BadInput(f"{path} {what}; give run folders, bases, or results that patchbay wrote", param="runs")
    return found


def _under(folder: Path) -> Iterator[Record]:
    own = next((folder / name for name in _OWN if (folder / name).is_file()), None)
    if own is not None:
        yield from ({**record, "place": record["folder"], **_beside(folder)} for record in _file(own))
        return
    whole, has_seeds = _whole(folder), (folder / SEEDS).is_file()
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            # A seed's run is called by its number alone.
            place = {"place": whole.with_name(f"{whole.name}-{path.name}")} if has_seeds else {}
            yield from ({**record, **place} for record in _under(path))
        elif path.name == SEEDS:
            yield from ({**record, "place": record["folder"]} for record in _file(path))
        elif path.suffix in (".json", _HISTORY, *_PROJECT):
            yield from _file(path)


def _beside(folder: Path) -> Record:
    """What lies beside a run's record and belongs to it."""
    curves = folder / CURVES
    return (
        {"curves": [_json(line, curves) for line in curves.read_text(encoding="utf-8").splitlines()]} if curves.is_file() else {}
    )


def _file(path: Path) -> list[Record]:
    """The records of a file, each with its `folder` and its `place`; none where it is something else."""
    whole = _whole(path)
    return [{**record, "folder": whole.parent, "place": whole.with_suffix("")} for record in _content(path)]


def _whole(path: Path) -> Path:
    """From the root on, with the links in it as they are called."""
    return Path(os.path.abspath(path))


def _content(path: Path) -> list[Record]:
    if path.suffix in _PROJECT:
        return [read_project(path)] if _is_project(path) else []
    if path.suffix == _HISTORY:
        return _history(path)
    content = _json(path.read_text(encoding="utf-8"), path)
    if not isinstance(content, dict):
        return []
    kind = content.get("kind", "evaluation" if "scores" in content else None)
    if kind not in _KINDS:
        return []
    return [{**content, "kind": kind}]


def _history(path: Path) -> list[Record]:
    """The entries of `patchbay evaluate --watch`, and the history as a whole."""
    entries = [_json(line, path) for line in path.read_text(encoding="utf-8").splitlines()]
    if not all(isinstance(entry, dict) and entry.get("kind") == "evaluation" for entry in entries):
        return []
    return [*entries, {"kind": "history", "entries": entries}]


def _is_project(path: Path) -> bool:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {error}", param="runs") from error
    return isinstance(content, dict) and content.get("kind") == "project"


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}", param="runs") from error
