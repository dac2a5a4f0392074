"""How many tokens rows have, by the base's own tokenizer and the convention of evaluation.tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.errors import BadInput
from evaluation.data.read import DataFile, Flaw, Track
from evaluation.rows import Row
from evaluation.tokens import Tokenizer, rendered

_BINS = 30
_CHUNK = 512


def token_lengths(file: DataFile, tokenizer: Tokenizer, limit: int, track: Track) -> dict[str, Any]:
    """The distribution of lengths. Rows beyond `limit`, and those the chat template refuses, join the file's flaws."""
    kept: list[tuple[Row, _Parts]] = []
    for row in file.rows:
        try:
            kept.append((row, _parts(row, tokenizer)))
        except BadInput as refused:
            file.flaws.append(Flaw(row.line, "malformed", refused.message))
    lengths: list[int] = []
    for begin in track(range(0, len(kept), _CHUNK), f"{file.name}: tokens"):
        lengths += _lengths([parts for _, parts in kept[begin : begin + _CHUNK]], tokenizer)
    for (row, _), length in zip(kept, lengths, strict=True):
        if length > limit:
            file.flaws.append(Flaw(row.line, "overlong", f"has {length:,} tokens, {length - limit:,} more than the base takes"))
    file.flaws.sort(key=lambda flaw: flaw.line or 0)
    return _summary(np.array(lengths, dtype=np.int64), limit)


# The texts of a row, each with whether the tokenizer adds its special tokens to it.
_Parts = list[tuple[str, bool]]


def _parts(row: Row, tokenizer: Tokenizer) -> _Parts:
    if row.text is not None:
        return [(row.text, True)]
    # Where only references are given, the longest of them is what a model would have to write.
    answer = row.answer if row.answer is not None else max(row.references, key=len)
    asked = row.question
    question = (asked, True) if isinstance(asked, str) else (rendered(asked or [], tokenizer), False)
    return [question, (answer, False)]


def _lengths(rows: Sequence[_Parts], tokenizer: Tokenizer) -> list[int]:
    """Tokens of each row, its end-of-text included: the same as evaluation.tokens.encode_row gives, many at once."""
    counts = [1] * len(rows)
    for special in (True, False):
        wanted = [(index, text) for index, parts in enumerate(rows) for text, added in parts if added is special]
        if wanted:
            encoded = tokenizer([text for _, text in wanted], add_special_tokens=special)["input_ids"]
            for (index, _), ids in zip(wanted, encoded, strict=True):
                ended = len(rows[index]) == 1 and bool(ids) and ids[-1] == tokenizer.eos_token_id
                counts[index] += len(ids) - ended
    return counts


def _edges(lengths: Any) -> Any:
    """Even bins of whole tokens; growing ones where a few rows are ten times as long as most."""
    least, most = int(lengths.min()), int(lengths.max())
    if most > 10 * np.percentile(lengths, 50):
        return np.unique(np.geomspace(max(1, least), most + 1, _BINS + 1).round())
    return np.arange(least, most + 1 + (width := 1 + (most - least) // _BINS), width)


def _summary(lengths: Any, limit: int) -> dict[str, Any]:
    if not len(lengths):
        return {"limit": limit, "total": 0, "over": 0, "share_over": 0.0, "histogram": None}
    over = int((lengths > limit).sum())
    counts, edges = np.histogram(lengths, bins=_edges(lengths))
    return {
        "limit": limit,
        "total": int(lengths.sum()),
        "mean": round(float(lengths.mean()), 1),
        **{name: int(np.percentile(lengths, q)) for name, q in (("p50", 50), ("p95", 95), ("p99", 99))},
        "max": int(lengths.max()),
        "over": over,
        "share_over": round(over / len(lengths), 6),
        "histogram": {"edges": [round(float(edge), 1) for edge in edges], "counts": counts.tolist()},
    }
