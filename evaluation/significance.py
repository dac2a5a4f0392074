"""Intervals, p-values and verdicts for any metric that is a function of summed counts.

`counts` is (items, k) everywhere; a baseline's counts are of the same items in the same order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evaluation.scores import Counts

RESAMPLES = 1000
ALPHA = 0.05
# Two-sided 5 % and a power of 80 %: the quantiles 1.96 and 0.84 of the normal distribution.
_DETECTABLE = 1.959964 + 0.841621
_CHUNK = 100

Value = Callable[[Counts], float]
Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Paired:
    """A difference on identical items, its 95 % interval and p-value, and the least difference that this many items would show."""

    difference: float
    low: float
    high: float
    p: float
    detectable: float

    def verdict(self, higher_is_better: bool, alpha: float = ALPHA) -> Verdict:
        """What the difference says: p below alpha, and an interval that does not hold zero."""
        if not self.p < alpha or self.low <= 0 <= self.high:
            return "no difference shown"
        return "better" if (self.difference > 0) == higher_is_better else "worse"


def bootstrap(counts: Counts, value: Value, seed: int, baseline: Counts | None = None) -> tuple[float, float]:
    """The 95% percentile interval of a figure, or of its difference from `baseline` on the same items.

    Items are drawn with replacement, the same ones for both (paired bootstrap: Efron and Tibshirani,
    1993; Koehn, 2004).
    """
    return _interval(_resampled(counts, value, seed, baseline))


def paired(counts: Counts, baseline: Counts, value: Value, seed: int) -> Paired:
    """The difference of two models' figures.

    The least detectable difference is (1.96 + 0.84) standard errors of the paired bootstrap: a true
    difference as large is found in four of five such evaluations (Card et al., 2020).
    """
    drawn = _resampled(counts, value, seed, baseline)
    low, high = _interval(drawn)
    difference = value(counts.sum(axis=0)) - value(baseline.sum(axis=0))
    return Paired(difference, low, high, permutation_p(counts, baseline, value, seed), float(_DETECTABLE * np.nanstd(drawn)))


def _interval(drawn: Counts) -> tuple[float, float]:
    if np.isnan(drawn).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def _resampled(counts: Counts, value: Value, seed: int, baseline: Counts | None) -> Counts:
    rng = np.random.default_rng(seed)
    n = len(counts)
    found: list[float] = []
    for start in range(0, RESAMPLES, _CHUNK):
        draws = rng.multinomial(n, np.full(n, 1 / n), size=min(_CHUNK, RESAMPLES - start)).astype(np.float64)
        ours = draws @ counts
        theirs = draws @ baseline if baseline is not None else None
        found += [value(row) - (value(theirs[i]) if theirs is not None else 0.0) for i, row in enumerate(ours)]
    return np.array(found)


def permutation_p(counts: Counts, baseline: Counts, value: Value, seed: int) -> float:
    """Two-sided p-value of the difference: how often swapping the two models' items at random gives one as large.

    Approximate randomization (Noreen, 1989); (1 + hits) / (1 + resamples), so it is never zero.
    """
    rng = np.random.default_rng(seed)
    ours, gap = counts.sum(axis=0), baseline - counts
    theirs = baseline.sum(axis=0)
    seen = abs(value(ours) - value(theirs))
    hits = 0
    for start in range(0, RESAMPLES, _CHUNK):
        swaps = rng.integers(0, 2, size=(min(_CHUNK, RESAMPLES - start), len(counts))).astype(np.float64)
        moved = swaps @ gap
        hits += sum(abs(value(ours + move) - value(theirs - move)) >= seen - 1e-12 for move in moved)
    return (1 + hits) / (1 + RESAMPLES)


def calibrate(counts: Counts, baseline: Counts, value: Value, seed: int, trials: int) -> dict[str, Any]:
    """An A/A check of what "better" means here: how often two systems that are the same get a verdict.

    In each trial the items are drawn anew, and each of two systems takes for each item what one of
    the two models gave, by a coin of its own: they are of equal worth whatever the models are. Of such
    pairs at most 5 in 100 ought to be told apart.
    """
    rng = np.random.default_rng(seed)
    n = len(counts)
    told = {"better": 0, "worse": 0}
    for trial in range(trials):
        items = rng.integers(0, n, n)
        one, two = (np.where(rng.integers(0, 2, (n, 1)) == 1, counts[items], baseline[items]) for _ in range(2))
        found = paired(one, two, value, seed + trial).verdict(higher_is_better=True)
        if found in told:
            told[found] += 1
    return {"trials": trials, **told, "false_positive_rate": round(sum(told.values()) / trials, 4)}
