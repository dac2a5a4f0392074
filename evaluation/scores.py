"""The metrics: each turns an item into a vector of counts, and the sum of such vectors into one figure.

Sums of counts are what a corpus score is made of, so that intervals and p-values (evaluation.significance)
can be had for BLEU and perplexity as for a mean, without looking at a text twice.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from evaluation.model import TokenScore
from evaluation.normalize import SIGNATURE, fields, normalized, parsed
from evaluation.rows import Row

Counts = np.ndarray[Any, np.dtype[np.float64]]
_BLEU = BLEU()
_BLEU_LOWER = BLEU(lowercase=True)
_CHRF = CHRF()


@dataclass(frozen=True)
class Metric:
    """`count` gives an item's vector from its row and the output; `value` the figure from a sum of them.

    `needs` says what the model has to do for it: answer (complete) or give log-probabilities (score).
    `top` is the figure of an answer that is entirely right, where there is one.
    """

    name: str
    needs: str
    higher_is_better: bool
    signature: str
    count: Callable[[Row, Any], Counts]
    value: Callable[[Counts], float]
    top: float | None = None


def _ratio(sums: Counts) -> float:
    return float(sums[0] / sums[1]) if sums[1] else math.nan


def _perplexity_counts(row: Row, score: TokenScore) -> Counts:
    return np.array([score.sum_nll, score.tokens], dtype=np.float64)


def _perplexity(sums: Counts) -> float:
    """exp(sum of NLL / sum of tokens): over tokens, not over items (Jelinek et al., 1977)."""
    return math.exp(min(700.0, sums[0] / sums[1])) if sums[1] else math.nan


def _accuracy_counts(row: Row, output: str) -> Counts:
    return np.array([normalized(output) in {normalized(a) for a in row.answers}, 1], dtype=np.float64)


def _exact_counts(row: Row, output: str) -> Counts:
    value = parsed(output)
    same = value is not None and any(parsed(answer) == value for answer in row.answers)
    return np.array([same or normalized(output) in {normalized(a) for a in row.answers}, 1], dtype=np.float64)


def _field_counts(row: Row, output: str) -> Counts:
    """True positives, false positives, false negatives against the reference that fits best; no JSON has no field."""
    found = fields(parsed(output)) if isinstance(parsed(output), dict) else set()
    best = max(
        (fields(parsed(a)) if isinstance(parsed(a), dict) else set() for a in row.answers), key=lambda wanted: len(wanted & found)
    )
    return np.array([len(best & found), len(found - best), len(best - found)], dtype=np.float64)


def _field_f1(sums: Counts) -> float:
    """Micro F1: 2 TP / (2 TP + FP + FN)."""
    return float(2 * sums[0] / (2 * sums[0] + sums[1] + sums[2])) if sums.any() else math.nan


def _bleu_counts(scorer: BLEU) -> Callable[[Row, str], Counts]:
    def count(row: Row, output: str) -> Counts:
        found = scorer.corpus_score([output], [[answer] for answer in row.answers])
        return np.array([*found.counts, *found.totals, found.sys_len, found.ref_len], dtype=np.float64)

    return count


def _bleu(sums: Counts) -> float:
    """sacrebleu's corpus BLEU from summed n-gram counts (Papineni et al., 2002; Post, 2018)."""
    counts = [int(n) for n in sums]
    return float(BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score)


def _chrf_counts(row: Row, output: str) -> Counts:
    # The statistics behind chrF are not in sacrebleu's public interface; its own significance tests use them so.
    return np.array(_CHRF._extract_corpus_statistics([output], [[answer] for answer in row.answers])[0], dtype=np.float64)


def _chrf(sums: Counts) -> float:
    """sacrebleu's corpus chrF (Popović, 2015)."""
    return float(_CHRF._compute_f_score([int(n) for n in sums]))


def _rouge_counts(row: Row, output: str) -> Counts:
    """ROUGE-L F1 over words against the best reference (Lin, 2004), summed to a mean over items."""
    words = normalized(output).split()
    return np.array([max(_rouge_l(words, normalized(answer).split()) for answer in row.answers), 1], dtype=np.float64)


def _rouge_l(found: list[str], wanted: list[str]) -> float:
    common = _longest_common(found, wanted)
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def _longest_common(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for j, other in enumerate(b, start=1):
            before, row[j] = row[j], before + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


def _signature_of(scorer: Any) -> str:
    # A signature wants the number of references, which differs from item to item here.
    scorer.corpus_score(["a"], [["a"]])
    return str(scorer.get_signature().format(short=False)).replace("nrefs:1", "nrefs:var")


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "perplexity", "score", False, "completion tokens and end-of-text, exp(nll/tokens)", _perplexity_counts, _perplexity
        ),
        Metric("accuracy", "complete", True, SIGNATURE, _accuracy_counts, _ratio, 1.0),
        Metric("exact_match", "complete", True, f"{SIGNATURE}, or equal as JSON", _exact_counts, _ratio, 1.0),
        Metric("field_f1", "complete", True, f"micro over JSON fields, {SIGNATURE}", _field_counts, _field_f1, 1.0),
        Metric("bleu", "complete", True, _signature_of(_BLEU), _bleu_counts(_BLEU), _bleu, 100.0),
        Metric("bleu_lower", "complete", True, _signature_of(_BLEU_LOWER), _bleu_counts(_BLEU_LOWER), _bleu, 100.0),
        Metric("chrf", "complete", True, _signature_of(_CHRF), _chrf_counts, _chrf, 100.0),
        Metric("rouge_l", "complete", True, f"F1 of words, best reference, {SIGNATURE}", _rouge_counts, _ratio, 1.0),
    )
}


def suggested(rows: Sequence[Row]) -> tuple[str, ...]:
    """The metrics that fit the rows: perplexity where there is a completion, and by the answers' look one or two more."""
    chosen = ["perplexity"] if all(row.text is not None or row.answer is not None for row in rows) else []
    asked = [row for row in rows if row.text is None]
    if not asked:
        return tuple(chosen)
    answers = {answer for row in asked for answer in row.answers}
    if all(isinstance(parsed(answer), dict) for answer in answers):
        return (*chosen, "exact_match", "field_f1")
    if max(len(row.answers) for row in asked) == 1 and len(answers) <= max(2, len(asked) // 2):
        return (*chosen, "accuracy")
    return (*chosen, "bleu", "chrf")
