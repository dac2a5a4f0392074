"""The whole check of a data set: one report from figures that each have a file of their own."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation.data import domain, near, overlap
from evaluation.data.domain import domain_words
from evaluation.data.duplicates import Alike, find_alike, repeats
from evaluation.data.grade import grade
from evaluation.data.labels import balance
from evaluation.data.lengths import token_lengths
from evaluation.data.overlap import overlaps
from evaluation.data.read import DataFile, Track, find_files, read_file, untracked
from evaluation.normalize import SIGNATURE
from evaluation.rows import Row
from evaluation.tokens import Tokenizer

SCHEMA = 1
METHODS = {
    "exact": f"equal after the normalizer {SIGNATURE}",
    "question": "the same prompt, or the same messages before the answer",
    "near": near.METHOD,
    "overlap": overlap.METHOD,
    "domain_words": domain.METHOD,
    "tokens": "prompt, completion and end-of-text by the base's tokenizer; the longest of several references",
}


def check(
    given: Sequence[Path], load_tokenizer: Callable[[], Tokenizer], base: str, limit: int, track: Track = untracked
) -> dict[str, Any]:
    """The report of files, or of a folder's splits: the same dictionary that `--json` prints.

    Raises BadInput or NotFound where a file as a whole cannot be read; flaws of single rows are in the report.
    """
    files = [read_file(name, path, track) for name, path in find_files(given)]
    # A tokenizer takes seconds to load: only once it is known that there is something to count.
    tokenizer = load_tokenizer()
    # Lengths first: they find the rows that the chat template refuses and those that are too long.
    tokens = {file.name: token_lengths(file, tokenizer, limit, track) for file in files}
    alike = find_alike([row for file in files for row in file.rows], track)
    splits, begin = {}, 0
    for file in files:
        end = begin + len(file.rows)
        splits[file.name] = _split(file, tokens[file.name], alike, slice(begin, end))
        begin = end
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "data-check",
        "path": ", ".join(str(path) for path in given),
        "base": base,
        "splits": splits,
        "overlap": [pair | _unseen(splits, pair) for pair in overlaps(files, alike)],
        "methods": METHODS,
    }
    return report | {"grade": grade(report)}


def _split(file: DataFile, tokens: dict[str, Any], alike: Alike, place: slice) -> dict[str, Any]:
    lines = [row.line for row in file.rows]
    flaws = Counter(flaw.kind for flaw in file.flaws)
    return file.about | {
        "rows": {"total": len(file.rows) + _unread(file), "usable": len(file.rows)}
        | {kind: flaws[kind] for kind in ("malformed", "empty", "overlong")},
        "kinds": dict(Counter(_kind(row) for row in file.rows).most_common()),
        "tokens": tokens,
        "duplicates": {name: repeats(getattr(alike, name)[place], lines) for name in ("exact", "question", "near")},
        "labels": balance(file.rows),
        **domain_words(alike.word_ids.counts(place)),
        "problems": [flaw.to_json() for flaw in file.flaws],
    }


def _unread(file: DataFile) -> int:
    """Rows that are in the file and not among its rows."""
    there = {row.line for row in file.rows}
    return sum(flaw.line not in there for flaw in file.flaws)


def _kind(row: Row) -> str:
    if row.text is not None:
        return "text"
    kind = "messages" if row.messages else "prompt/completion" if row.completion is not None else "prompt"
    return f"{kind} with references" if row.references else kind


def _unseen(splits: dict[str, Any], pair: dict[str, Any]) -> dict[str, Any]:
    seen, scored = (splits[pair[side]]["labels"] for side in ("seen", "scored"))
    return {"unseen_labels": sorted(set(scored["counts"]) - set(seen["counts"])) if seen and scored else []}
