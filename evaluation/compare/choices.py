"""When to use which approach, from the figures by rules that are stated with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.compare.approaches import Approach
from evaluation.scores import Counts, Metric
from evaluation.significance import ALPHA, Paired, paired

RULES = {
    "best": "the highest figure",
    "no_training": "of those that need no training, the best; where no difference from it is shown, the one with the fewest prompt tokens",
    "serving": "of those from which the best shows no difference, the one that answers in the least time",
    "changing_data": "the best of those that use new rows once they are in the index",
    "many_tasks": "the best of those whose task is a small file on a base that all share",
}


@dataclass(frozen=True)
class Measured:
    """An approach with what the rules look at."""

    approach: Approach
    counts: Counts
    value: float
    prompt_tokens: float
    seconds: float


def against(one: Measured, best: Measured, metric: Metric, seed: int, comparisons: int) -> tuple[Paired, str]:
    """The difference from the best, and its verdict at a level divided by the number of comparisons (Bonferroni)."""
    found = paired(one.counts, best.counts, metric.value, seed)
    return found, found.verdict(metric.higher_is_better, ALPHA / max(1, comparisons))


def choices(measured: Sequence[Measured], metric: Metric, seed: int) -> list[dict[str, str]]:
    """[{"use","approach"}] for each rule that an approach was there for."""
    sign = 1.0 if metric.higher_is_better else -1.0

    def best(of: Sequence[Measured]) -> Measured:
        return max(of, key=lambda m: (sign * m.value, -m.prompt_tokens))

    def thriftiest(of: Sequence[Measured], cost: Callable[[Measured], float]) -> Measured:
        top = best(of)
        equal = [m for m in of if m is top or against(m, top, metric, seed, len(of) - 1)[1] == "no difference shown"]
        return min(equal, key=cost)

    found = [("best", best(measured)), ("serving", thriftiest(measured, lambda m: m.seconds))]
    if untrained := [m for m in measured if not m.approach.trained]:
        found.append(("no_training", thriftiest(untrained, lambda m: m.prompt_tokens)))
    if growing := [m for m in measured if m.approach.takes_new_rows]:
        found.append(("changing_data", best(growing)))
    if shared := [m for m in measured if m.approach.model == "adapter"]:
        found.append(("many_tasks", best(shared)))
    return [{"use": use, "approach": m.approach.name} for use, m in found]


def break_even(measured: Sequence[Measured], chosen: Sequence[dict[str, str]], seconds: dict[str, Any]) -> list[dict[str, Any]]:
    """After how many answers a training has paid for itself in machine time, over the best that needs none.

    Only for what answers faster than that; `seconds` are those of each training. None where they are unknown, and so are the answers.
    """
    names = {m.approach.name: m for m in measured}
    over = next((names[choice["approach"]] for choice in chosen if choice["use"] == "no_training"), None)
    if over is None:
        return []
    faster = [m for m in measured if m.approach.trained and m.seconds < over.seconds]
    found = []
    for m in faster:
        taken = seconds[m.approach.name]
        answers = None if taken is None else round(taken / (over.seconds - m.seconds))
        found.append({"approach": m.approach.name, "over": over.approach.name, "answers": answers})
    return found
