"""Domain words: what a data set says more often than general English does."""

import math
from collections import Counter
from functools import cache
from typing import Any

METHOD = (
    "log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn, 2008), as z-scores, against the "
    "English word counts of pyspellchecker (OpenSubtitles)"
)
# The prior weighs as much as this many words of general English: enough to hold rare words down, little beside a corpus.
_PRIOR = 10_000.0
# A word general English does not have is taken to come once in all of it.
_UNKNOWN = 1.0
_LEAST = 3
_SIGNIFICANT = 1.96
_SHOWN = 30


@cache
def _english() -> tuple[dict[str, int], int]:
    # A third of a second to read, and only this figure needs it.
    from spellchecker import SpellChecker

    known = SpellChecker(language="en").word_frequency
    return dict(known.dictionary), int(known.total_words)


def domain_words(counts: Counter[str]) -> dict[str, Any]:
    """How many words there are, the share of them that general English knows, and those with the highest z-scores."""
    total = counts.total()
    often = [(word, count) for word, count in counts.items() if count >= _LEAST and any(c.isalpha() for c in word)]
    ranked = sorted((-_z(word, count, total), word, count) for word, count in often)
    known = sum(count for word, count in counts.items() if word in _english()[0])
    return {
        "words": total,
        "distinct_words": len(counts),
        "english_share": round(known / total, 4) if total else 0.0,
        "domain_words": [
            {"word": word, "count": count, "z": round(-z, 2)} for z, word, count in ranked[:_SHOWN] if -z >= _SIGNIFICANT
        ],
    }


def _z(word: str, count: int, total: int) -> float:
    english, all_english = _english()
    there = english.get(word, _UNKNOWN)
    prior = _PRIOR * there / all_english
    ours = math.log((count + prior) / (total + _PRIOR - count - prior))
    theirs = math.log((there + prior) / (all_english + _PRIOR - there - prior))
    return (ours - theirs) / math.sqrt(1 / (count + prior) + 1 / (there + prior))
