"""Scores against figures worked out by hand or by the libraries themselves."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
import sacrebleu

from adapters.errors import BadInput
from evaluation.evaluate import evaluate, plan
from evaluation.model import Completion, Span, TokenScore
from evaluation.normalize import fields, normalized
from evaluation.rows import Row, rows_of
from evaluation.scores import METRICS, suggested
from evaluation.significance import bootstrap, permutation_p


def total(metric: str, pairs: list[tuple[Row, Any]]) -> float:
    chosen = METRICS[metric]
    return chosen.value(np.stack([chosen.count(row, output) for row, output in pairs]).sum(axis=0))


def test_bleu_is_sacrebleus_with_ragged_references() -> None:
    rows = [
        Row(1, prompt="a", references=("the cat sat on the mat", "a cat was on the mat")),
        Row(2, prompt="b", references=("there is a dog in the park today",)),
        Row(3, prompt="c", references=("one two three four five six", "one two three", "six five four three")),
    ]
    outputs = ["the cat was on a mat", "there is one dog in the park", "one two three four"]
    references = [[row.references[n] if n < len(row.references) else None for row in rows] for n in range(3)]
    wanted = sacrebleu.BLEU().corpus_score(outputs, references).score
    assert total("bleu", list(zip(rows, outputs, strict=True))) == pytest.approx(wanted)
    wanted = sacrebleu.CHRF().corpus_score(outputs, references).score
    assert total("chrf", list(zip(rows, outputs, strict=True))) == pytest.approx(wanted)


def test_perplexity_is_over_tokens() -> None:
    row = Row(1, text="x")
    assert total("perplexity", [(row, TokenScore(2.0, 1)), (row, TokenScore(1.0, 5))]) == pytest.approx(math.exp(3 / 6))


def test_accuracy_and_exact_match() -> None:
    row = Row(1, prompt="p", completion=" Card  Lost")
    assert total("accuracy", [(row, "card lost"), (row, "card")]) == 0.5
    order = Row(1, prompt="p", completion='{"a": 1, "b": "x"}')
    assert total("exact_match", [(order, ' {"b":"x","a":1}'), (order, '{"a": 2, "b": "x"}')]) == 0.5
    assert total("field_f1", [(order, '{"a": 2, "b": "X"}'), (order, "no json")]) == pytest.approx(2 / (2 + 1 + 3))


def test_rouge_l() -> None:
    assert total("rouge_l", [(Row(1, prompt="p", completion="the cat sat"), "the dog sat")]) == pytest.approx(2 / 3)


def test_normalizer_and_fields() -> None:
    assert normalized(" Ａb\n C ") == "ab c"
    assert fields({"a": [{"b": 1}], "c": "X"}) == {(".a[].b", "1"), (".c", "x")}


def test_suggested_metrics() -> None:
    assert suggested(rows_of([{"prompt": str(n), "completion": "yes"} for n in range(9)])) == ("perplexity", "accuracy")
    assert suggested(rows_of([{"prompt": "x", "completion": '{"a": 1}'}])) == ("perplexity", "exact_match", "field_f1")
    assert suggested(rows_of([{"prompt": "x", "references": ["a b", "c"]}])) == ("bleu", "chrf")
    assert suggested(rows_of([{"text": "x y"}])) == ("perplexity",)


def test_the_metrics_fit_all_rows_however_few_are_drawn() -> None:
    rows = rows_of([{"prompt": str(n), "completion": f"label {n % 6}"} for n in range(60)])
    assert [metric.name for metric in plan(rows, [], limit=8).metrics] == ["perplexity", "accuracy"]


def test_a_metric_that_the_rows_do_not_allow() -> None:
    with pytest.raises(BadInput, match="perplexity needs a completion"):
        plan(rows_of([{"prompt": "x", "references": ["a"]}]), ["perplexity"])
    with pytest.raises(BadInput, match="unknown metric 'blue'"):
        plan(rows_of([{"text": "x"}]), ["blue"])


def test_an_interval_holds_the_value_and_narrows() -> None:
    rng = np.random.default_rng(0)
    wide = np.stack([(rng.random(50) < 0.7).astype(float), np.ones(50)], axis=1)
    narrow = np.tile(wide, (20, 1))
    ratio = METRICS["accuracy"].value
    low, high = bootstrap(wide, ratio, 1)
    assert low < ratio(wide.sum(axis=0)) < high
    tight_low, tight_high = bootstrap(narrow, ratio, 1)
    assert tight_high - tight_low < (high - low) / 2


def test_p_is_small_for_a_difference_and_large_for_none() -> None:
    good = np.stack([np.ones(40), np.ones(40)], axis=1)
    bad = np.stack([np.zeros(40), np.ones(40)], axis=1)
    ratio = METRICS["accuracy"].value
    assert permutation_p(good, bad, ratio, 1) < 0.01
    assert permutation_p(good, good, ratio, 1) == 1.0


def test_p_is_calibrated_where_there_is_no_difference() -> None:
    """Two models of equal worth: p below 0.2 about one time in five."""
    rng = np.random.default_rng(3)
    ratio = METRICS["accuracy"].value
    ps = []
    for seed in range(60):
        one, two = ((rng.random(60) < 0.5).astype(float) for _ in range(2))
        ps.append(permutation_p(np.stack([one, np.ones(60)], 1), np.stack([two, np.ones(60)], 1), ratio, seed))
    assert 0.03 <= np.mean([p < 0.2 for p in ps]) <= 0.4


class Parrot:
    """Answers each prompt with itself, in a given voice."""

    def __init__(self, id: str, prefix: str = "") -> None:
        self.id, self.prefix = id, prefix

    @property
    def span(self) -> Span:
        return Span(64)

    async def complete(self, prompt: Any, max_tokens: int) -> Completion:
        return Completion(self.prefix + str(prompt), 1, 0.01)

    async def score(self, row: Row) -> TokenScore:
        return TokenScore(float(len(self.prefix) + 1), 1)


def test_a_whole_evaluation_is_paired_and_repeatable() -> None:
    rows = rows_of([{"prompt": str(n), "completion": str(n)} for n in range(30)])
    seen: list[int] = []
    asked = plan(rows, ["accuracy", "perplexity"], limit=10, seed=4)
    once = asyncio.run(evaluate(Parrot("good"), Parrot("bad", "not "), asked, on_progress=lambda done, total: seen.append(done)))
    again = asyncio.run(evaluate(Parrot("good"), Parrot("bad", "not "), plan(rows, ["accuracy", "perplexity"], limit=10, seed=4)))
    assert once.to_json()["scores"] == again.to_json()["scores"]
    assert once.n == 10
    assert seen == list(range(1, 41))
    accuracy = once.scores["accuracy"]
    assert (accuracy["value"], accuracy["baseline"], accuracy["difference"]) == (1.0, 0.0, 1.0)
    assert once.samples[0]["baseline_output"].startswith("not ")
