"""A comparison: every approach answers the same items in turn, with the same decoder and the same token budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.errors import BadInput
from evaluation.compare.approaches import Approach, Contestants, possible
from evaluation.compare.choices import RULES, Measured, against, break_even, choices
from evaluation.compare.cost import Prices
from evaluation.compare.examples import Examples, Question, with_examples
from evaluation.evaluate import plan
from evaluation.model import Completion, Span
from evaluation.report import Plan, Report, Taken, make_report, rounded
from evaluation.rows import Row
from evaluation.scores import METRICS, suggested

SCHEMA = 1
Progress = Callable[[], None]


@dataclass(frozen=True)
class Asked:
    """Items and training rows; `room` is how many tokens the base sees at once, `count` how many a question has."""

    items: list[Row]
    train: list[Row]
    metrics: tuple[str, ...]
    k: int
    max_tokens: int
    limit: int | None
    seed: int
    room: int
    count: Callable[[Question], int]


@dataclass
class Answers:
    """What one approach gave, item by item."""

    completions: list[Completion]
    prompt_tokens: list[int]
    examples: list[int]


def prepare(asked: Asked) -> Plan:
    """The items that were drawn and metrics that look at answers. Raises BadInput where there are none such."""
    names = asked.metrics or tuple(name for name in suggested(asked.items) if METRICS[name].needs == "complete")
    unfit = [name for name in names if name in METRICS and METRICS[name].needs != "complete"]
    if unfit or not names:
        raise BadInput(f"approaches are compared by their answers, and {unfit[0] if unfit else 'text'} has none", param="metric")
    return plan(asked.items, names, max_tokens=asked.max_tokens, limit=asked.limit, seed=asked.seed)


async def compare(asked: Asked, contestants: Contestants, prices: Prices | None, progress: Progress) -> dict[str, Any]:
    """The record of the comparison, but for what only the command knows (base, files, machine)."""
    prepared = prepare(asked)
    examples = Examples(asked.train, asked.k, asked.seed)
    approaches = possible(contestants)
    given = {approach.name: Answers([], [], []) for approach in approaches}
    # Item by item over all approaches, so that a busy moment of the machine falls on all.
    for row in prepared.rows:
        for approach in approaches:
            prompt, shown = _prompt(row, approach, examples, asked)
            model = contestants[approach.model].model
            answers = given[approach.name]
            answers.completions.append(await model.complete(prompt, asked.max_tokens, examples.stop))
            answers.prompt_tokens.append(asked.count(prompt))
            answers.examples.append(shown)
            progress()
    reports = _reports(prepared, approaches, given, contestants, asked)
    return _record(asked, prepared, examples, approaches, given, reports, contestants, prices)


def _prompt(row: Row, approach: Approach, examples: Examples, asked: Asked) -> tuple[Question, int]:
    question: Any = row.question
    if approach.shown == "nothing":
        return question, 0
    found = examples.fixed if approach.shown == "fixed" else examples.nearest(question)
    return with_examples(question, found, lambda prompt: asked.count(prompt) + asked.max_tokens <= asked.room)


def _reports(
    prepared: Plan, approaches: Sequence[Approach], given: dict[str, Answers], contestants: Contestants, asked: Asked
) -> dict[str, Report]:
    """Each approach beside the first: the question alone, asked of the base."""

    def taken(approach: Approach) -> Taken:
        answers = given[approach.name]
        return Taken(contestants[approach.model].model.id, Span(asked.room), [*answers.completions], [None] * len(prepared.rows))

    plain = taken(approaches[0])
    return {a.name: make_report(prepared, taken(a), plain if a is not approaches[0] else None) for a in approaches}


def _record(
    asked: Asked,
    prepared: Plan,
    examples: Examples,
    approaches: Sequence[Approach],
    given: dict[str, Answers],
    reports: dict[str, Report],
    contestants: Contestants,
    prices: Prices | None,
) -> dict[str, Any]:
    metric = prepared.metrics[0]
    measured = [_measured(a, given[a.name], reports[a.name], metric.name) for a in approaches]
    chosen = choices(measured, metric, asked.seed)
    training = {a.name: contestants[a.model].training for a in approaches}
    best = next(m for m in measured if m.approach.name == chosen[0]["approach"])
    shown = []
    for m in measured:
        name = m.approach.name
        entry = _entry(m, given[name], reports[name].to_json(), training[name], prices)
        if m is not best:
            found, verdict = against(m, best, metric, asked.seed, len(measured) - 1)
            entry["against_best"] = {k: rounded(getattr(found, k)) for k in ("difference", "low", "high", "p")} | {
                "verdict": verdict
            }
        shown.append(entry)
    return {
        "schema": SCHEMA,
        "kind": "compare",
        "settings": {
            "k": examples.k,
            "max_tokens": asked.max_tokens,
            "stop": examples.stop,
            "seed": asked.seed,
            "retriever": "BM25 (Lucene's, bm25s)",
            "metrics": [m.name for m in prepared.metrics],
        },
        "primary": metric.name,
        "signatures": {m.name: m.signature for m in prepared.metrics},
        "n": len(prepared.rows),
        "train_rows": len(asked.train),
        "approaches": shown,
        "prices": prices.to_json() if prices else None,
        "choices": chosen,
        "rules": RULES,
        "break_even": break_even(measured, chosen, {name: (cost or {}).get("seconds") for name, cost in training.items()}),
    }


def _measured(approach: Approach, answers: Answers, report: Report, metric: str) -> Measured:
    value = report.scores[metric]["value"]
    seconds = float(np.mean([c.seconds for c in answers.completions]))
    worst = float("-inf") if METRICS[metric].higher_is_better else float("inf")
    return Measured(
        approach, report.counts[metric], worst if value is None else value, float(np.mean(answers.prompt_tokens)), seconds
    )


def _entry(
    m: Measured, answers: Answers, body: dict[str, Any], training: dict[str, Any] | None, prices: Prices | None
) -> dict[str, Any]:
    written = float(np.mean([c.tokens for c in answers.completions]))
    money = None
    if prices is not None:
        serving = prices.answers(1000, m.seconds, m.prompt_tokens, written)
        money = {"training": prices.training(training), "thousand_answers": round(serving, 6)}
    return {
        "name": m.approach.name,
        "model": body["model"],
        "scores": body["scores"],
        "failures": body["failures"],
        "latency": {key: body["latency"]["model"][key] for key in ("p50_seconds", "p95_seconds")},
        "prompt_tokens": round(m.prompt_tokens, 2),
        "completion_tokens": round(written, 2),
        "examples": round(float(np.mean(answers.examples)), 2),
        "training": training,
        "serving": {"seconds_per_thousand": round(1000 * m.seconds, 2)},
        "money": money,
        "against_best": None,
        "answers": [completion.text for completion in answers.completions],
    }
