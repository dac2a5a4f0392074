"""What "better" means: how often it is said of equals, and how often it is missed."""

import asyncio
from typing import Any

import numpy as np
import pytest

from evaluation.evaluate import evaluate, plan
from evaluation.model import Completion, Span, TokenScore
from evaluation.rows import Row, rows_of
from evaluation.scores import METRICS
from evaluation.show import show
from evaluation.significance import Paired, calibrate, paired

RATIO = METRICS["accuracy"].value


def answers(right: Any) -> Any:
    return np.stack([np.asarray(right, dtype=float), np.ones(len(right))], axis=1)


@pytest.mark.parametrize(("metric", "trials", "most"), [("accuracy", 60, 7), ("perplexity", 60, 7), ("bleu", 15, 4)])
def test_equal_systems_are_told_apart_5_times_in_100(metric: str, trials: int, most: int) -> None:
    """With a true rate of 5 %, no more than `most` of the trials in 99 cases of 100 (binomial)."""
    rng = np.random.default_rng(5)
    if metric == "bleu":
        texts = [" ".join(rng.choice(list("abcdefgh"), 12)) for _ in range(60)]
        rows = [Row(n, prompt="p", completion=text) for n, text in enumerate(texts)]
        given = [[" ".join(rng.permutation(text.split())[:10]) + " a b" for text in texts] for _ in range(2)]
        one, two = (np.stack([METRICS[metric].count(r, o) for r, o in zip(rows, outputs, strict=True)]) for outputs in given)
    elif metric == "accuracy":
        one, two = answers(rng.random(60) < 0.6), answers(rng.random(60) < 0.5)
    else:
        tokens = rng.integers(3, 30, 60)
        one, two = (np.stack([tokens * rng.gamma(4, 0.5, 60), tokens], axis=1) for _ in range(2))
    found = calibrate(one, two, METRICS[metric].value, 1, trials)
    told = found["better"] + found["worse"]
    assert found["trials"] == trials
    assert found["false_positive_rate"] == pytest.approx(told / trials, abs=1e-4)
    assert told <= most


def test_a_difference_as_large_as_the_detectable_one_is_found_four_times_in_five() -> None:
    """Power by simulation: 60 evaluations of two models that differ by just that much; 99 of 100 times 37 to 57 find it."""
    rng = np.random.default_rng(2)

    def draw(gain: float) -> tuple[Any, Any]:
        base = rng.random(100)
        return answers(base + rng.normal(gain, 0.3, 100)), answers(base)

    least = float(np.mean([paired(*draw(0.0), RATIO, seed).detectable for seed in range(5)]))
    told = sum(paired(*draw(least), RATIO, seed).verdict(True) == "better" for seed in range(60))
    assert 37 <= told <= 57


@pytest.mark.parametrize(
    ("low", "high", "p", "higher", "alpha", "wanted"),
    [
        (0.1, 0.3, 0.01, True, 0.05, "better"),
        (0.1, 0.3, 0.01, False, 0.05, "worse"),
        (-0.3, -0.1, 0.01, False, 0.05, "better"),
        (0.1, 0.3, 0.05, True, 0.05, "no difference shown"),
        (-0.1, 0.3, 0.01, True, 0.05, "no difference shown"),
        (0.1, 0.3, 0.01, True, 0.005, "no difference shown"),
        (float("nan"), float("nan"), 1.0, True, 0.05, "no difference shown"),
    ],
)
def test_verdicts(low: float, high: float, p: float, higher: bool, alpha: float, wanted: str) -> None:
    assert Paired((low + high) / 2, low, high, p, 0.1).verdict(higher, alpha) == wanted


class Clerk:
    """Knows the rows whose number is in `known`; to the others it says `otherwise`."""

    def __init__(self, id: str, known: range, otherwise: str = "no idea") -> None:
        self.id, self.known, self.otherwise = id, known, otherwise

    @property
    def span(self) -> Span:
        return Span(100)

    async def complete(self, prompt: Any, max_tokens: int) -> Completion:
        knows = int(prompt) in self.known
        return Completion("ab"[int(prompt) % 2] if knows else self.otherwise, 1, 0.01, truncated=not knows)

    async def score(self, row: Row) -> TokenScore:
        return TokenScore(1.0 if int(row.prompt or 0) in self.known else 3.0, 1)


def test_a_report_says_how_sure_it_is_and_shows_both_ends() -> None:
    rows = rows_of([{"prompt": str(n), "completion": "ab"[n % 2]} for n in range(40)])
    asked = plan(rows, ["accuracy", "perplexity"], trials=20)
    body = asyncio.run(evaluate(Clerk("adapter", range(30)), Clerk("base", range(10)), asked)).to_json()
    assert body["verdicts"] == {"accuracy": "better", "perplexity": "better"}
    assert 0.1 < body["detectable"]["accuracy"] < 0.4
    assert set(body["calibration"]) == {"accuracy", "perplexity"}
    assert body["window"] == {"length": 100, "stride": 50}
    assert body["failures"] == {"truncated": 10, "not_a_label": 10}
    assert body["baseline_failures"] == {"truncated": 30, "not_a_label": 30}
    good, bad = body["cases"]["accuracy"]["works_well"], body["cases"]["accuracy"]["limits"]
    assert len(good) == len(bad) == 5
    assert all(case["value"] == 1 and case["baseline"] == 0 for case in good), "what was gained comes first"
    assert all(case["value"] == 0 and int(case["prompt"]) >= 30 for case in bad)
    text = show(body)
    assert "better; a difference of" in text
    assert "of 20 pairs of equal systems were told apart" in text
    assert "limits, line" in text


def test_a_perfect_model_has_no_limits_and_a_useless_one_no_best_cases() -> None:
    rows = rows_of([{"prompt": str(n), "completion": "ab"[n % 2]} for n in range(20)])
    perfect = asyncio.run(evaluate(Clerk("all", range(20)), None, plan(rows, ["accuracy"]))).to_json()
    assert (len(perfect["cases"]["accuracy"]["works_well"]), perfect["cases"]["accuracy"]["limits"]) == (5, [])
    useless = asyncio.run(evaluate(Clerk("none", range(0)), None, plan(rows, ["accuracy"]))).to_json()
    assert (useless["cases"]["accuracy"]["works_well"], len(useless["cases"]["accuracy"]["limits"])) == ([], 5)
    assert "verdicts" not in perfect
    assert show(perfect)
