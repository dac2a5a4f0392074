"""Scores a model, and a baseline on identical items: what they answer and how likely they find the answers, then a report."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from adapters.errors import BadInput
from evaluation.model import Model
from evaluation.report import Plan, Report, Taken, make_report
from evaluation.rows import Row
from evaluation.scores import METRICS, Metric, suggested

Progress = Callable[[int, int], None]


def plan(
    rows: Sequence[Row], metrics: Sequence[str], *, max_tokens: int = 64, limit: int | None = None, seed: int = 1, trials: int = 0
) -> Plan:
    """Checks what is asked and draws `limit` rows by `seed`, kept in their order. No metrics means those that fit all the rows.

    Raises:
        BadInput: an unknown metric, or one that these rows do not allow.
    """
    kept = list(rows)
    if limit is not None and limit < len(kept):
        kept = [kept[i] for i in sorted(random.Random(seed).sample(range(len(kept)), limit))]
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise BadInput(f"unknown metric {unknown[0]!r}; there are {', '.join(METRICS)}", param="metrics")
    chosen = tuple(METRICS[name] for name in dict.fromkeys(metrics or suggested(rows)))
    for metric in chosen:
        _require(metric, kept)
    return Plan(kept, chosen, max_tokens, seed, trials)


def _require(metric: Metric, rows: list[Row]) -> None:
    for row in rows:
        if metric.needs == "score" and row.answer is None and row.text is None:
            raise BadInput(f"{metric.name} needs a completion in every row; line {row.line} has references only", param="metrics")
        if metric.needs == "complete" and row.text is not None:
            raise BadInput(f"{metric.name} compares answers; line {row.line} is text, which has none", param="metrics")


async def evaluate(
    model: Model, baseline: Model | None, asked: Plan, *, concurrency: int = 8, on_progress: Progress = lambda done, total: None
) -> Report:
    """Runs the plan; both models see the same items with the same decoder and the same token budget."""
    models = [model] if baseline is None else [model, baseline]
    total, done = asked.calls(len(models)), 0
    gate = asyncio.Semaphore(concurrency)
    taken = [Taken(which.id, which.span, [None] * len(asked.rows), [None] * len(asked.rows)) for which in models]

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
    return await asyncio.to_thread(make_report, asked, taken[0], taken[1] if baseline is not None else None)
