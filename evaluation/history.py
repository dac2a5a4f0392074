"""The history of evaluations: one JSON object a line, only ever added to, by one process at a time."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from adapters.errors import BadInput, Conflict
from evaluation.json_file import write_json
from evaluation.output import writing
from evaluation.scores import Counts

NAME = "evaluations.jsonl"
_ITEMS = "evaluations"


class History:
    """Lines in the file, each evaluation's items in a file of its own beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator["History"]:
        """Nobody else adds to it meanwhile. Raises Conflict when another process holds it, BadInput where it cannot be written."""
        with writing(self.path, "history"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            opened = self.path.open("a+b")
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Conflict(
                    f"another evaluation is writing {self.path}; wait for it, or give another --history", param="history"
                ) from error
            yield self

    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first. What a killed process left of a line is dropped, here and in the file.

        Raises BadInput for a line that is not JSON.
        """
        if not self.path.is_file():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        found = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                found.append(dict(json.loads(line)))
            except ValueError as error:
                raise BadInput(
                    f"{self.path}, line {number}: not an entry ({error}); mend or move the file", param="history"
                ) from error
        return found

    def add(self, entry: dict[str, Any], samples: list[dict[str, Any]], counts: dict[str, Counts]) -> None:
        """Adds an evaluation: its items first, so that an entry always has them."""
        kept = {"samples": samples, "counts": {name: found.tolist() for name, found in counts.items()}}
        write_json(self._items(entry), entry | kept, "history")
        with writing(self.path, "history"), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def counts(self, entry: dict[str, Any]) -> dict[str, Counts]:
        """An evaluation's counts of each item. Raises BadInput when its file is gone."""
        path = self._items(entry)
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{path}, the items of an evaluation in {self.path}, cannot be read: {error}", param="history"
            ) from error
        return {name: np.array(found, dtype=np.float64) for name, found in body["counts"].items()}

    def _items(self, entry: dict[str, Any]) -> Path:
        return self.path.parent / _ITEMS / f"{entry['id']}.json"
