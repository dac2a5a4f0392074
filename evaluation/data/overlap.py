"""What two splits have in common: rows that a model has seen in training before it is scored on them."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from evaluation.data.duplicates import Alike
from evaluation.data.grams import Grams
from evaluation.data.read import DataFile

NGRAM = 13
METHOD = (
    f"a row overlaps when its group holds a row of the other split; {NGRAM}-grams: rows that share a run of {NGRAM} words "
    "(Brown et al., 2020, appendix C)"
)
_SHOWN = 20


def overlaps(files: Sequence[DataFile], alike: Alike) -> list[dict[str, Any]]:
    """For each pair of splits, the rows of the later one that the earlier one holds too; the earlier is what a model trains on."""
    grams = alike.word_ids.grams(NGRAM, whole=False)
    places = _places(files)
    return [_between(files[a], files[b], places[a], places[b], alike, grams) for a, b in combinations(range(len(files)), 2)]


def _places(files: Sequence[DataFile]) -> list[slice]:
    ends = np.cumsum([len(file.rows) for file in files]).tolist()
    return [slice(end - len(file.rows), end) for file, end in zip(files, ends, strict=True)]


def _between(seen: DataFile, scored: DataFile, first: slice, second: slice, alike: Alike, grams: Grams) -> dict[str, Any]:
    found: dict[str, Any] = {"seen": seen.name, "scored": scored.name, "rows": len(scored.rows)}
    lines = np.array([row.line for row in scored.rows], dtype=np.int64)
    for name in ("exact", "question", "near"):
        labels = getattr(alike, name)
        found[name] = _figures(np.isin(labels[second], labels[first]), lines)
    found["near"]["beyond_exact"] = found["near"]["rows"] - found["exact"]["rows"]
    found["ngram"] = _shared_grams(grams, first, second, lines) | {"n": NGRAM}
    return found


def _shared_grams(grams: Grams, first: slice, second: slice, lines: Any) -> dict[str, Any]:
    begin, end = grams.starts[second.start], grams.starts[second.stop]
    known = grams.hashes[grams.starts[first.start] : grams.starts[first.stop]]
    shared = np.isin(grams.hashes[begin:end], known)
    hit = np.zeros(second.stop - second.start, dtype=bool)
    hit[grams.owner[begin:end][shared] - second.start] = True
    long_enough = np.diff(grams.starts[second.start : second.stop + 1]) > 0
    return _figures(hit, lines) | {"rows_long_enough": int(long_enough.sum())}


def _figures(hit: Any, lines: Any) -> dict[str, Any]:
    return {
        "rows": int(hit.sum()),
        "share": round(float(hit.mean()), 6) if len(hit) else 0.0,
        "lines": lines[hit][:_SHOWN].tolist(),
    }
