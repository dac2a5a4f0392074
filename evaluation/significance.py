"""Intervals and p-values for any metric that is a function of summed counts."""

from collections.abc import Callable

import numpy as np

from evaluation.scores import Counts

RESAMPLES = 1000
_CHUNK = 100


def bootstrap(counts: Counts, value: Callable[[Counts], float], seed: int, baseline: Counts | None = None) -> tuple[float, float]:
    """The 95% percentile interval of a figure, or of its difference from `baseline` on the same items.

    `counts` is (items, k), as is `baseline`. Items are drawn with replacement, the same ones for both
    (paired bootstrap: Efron and Tibshirani, 1993; Koehn, 2004).
    """
    rng = np.random.default_rng(seed)
    n = len(counts)
    found = []
    for start in range(0, RESAMPLES, _CHUNK):
        draws = rng.multinomial(n, np.full(n, 1 / n), size=min(_CHUNK, RESAMPLES - start)).astype(np.float64)
        ours = draws @ counts
        theirs = draws @ baseline if baseline is not None else None
        found += [value(row) - (value(theirs[i]) if theirs is not None else 0.0) for i, row in enumerate(ours)]
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return float(low), float(high)


def permutation_p(counts: Counts, baseline: Counts, value: Callable[[Counts], float], seed: int) -> float:
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
