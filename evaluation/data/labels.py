"""Label balance: whether the answers are a handful of labels, and how evenly they come."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evaluation.normalize import normalized
from evaluation.rows import Row

# A set whose rows share their answers at least four to one is a classification.
_ROWS_A_LABEL = 4


def label_of(row: Row) -> str | None:
    """The one answer of a row as a label; None where there are several or none."""
    return normalized(row.answers[0]) if len(row.answers) == 1 else None


def labels_of(rows: Sequence[Row]) -> list[str] | None:
    """Each row's label, or None where the answers are no labels."""
    labels = [label_of(row) for row in rows]
    found = [label for label in labels if label is not None]
    if not rows or len(found) < len(rows) or len(set(found)) > max(2, len(found) // _ROWS_A_LABEL):
        return None
    return found


def balance(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Counts by label and how even they are: entropy over its maximum (Pielou, 1966), and the largest over the smallest."""
    labels = labels_of(rows)
    if labels is None:
        return None
    counts = Counter(labels)
    total, most, least = len(labels), max(counts.values()), min(counts.values())
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    return {
        "labels": len(counts),
        "evenness": round(entropy / math.log(len(counts)), 4) if len(counts) > 1 else 0.0,
        "largest_over_smallest": round(most / least, 2),
        "majority_share": round(most / total, 4),
        "counts": dict(counts.most_common()),
    }
