"""Examples of both ends: what works well, and where the limits are."""

import math
from collections.abc import Sequence
from typing import Any

from evaluation.scores import Metric

_SHOWN = 5


def cases(samples: Sequence[dict[str, Any]], metric: Metric) -> dict[str, list[dict[str, Any]]]:
    """{"works_well","limits"}: the best items and the worst, by the item's own figure, then by what was gained on the baseline.

    An item is in one of the two at most, and an item that is entirely right is never a limit where scores have a known top.
    """
    sign = 1.0 if metric.higher_is_better else -1.0

    def rank(sample: dict[str, Any]) -> tuple[float, float]:
        figures = sample["metrics"][metric.name]
        value = _number(figures["value"], sign)
        return value, value - _number(figures.get("baseline", figures["value"]), sign)

    ordered = sorted(samples, key=rank, reverse=True)
    half = min(_SHOWN, len(ordered) // 2 or 1)
    best = [s for s in ordered[:half] if not _wrong(s, metric)]
    worst = [s for s in reversed(ordered[half:][-_SHOWN:]) if not _right(s, metric)]
    return {"works_well": [_case(s, metric) for s in best], "limits": [_case(s, metric) for s in worst]}


def _number(value: float | None, sign: float) -> float:
    return -math.inf if value is None else sign * value


def _wrong(sample: dict[str, Any], metric: Metric) -> bool:
    return metric.higher_is_better and not sample["metrics"][metric.name]["value"]


def _right(sample: dict[str, Any], metric: Metric) -> bool:
    return metric.top is not None and sample["metrics"][metric.name]["value"] == metric.top


def _case(sample: dict[str, Any], metric: Metric) -> dict[str, Any]:
    kept = ("line", "prompt", "references", "output", "baseline_output")
    return {key: sample[key] for key in kept} | dict(sample["metrics"][metric.name])
