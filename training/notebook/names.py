"""What records are called: by where they lie, as short as tells one from another."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.runs import finished_runs


def name_records(records: Sequence[dict[str, Any]]) -> None:
    """Gives each record its name as `path`, out of its `place`; to an evaluation in `scored` the name of its run.

    `scored` is None where the run is not among the records, or where nothing tells which of several it is.
    """
    alike = defaultdict(list)
    for record in records:
        alike[record["kind"]].append(record)
    for kind in alike.values():
        for record, name in zip(kind, shortest([record["place"] for record in kind]), strict=True):
            record["path"] = name
    for evaluation in alike["evaluation"]:
        evaluation["scored"] = _scored(evaluation, alike["run"])
        if "run" in evaluation:  # a watched one: its file has its id for a name
            evaluation["path"] = evaluation["scored"] or evaluation["run"]


def shortest(places: Sequence[Path]) -> list[str]:
    """The last part of each path, with those before it where others end alike; what differs stays so with - for /."""
    parts = [place.relative_to(place.anchor).parts for place in places]
    lengths = [1] * len(places)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        there = Counter(file_name(name) for name in names)
        longer = [
            length + (there[file_name(name)] > 1 and length < len(part))
            for name, part, length in zip(names, parts, lengths, strict=True)
        ]
        if longer == lengths:
            return names
        lengths = longer


def file_name(name: str) -> str:
    """A record's name where it is part of a file's."""
    return name.replace("/", "-")


def _scored(evaluation: dict[str, Any], runs: Sequence[dict[str, Any]]) -> str | None:
    called = evaluation.get("run", evaluation["model"])
    found = [run for run in runs if run["folder"].name == called]
    if len(found) > 1:
        found = [run for run in found if evaluation.get("digest") in {made.digest() for made in finished_runs(run["folder"])}]
    return found[0]["path"] if len(found) == 1 else None
