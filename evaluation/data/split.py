"""Train, validation and test out of one file: by seed, by groups that stay whole, with every label's share kept."""

import json
import os
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, Conflict
from evaluation.data.duplicates import find_alike
from evaluation.data.labels import labels_of
from evaluation.data.near import METHOD, Components
from evaluation.data.read import Track, untracked
from evaluation.data.write import write_rows
from evaluation.digest import file_digest
from evaluation.output import require_free, writing
from evaluation.rows import Row, load_rows
from evaluation.sources import SUFFIXES

SCHEMA = 1
RECORD = "split.json"
GROUPS = {"near": METHOD, "exact": "equal rows"}


@dataclass(frozen=True)
class Asked:
    """How to split. What is not for validation or test is for training."""

    valid: float = 0.1
    test: float = 0.1
    seed: int = 1
    group: str = "near"
    stratify: bool = True
    format: str | None = None

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are wanted at all, with their shares."""
        wanted = {"train": 1 - self.valid - self.test, "valid": self.valid, "test": self.test}
        return {name: round(share, 6) for name, share in wanted.items() if share > 0}


def split(file: Path, out: Path, asked: Asked, track: Track = untracked) -> dict[str, Any]:
    """Writes train, valid and test files with a record beside them, all at once, and returns the record.

    Raises:
        BadInput: the file has a row that cannot be used, a setting makes no sense, or `out` cannot be written.
        Conflict: `out` holds something, or the rows do not fall into groups enough.
    """
    format = _check(out, asked, file)
    rows = load_rows(file)
    groups = _groups(rows, asked.group, track)
    labels = labels_of(rows) if asked.stratify else None
    chosen = assign(groups, labels or [""] * len(rows), asked.shares, asked.seed)
    parts = {name: [row for row, found in zip(rows, chosen, strict=True) if found == name] for name in asked.shares}
    _require_all(parts, groups, file)
    sizes = Counter(groups)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "data-split",
        "source": {"file": file.name, "digest": file_digest(file), "rows": len(rows)},
        "settings": asdict(asked) | {"format": format},
        "kept_together": f"rows that ask the same; {GROUPS[asked.group]}",
        "stratified": labels is not None,
        "groups": len(sizes),
        "largest_group": max(sizes.values()),
    }
    with writing(out):
        return _write(out, parts, record, format, asked)


def _check(out: Path, asked: Asked, file: Path) -> str:
    if asked.group not in GROUPS:
        raise BadInput(f"--group is {asked.group!r}; give {' or '.join(GROUPS)}", param="group")
    if asked.valid + asked.test >= 1:
        raise BadInput(
            f"--valid {asked.valid:g} and --test {asked.test:g} leave nothing to train on; keep their sum below 1", param="valid"
        )
    if asked.valid + asked.test <= 0:
        raise BadInput("--valid and --test are both 0: nothing is split off", param="valid")
    format = asked.format or SUFFIXES.get(file.suffix.lower(), "jsonl")
    if format not in SUFFIXES.values():
        raise BadInput(f"--format is {format!r}; give jsonl, csv or parquet", param="format")
    require_free(out)
    return format


def _groups(rows: Sequence[Row], kept: str, track: Track) -> list[int]:
    """Each row's group: equal or nearly equal rows, and rows that ask the same, whichever joins them."""
    alike = find_alike(rows, track)
    together = Components(len(rows))
    for labels in (alike.near if kept == "near" else alike.exact, alike.question):
        first: dict[int, int] = {}
        for index, label in enumerate(labels.tolist()):
            together.join(first.setdefault(label, index), index)
    return [int(label) for label in together.labels]


def assign(groups: Sequence[int], labels: Sequence[str], shares: dict[str, float], seed: int) -> list[str]:
    """The split of each row. Groups are taken in the seed's order, large ones first, each to the split that lacks its labels most.

    What a split lacks of a label is the share of its quota that is still open; a group's need is the mean over its rows.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))
    quota = {(name, label): share * count for name, share in shares.items() for label, count in Counter(labels).items()}
    lacking = dict(quota)
    open_places = {name: share * len(groups) for name, share in shares.items()}
    chosen = [""] * len(groups)
    for group in order:
        held = Counter(labels[index] for index in members[group])

        def need(name: str, held: Counter[str] = held) -> tuple[float, float]:
            by_label = sum(count * lacking[name, label] / quota[name, label] for label, count in held.items())
            return by_label / held.total(), open_places[name]

        best = max(shares, key=need)
        for label, count in held.items():
            lacking[best, label] -= count
        open_places[best] -= held.total()
        for index in members[group]:
            chosen[index] = best
    return chosen


def _require_all(parts: dict[str, list[Row]], groups: Sequence[int], file: Path) -> None:
    empty = [name for name, rows in parts.items() if not rows]
    if empty:
        raise Conflict(
            f"{file} falls into {len(set(groups))} group(s) of rows that belong together, too few for a {empty[0]} split; "
            "give more rows, --group exact, or a share of 0 for it",
            param="group",
        )


def _write(out: Path, parts: dict[str, list[Row]], record: dict[str, Any], format: str, asked: Asked) -> dict[str, Any]:
    """The folder under another name first, so that it is there whole or not at all."""
    total = sum(len(rows) for rows in parts.values())
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as made:
        folder = Path(made) / "split"
        folder.mkdir()
        record["splits"] = {}
        for name, rows in parts.items():
            path = folder / f"{name}.{format}"
            write_rows(path, rows, format)
            record["splits"][name] = {
                "file": path.name,
                "rows": len(rows),
                "share": round(len(rows) / total, 4),
                "asked": asked.shares[name],
                "digest": file_digest(path),
            }
        (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        # An empty folder gives way to a rename, anything else does not.
        os.replace(folder, out)
    return record
