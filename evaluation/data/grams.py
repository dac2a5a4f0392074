"""Rows as sets of hashed word n-grams: what near duplicates and contamination are found by.

All rows lie in one flat array, so that a hundred thousand of them are a few operations of numpy.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_STEP = np.uint64(0x9E3779B97F4A7C15)


def words(text: str) -> list[str]:
    """Words in lower case: runs of letters and digits, with the apostrophes and hyphens inside them."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class WordIds:
    """The words of many texts, flat: text i has `ids[starts[i]:starts[i + 1]]`, numbers of words."""

    def __init__(self, texts: Iterable[str]) -> None:
        vocabulary: dict[str, int] = {}
        flat: list[int] = []
        starts = [0]
        for text in texts:
            flat.extend(vocabulary.setdefault(word, len(vocabulary)) for word in words(text))
            starts.append(len(flat))
        self.vocabulary = list(vocabulary)
        self.ids = np.array(flat, dtype=np.int64)
        self.starts = np.array(starts, dtype=np.int64)

    def counts(self, texts: slice) -> Counter[str]:
        """How often each word comes in a stretch of the texts."""
        found = np.bincount(self.ids[self.starts[texts.start] : self.starts[texts.stop]], minlength=len(self.vocabulary))
        return Counter({self.vocabulary[i]: int(found[i]) for i in np.flatnonzero(found)})

    def grams(self, n: int, whole: bool) -> "Grams":
        """The distinct n-grams of each text. With `whole`, a text of fewer words is one gram; otherwise it has none."""
        lengths = np.diff(self.starts)
        short = lengths < n
        counts = np.where(short, np.where(whole, lengths > 0, 0), lengths - n + 1)
        owner = np.repeat(np.arange(len(lengths)), counts)
        first = np.cumsum(counts) - counts
        at = self.starts[:-1][owner] + np.arange(len(owner)) - first[owner]
        width = np.minimum(lengths, n)[owner]
        values = _mixed(self.ids.astype(np.uint64) + np.uint64(1))
        hashed = np.zeros(len(owner), dtype=np.uint64)
        for k in range(n):
            there = k < width
            hashed[there] = hashed[there] * _STEP + values[at[there] + k]
        return Grams.distinct(_mixed(hashed + width.astype(np.uint64)), owner, len(lengths))


class Grams:
    """A set of hashes for each text, flat and sorted: text i has `hashes[starts[i]:starts[i + 1]]`."""

    def __init__(self, hashes: Hashes, owner: Indices, texts: int) -> None:
        self.hashes, self.owner = hashes, owner
        self.starts = np.searchsorted(owner, np.arange(texts + 1))

    @classmethod
    def distinct(cls, hashes: Hashes, owner: Indices, texts: int) -> "Grams":
        """From hashes that may be there more than once."""
        order = np.lexsort((hashes, owner))
        hashes, owner = hashes[order], owner[order]
        new = np.ones(len(hashes), dtype=bool)
        new[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
        return cls(hashes[new], owner[new], texts)

    def of(self, index: int) -> Hashes:
        """One text's set."""
        return self.hashes[self.starts[index] : self.starts[index + 1]]

    def jaccard(self, one: int, other: int) -> float:
        """Size of the intersection over size of the union; 0 for two empty sets."""
        a, b = self.of(one), self.of(other)
        common = len(np.intersect1d(a, b, assume_unique=True))
        return common / (len(a) + len(b) - common) if common else 0.0


def _mixed(values: Hashes) -> Hashes:
    """splitmix64's finalizer: spreads small integers over all 64 bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
