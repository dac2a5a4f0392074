"""Scores a model, and a baseline on identical items: answers and log-probabilities, then figures with intervals."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from adapters.errors import BadInput
from evaluation.model import Completion, Model, TokenScore
from evaluation.normalize import normalized, parsed
from evaluation.rows import Row
from evaluation.scores import METRICS, Metric, suggested
from evaluation.significance import bootstrap, permutation_p

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is asked: checked metrics over the rows that were drawn."""

    rows: list[Row]
    metrics: tuple[Metric, ...]
    max_tokens: int
    seed: int

    def calls(self, models: int) -> int:
        """How many times a model is asked in all."""
        needs = {metric.needs for metric in self.metrics}
        return len(self.rows) * len(needs) * models


def plan(rows: Sequence[Row], metrics: Sequence[str], *, max_tokens: int = 64, limit: int | None = None, seed: int = 1) -> Plan:
    """Checks what is asked and draws `limit` rows by `seed`, kept in their order. No metrics means those that fit the rows.

    Raises:
        BadInput: an unknown metric, or one that these rows do not allow.
    """
    kept = list(rows)
    if limit is not None and limit < len(kept):
        kept = [kept[i] for i in sorted(random.Random(seed).sample(range(len(kept)), limit))]
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise BadInput(f"unknown metric {unknown[0]!r}; there are {', '.join(METRICS)}", param="metrics")
    chosen = tuple(METRICS[name] for name in dict.fromkeys(metrics or suggested(kept)))
    for metric in chosen:
        _require(metric, kept)
    return Plan(kept, chosen, max_tokens, seed)


def _require(metric: Metric, rows: list[Row]) -> None:
    for row in rows:
        if metric.needs == "score" and row.answer is None and row.text is None:
            raise BadInput(f"{metric.name} needs a completion in every row; line {row.line} has references only", param="metrics")
        if metric.needs == "complete" and row.text is not None:
            raise BadInput(f"{metric.name} compares answers; line {row.line} is text, which has none", param="metrics")


@dataclass
class Taken:
    """What one model gave: a completion and a score for each row, as far as the metrics need them."""

    completions: list[Completion | None]
    scores: list[TokenScore | None]

    def outcome(self, metric: Metric, index: int) -> Any:
        """What a metric looks at for one item."""
        if metric.needs == "score":
            return self.scores[index]
        completion = self.completions[index]
        return completion.text if completion is not None else ""


@dataclass(frozen=True)
class Report:
    """The figures, and the samples they come from."""

    model: str
    baseline: str | None
    n: int
    scores: dict[str, dict[str, float | None]]
    signatures: dict[str, str]
    latency: dict[str, dict[str, float]]
    failures: dict[str, int]
    samples: list[dict[str, Any]] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """As the command line and the service print it; samples apart."""
        return {
            "schema": 1,
            "model": self.model,
            "baseline": self.baseline,
            "n": self.n,
            "scores": self.scores,
            "signatures": self.signatures,
            "latency": self.latency,
            "failures": self.failures,
        }


async def evaluate(
    model: Model, baseline: Model | None, asked: Plan, *, concurrency: int = 8, on_progress: Progress = lambda done, total: None
) -> Report:
    """Runs the plan; both models see the same items with the same decoder and the same token budget."""
    models = [model] if baseline is None else [model, baseline]
    total, done = asked.calls(len(models)), 0
    gate = asyncio.Semaphore(concurrency)
    taken = [Taken([None] * len(asked.rows), [None] * len(asked.rows)) for _ in models]

    async def one(call: Callable[[], Awaitable[Any]], into: list[Any], index: int) -> None:
        nonlocal done
        async with gate:
            into[index] = await call()
        done += 1
        on_progress(done, total)

    async with asyncio.TaskGroup() as group:
        # Item by item over both models, so that a busy moment of the machine falls on both.
        for index, row in enumerate(asked.rows):
            for which, got in zip(models, taken, strict=True):
                for metric_need in sorted({metric.needs for metric in asked.metrics}):
                    if metric_need == "score":
                        group.create_task(one(partial(which.score, row), got.scores, index))
                    else:
                        group.create_task(one(partial(which.complete, row.question, asked.max_tokens), got.completions, index))
    return await asyncio.to_thread(_report, model.id, baseline.id if baseline else None, asked, taken)


def _report(model: str, baseline: str | None, asked: Plan, taken: list[Taken]) -> Report:
    ours, theirs = taken[0], taken[1] if baseline is not None else None
    scores = {metric.name: _figures(metric, asked, ours, theirs) for metric in asked.metrics}
    latency = {
        name: found for name, got in (("model", ours), ("baseline", theirs)) if got is not None and (found := _latency(got))
    }
    return Report(
        model=model,
        baseline=baseline,
        n=len(asked.rows),
        scores=scores,
        signatures={metric.name: metric.signature for metric in asked.metrics},
        latency=latency,
        failures=_failures(asked, ours),
        samples=[_sample(asked, ours, theirs, index) for index in range(len(asked.rows))],
    )


def _counts(metric: Metric, asked: Plan, got: Taken) -> Any:
    return np.stack([metric.count(row, got.outcome(metric, index)) for index, row in enumerate(asked.rows)])


def _figures(metric: Metric, asked: Plan, ours: Taken, theirs: Taken | None) -> dict[str, float | None]:
    counts = _counts(metric, asked, ours)
    value = metric.value(counts.sum(axis=0))
    low, high = bootstrap(counts, metric.value, asked.seed)
    figures: dict[str, float | None] = {"value": value, "low": low, "high": high, "baseline": None, "difference": None, "p": None}
    if theirs is not None:
        other = _counts(metric, asked, theirs)
        before = metric.value(other.sum(axis=0))
        figures["baseline"], figures["difference"] = before, value - before
        figures["difference_low"], figures["difference_high"] = bootstrap(counts, metric.value, asked.seed, other)
        figures["p"] = permutation_p(counts, other, metric.value, asked.seed)
    return {key: None if number is None or not math.isfinite(number) else round(number, 6) for key, number in figures.items()}


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


def _failures(asked: Plan, ours: Taken) -> dict[str, int]:
    """Counted apart from the scores: answers cut off at the token budget, and answers that are no label or no JSON."""
    found = {"truncated": sum(c.truncated for c in ours.completions if c is not None)}
    names = {metric.name for metric in asked.metrics}
    if "accuracy" in names:
        labels = {normalized(answer) for row in asked.rows for answer in row.answers}
        found["not_a_label"] = sum(normalized(c.text) not in labels for c in ours.completions if c is not None)
    if "field_f1" in names:
        found["not_json"] = sum(not isinstance(parsed(c.text), dict) for c in ours.completions if c is not None)
    return found


def _sample(asked: Plan, ours: Taken, theirs: Taken | None, index: int) -> dict[str, Any]:
    row = asked.rows[index]
    output, other = ours.completions[index], theirs.completions[index] if theirs else None
    figures = {}
    for metric in asked.metrics:
        each = {"value": metric.value(metric.count(row, ours.outcome(metric, index)))}
        if theirs is not None:
            each["baseline"] = metric.value(metric.count(row, theirs.outcome(metric, index)))
        figures[metric.name] = {key: round(number, 4) if math.isfinite(number) else None for key, number in each.items()}
    return {
        "index": index,
        "line": row.line,
        "prompt": row.question if row.text is None else row.text,
        "references": list(row.answers),
        "output": output.text if output else None,
        "baseline_output": other.text if other else None,
        "metrics": figures,
    }
