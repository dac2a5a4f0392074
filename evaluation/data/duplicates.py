"""Exact and near duplicates among rows, of one file or of several at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.data.grams import Indices, WordIds
from evaluation.data.near import WORDS, Components, join_near
from evaluation.data.read import Track
from evaluation.normalize import normalized
from evaluation.rows import Row

_SHOWN = 5


def question_text(row: Row) -> str | None:
    """What is asked, as one text; None for text rows."""
    asked = row.question
    return asked if asked is None or isinstance(asked, str) else "\n".join(message["content"] for message in asked)


def whole_text(row: Row) -> str:
    """All that a row says, as one text."""
    if row.text is not None:
        return row.text
    return "\n".join([question_text(row) or "", *dict.fromkeys((*row.answers, *((row.answer,) if row.answer else ())))])


@dataclass(frozen=True)
class Alike:
    """For each row, the number of its group: rows that are equal, rows that ask the same, rows that are nearly equal.

    Equal is equal after evaluation.normalize. Rows in one group of the first two are in one of the last.
    """

    exact: Indices
    question: Indices
    near: Indices
    word_ids: WordIds


def find_alike(rows: Sequence[Row], track: Track) -> Alike:
    """Groups over all rows given."""
    texts = [whole_text(row) for row in rows]
    exact, question = Components(len(rows)), Components(len(rows))
    _join_equal(exact, (normalized(text) for text in texts))
    _join_equal(question, ((q := question_text(row)) and normalized(q) for row in rows))
    word_ids = WordIds(track(texts, "words"))
    near = Components(len(rows))
    _join_equal(near, exact.labels)
    join_near(near, word_ids.grams(WORDS, whole=True), track)
    return Alike(exact.labels, question.labels, near.labels, word_ids)


def _join_equal(components: Components, keys: Iterable[Any]) -> None:
    first: dict[Any, int] = {}
    for index, key in enumerate(keys):
        if key is not None:
            components.join(first.setdefault(key, index), index)


def repeats(labels: Indices, lines: Sequence[int]) -> dict[str, Any]:
    """How many rows repeat an earlier one, in how many groups, and the lines of the largest groups."""
    groups: dict[int, list[int]] = defaultdict(list)
    for label, line in zip(labels.tolist(), lines, strict=True):
        groups[label].append(line)
    repeated = sorted((found for found in groups.values() if len(found) > 1), key=len, reverse=True)
    extra = sum(len(found) - 1 for found in repeated)
    return {
        "groups": len(repeated),
        "rows": extra,
        "share": round(extra / len(lines), 6) if lines else 0.0,
        "largest": [{"rows": len(found), "lines": found[:20]} for found in repeated[:_SHOWN]],
    }


def sizes(labels: Indices) -> Counter[int]:
    """Rows in each group."""
    return Counter(labels.tolist())
