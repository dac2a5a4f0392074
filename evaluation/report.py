"""From what models gave to a report: figures with intervals, verdicts, what failed, and examples of both ends."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evaluation.cases import cases
from evaluation.model import Completion, Span, TokenScore
from evaluation.normalize import normalized, parsed
from evaluation.rows import Row
from evaluation.scores import Counts, Metric
from evaluation.significance import ALPHA, bootstrap, calibrate, paired

SCHEMA = 1


@dataclass(frozen=True)
class Plan:
    """What is asked: checked metrics over the rows that were drawn; `trials` of an A/A check, 0 for none."""

    rows: list[Row]
    metrics: tuple[Metric, ...]
    max_tokens: int
    seed: int
    trials: int = 0

    def calls(self, models: int) -> int:
        """How many times a model is asked in all."""
        needs = {metric.needs for metric in self.metrics}
        return len(self.rows) * len(needs) * models


@dataclass
class Taken:
    """What one model gave: a completion and a score for each row, as far as the metrics need them."""

    model: str
    span: Span
    completions: list[Completion | None]
    scores: list[TokenScore | None]

    def outcome(self, metric: Metric, index: int) -> Any:
        """What a metric looks at for one item."""
        if metric.needs == "score":
            return self.scores[index]
        completion = self.completions[index]
        return completion.text if completion is not None else ""

    def counts(self, metric: Metric, rows: list[Row]) -> Counts:
        """(items, k): each item's share in the metric's sums."""
        return np.stack([metric.count(row, self.outcome(metric, index)) for index, row in enumerate(rows)])


@dataclass(frozen=True)
class Report:
    """The figures, and the samples they come from. `counts` has each item's share in each metric's sums, for later comparisons."""

    body: dict[str, Any]
    samples: list[dict[str, Any]] = field(repr=False)
    counts: dict[str, Counts] = field(repr=False)

    @property
    def n(self) -> int:
        """Items scored."""
        return int(self.body["n"])

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """Figures by metric."""
        return dict(self.body["scores"])

    def to_json(self) -> dict[str, Any]:
        """As the command line and the service print it; samples apart."""
        return self.body


def make_report(asked: Plan, ours: Taken, theirs: Taken | None) -> Report:
    """The report of one model, or of one beside its baseline on identical items."""
    counts = {metric.name: ours.counts(metric, asked.rows) for metric in asked.metrics}
    others = {metric.name: theirs.counts(metric, asked.rows) for metric in asked.metrics} if theirs else {}
    samples = [_sample(asked, ours, theirs, counts, others, index) for index in range(len(asked.rows))]
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "model": ours.model,
        "baseline": theirs.model if theirs else None,
        "n": len(asked.rows),
        "scores": {},
        "signatures": {metric.name: metric.signature for metric in asked.metrics},
        "latency": {name: found for name, got in (("model", ours), ("baseline", theirs)) if got and (found := _latency(got))},
        "failures": _failures(asked, ours),
        "cases": {metric.name: cases(samples, metric) for metric in asked.metrics},
    }
    if any(metric.needs == "score" for metric in asked.metrics):
        body["window"] = {"length": ours.span.length, "stride": ours.span.stride}
    if theirs:
        body |= {"baseline_failures": _failures(asked, theirs), "alpha": ALPHA, "verdicts": {}, "detectable": {}}
    if theirs and asked.trials:
        body["calibration"] = {}
    for metric in asked.metrics:
        _add_figures(body, metric, asked, counts[metric.name], others.get(metric.name))
    return Report(body, samples, counts)


def _add_figures(body: dict[str, Any], metric: Metric, asked: Plan, counts: Counts, other: Counts | None) -> None:
    low, high = bootstrap(counts, metric.value, asked.seed)
    figures: dict[str, Any] = {"value": metric.value(counts.sum(axis=0)), "low": low, "high": high}
    figures |= {"baseline": None, "difference": None, "p": None}
    if other is not None:
        found = paired(counts, other, metric.value, asked.seed)
        figures |= {"baseline": metric.value(other.sum(axis=0)), "difference": found.difference}
        figures |= {"difference_low": found.low, "difference_high": found.high, "p": found.p}
        body["verdicts"][metric.name] = found.verdict(metric.higher_is_better)
        body["detectable"][metric.name] = rounded(found.detectable)
        if asked.trials:
            body["calibration"][metric.name] = calibrate(counts, other, metric.value, asked.seed, asked.trials)
    body["scores"][metric.name] = {key: None if number is None else rounded(number) for key, number in figures.items()}


def now() -> str:
    """The time of an evaluation as records hold it; the later, the greater."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def rounded(number: float) -> float | None:
    """As reports hold figures; None for what is no number."""
    return round(number, 6) if math.isfinite(number) else None


def _latency(got: Taken) -> dict[str, float]:
    """Seconds of an answer (median, 95th percentile) and completion tokens a second while it was made."""
    there = [c for c in got.completions if c is not None]
    if not there:
        return {}
    seconds = np.array([c.seconds for c in there])
    return {
        "p50_seconds": round(float(np.percentile(seconds, 50)), 4),
        "p95_seconds": round(float(np.percentile(seconds, 95)), 4),
        "completion_tokens": float(sum(c.tokens for c in there)),
    }


def _failures(asked: Plan, got: Taken) -> dict[str, int]:
    """Counted apart from the scores: answers cut off at the token budget, and answers that are no label or no JSON."""
    there = [c for c in got.completions if c is not None]
    found = {"truncated": sum(c.truncated for c in there)}
    names = {metric.name for metric in asked.metrics}
    answers = {answer for row in asked.rows for answer in row.answers}
    if "accuracy" in names:
        labels = {normalized(answer) for answer in answers}
        found["not_a_label"] = sum(normalized(c.text) not in labels for c in there)
    if "field_f1" in names or ("exact_match" in names and all(isinstance(parsed(answer), dict) for answer in answers)):
        found["not_json"] = sum(not isinstance(parsed(c.text), dict) for c in there)
    return found


def _sample(
    asked: Plan, ours: Taken, theirs: Taken | None, counts: dict[str, Counts], others: dict[str, Counts], index: int
) -> dict[str, Any]:
    row = asked.rows[index]
    output, other = ours.completions[index], theirs.completions[index] if theirs else None
    figures = {}
    for metric in asked.metrics:
        figures[metric.name] = {"value": _shown(metric.value(counts[metric.name][index]))}
        if theirs is not None:
            figures[metric.name]["baseline"] = _shown(metric.value(others[metric.name][index]))
    return {
        "index": index,
        "line": row.line,
        "prompt": row.question if row.text is None else row.text,
        "references": list(row.answers),
        "output": output.text if output else None,
        "baseline_output": other.text if other else None,
        "metrics": figures,
    }


def _shown(number: float) -> float | None:
    return round(number, 4) if math.isfinite(number) else None
