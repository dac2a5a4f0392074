"""Near duplicates by MinHash: rows whose word pairs are the same to at least four fifths, put into groups.

Signatures are cut into bands; rows that share a band are candidates (Broder, 1997; Leskovec et al.,
Mining of Massive Datasets, ch. 3). A candidate counts only when the Jaccard similarity of its real
sets says so: nothing is called a duplicate by chance, and with 21 bands of 6 a pair at the threshold
is missed 2 times in 1,000.
"""

from typing import Any

import numpy as np
from rensa import RMinHash

from evaluation.data.grams import Grams, Indices
from evaluation.data.read import Track

THRESHOLD = 0.8
WORDS = 2
METHOD = (
    f"MinHash (126 permutations, 21 bands of 6), candidates verified: Jaccard of word {WORDS}-grams >= {THRESHOLD}; "
    "groups are connected"
)
_BANDS, _WIDTH = 21, 6
_SEED = 1
_CHUNK = 8192
# A signature estimates the similarity with a standard error of 0.036 at the threshold: 0.65 loses 2 pairs in 100,000.
_WORTH_VERIFYING = 0.65


class Components:
    """Which group each item is in; two groups are joined by renaming the smaller."""

    def __init__(self, count: int) -> None:
        self.labels: Indices = np.arange(count)
        self._members: dict[int, list[int]] = {}

    def join(self, one: int, other: int) -> None:
        """Makes the groups of two items one."""
        a, b = int(self.labels[one]), int(self.labels[other])
        if a == b:
            return
        first, second = self._members.pop(a, [a]), self._members.pop(b, [b])
        if len(first) < len(second):
            a, first, second = b, second, first
        self.labels[second] = a
        first.extend(second)
        self._members[a] = first


def join_near(components: Components, grams: Grams, track: Track) -> None:
    """Joins all near duplicates among the texts of `grams`. Texts without a word stay alone."""
    signatures = _signatures(grams, track)
    for band in track(range(_BANDS), "near duplicates"):
        for bucket in _buckets(signatures[:, band * _WIDTH : (band + 1) * _WIDTH]):
            _join_bucket(components, grams, signatures, bucket)


def _signatures(grams: Grams, track: Track) -> Any:
    """(texts, permutations), uint32."""
    made = []
    count = len(grams.starts) - 1
    for begin in track(range(0, count, _CHUNK), "MinHash"):
        starts = grams.starts[begin : begin + _CHUNK + 1]
        flat = grams.hashes[starts[0] : starts[-1]]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            flat, (starts - starts[0]).astype(np.uint64), _BANDS * _WIDTH, _SEED
        )
        made.append(np.array(matrix.to_rows(), dtype=np.uint32).reshape(-1, _BANDS * _WIDTH))
    found = np.concatenate(made) if made else np.zeros((0, _BANDS * _WIDTH), dtype=np.uint32)
    empty = np.diff(grams.starts) == 0
    # Empty sets are alike in every band and similar to nothing: each gets a signature of its own.
    found[empty] = np.flatnonzero(empty)[:, None]
    return found


def _buckets(band: Any) -> list[Indices]:
    """Groups of two and more rows that are equal in this band."""
    keys = np.ascontiguousarray(band).view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    new = keys[order][1:] != keys[order][:-1]
    bounds = np.flatnonzero(np.concatenate(([True], new, [True])))
    shared = np.flatnonzero(np.diff(bounds) > 1)
    return [order[bounds[i] : bounds[i + 1]] for i in shared]


def _join_bucket(components: Components, grams: Grams, signatures: Any, bucket: Indices) -> None:
    for place, one in enumerate(bucket[:-1]):
        labels = components.labels[bucket]
        if (labels == labels[0]).all():
            return
        others = bucket[place + 1 :][labels[place + 1 :] != labels[place]]
        if not len(others):
            continue
        alike = (signatures[others] == signatures[one]).mean(axis=1)
        for other in others[alike >= _WORTH_VERIFYING]:
            if components.labels[one] != components.labels[other] and grams.jaccard(int(one), int(other)) >= THRESHOLD:
                components.join(int(one), int(other))
