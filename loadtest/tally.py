"""Counting: what came of requests, by slice of time, traffic and model. Two tallies add up, so that several processes may count."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

SLICES = 60
TIMES = ("first", "gap", "answer")
COUNTS = ("requests", "failed", "wrong_adapter", "wrong_content", "changed_content", "checked_content", "tokens")
_STEP = math.log(1.02)
_SHARES = (50, 95, 99)
_NAMES = {"first": "first_token", "gap": "between_tokens", "answer": "answer"}
_MESSAGES = 40


class Cell:
    """Counts, and times in seconds by buckets of 2 %."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.times: dict[str, Counter[int]] = {name: Counter() for name in TIMES}

    def time(self, name: str, seconds: float) -> None:
        """One more."""
        self.times[name][math.floor(math.log(max(seconds, 1e-6)) / _STEP)] += 1

    def add(self, other: "Cell") -> None:
        """All of the other's."""
        self.counts += other.counts
        for name in TIMES:
            self.times[name] += other.times[name]

    def percentile(self, name: str, share: int) -> float | None:
        """Within 1 %; None where nothing was timed."""
        buckets = self.times[name]
        left = buckets.total() * share / 100
        for bucket in sorted(buckets):
            left -= buckets[bucket]
            if left <= 0:
                return round(math.exp((bucket + 0.5) * _STEP), 5)
        return None

    def figures(self, seconds: float) -> dict[str, float]:
        """By their names in a result; rates are over `seconds`, times that nothing was timed for are 0."""
        good = self.counts["requests"] - self.counts["failed"]
        found: dict[str, float] = {name: self.counts[name] for name in COUNTS}
        found["requests_per_second"] = round(good / seconds, 2)
        found["tokens_per_second"] = round(self.counts["tokens"] / seconds, 1)
        for name in TIMES:
            found |= {f"{_NAMES[name]}_p{share}": self.percentile(name, share) or 0.0 for share in _SHARES}
        return found


Key = tuple[int, str, str]


class Tally:
    """Cells by (slice, traffic, model), and what the failures said."""

    def __init__(self) -> None:
        self.cells: dict[Key, Cell] = {}
        self.messages: Counter[str] = Counter()

    def cell(self, slice_: int, traffic: str, model: str) -> Cell:
        """The one to count into."""
        return self.cells.setdefault((slice_, traffic, model), Cell())

    def say(self, message: str) -> None:
        """Keeps what a failure said; further kinds of it are only counted."""
        known = message in self.messages or len(self.messages) < _MESSAGES
        self.messages[message if known else "other failures"] += 1

    def add(self, other: "Tally") -> None:
        """All of the other's."""
        for key, cell in other.cells.items():
            self.cell(*key).add(cell)
        self.messages += other.messages

    def total(self, wanted: Callable[[Key], bool] = lambda key: True) -> Cell:
        """The sum of the cells that are wanted."""
        found = Cell()
        for key, cell in self.cells.items():
            if wanted(key):
                found.add(cell)
        return found

    def record(self) -> dict[str, Any]:
        """As JSON; see `from_record`."""
        cells = [
            [*key, dict(cell.counts), {name: dict(cell.times[name]) for name in TIMES if cell.times[name]}]
            for key, cell in self.cells.items()
        ]
        return {"cells": cells, "messages": dict(self.messages)}


def from_record(record: dict[str, Any]) -> Tally:
    """The tally whose `record` this is."""
    made = Tally()
    for slice_, traffic, model, counts, times in record["cells"]:
        cell = made.cell(slice_, traffic, model)
        cell.counts.update(counts)
        for name, buckets in times.items():
            cell.times[name].update({int(bucket): number for bucket, number in buckets.items()})
    made.messages.update(record["messages"])
    return made
