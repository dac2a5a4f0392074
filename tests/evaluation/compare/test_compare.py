"""Approaches on identical items: what each is shown, what it costs, and the choices that follow from the figures."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from adapters.errors import BadInput, Unavailable
from evaluation.compare.approaches import APPROACHES, Contestant
from evaluation.compare.choices import Measured, break_even, choices
from evaluation.compare.contestants import remote
from evaluation.compare.cost import Prices, training_cost
from evaluation.compare.examples import Examples, with_examples
from evaluation.compare.remote import RemoteModel
from evaluation.compare.run import Asked, compare
from evaluation.compare.show import show
from evaluation.model import Completion
from evaluation.rows import Row, rows_of
from evaluation.scores import METRICS
from training.notebook.language import Language
from training.notebook.records import Records
from training.notebook.render import markdown, sections

WORDS = ("apple", "brick", "cloud", "delta", "eagle", "flint", "grape", "house")


def row(word: str, number: int = 0) -> dict[str, Any]:
    return {"prompt": f"item {word} number {number}:", "completion": f" {word.upper()}"}


class Copier:
    """Says what the last example in its prompt says; without one nothing of use. `knows` answers by itself."""

    def __init__(self, name: str, knows: bool = False, seconds: float = 0.02) -> None:
        self.id, self.knows, self.seconds = name, knows, seconds
        self.asked: list[str] = []

    async def complete(self, prompt: Any, max_tokens: int, stop: str | None = None) -> Completion:
        self.asked.append(prompt)
        *examples, question = prompt.split("\n\n")
        text = f" {question.split()[1].upper()}" if self.knows else examples[-1].rsplit(" ", 1)[-1] if examples else "?"
        return Completion(text, 2, self.seconds)


def asked(**changes: Any) -> Asked:
    items = rows_of([row(word, n) for n, word in enumerate(WORDS * 5)])
    train = rows_of([row(word, 100 + n) for n, word in enumerate(WORDS)], need="training")
    told = {
        "items": items,
        "train": train,
        "metrics": (),
        "k": 2,
        "max_tokens": 4,
        "limit": None,
        "seed": 1,
        "room": 1000,
        "count": len,
    }
    return Asked(**(told | changes))


COST = {"run": "r", "seconds": 60.0, "tokens": 1000, "trained_parameters": 10, "weight_bytes": 40}


def contest(cost: dict[str, Any] = COST, **changes: Any) -> tuple[dict[str, Any], dict[str, Copier]]:
    models = {
        "base": Copier("base"),
        "adapter": Copier("adapter", knows=True, seconds=0.01),
        "full": Copier("full", knows=True, seconds=0.015),
    }
    contestants = {name: Contestant(model, None if name == "base" else cost) for name, model in models.items()}
    prices = Prices("EUR", hour=36.0, prompt_million=1000.0)
    record = asyncio.run(compare(asked(**changes), contestants, prices, lambda: None))
    return record | {"data": {"items": "test.jsonl", "n": 40}, "base": "base", "path": "c"}, models


def test_each_approach_is_shown_what_it_is_called() -> None:
    record, models = contest()
    found = {a["name"]: a for a in record["approaches"]}
    assert list(found) == [approach.name for approach in APPROACHES]
    assert [found[name]["scores"]["accuracy"]["value"] for name in ("zero_shot", "retrieval", "lora", "full")] == [0, 1, 1, 1]
    assert found["few_shot"]["scores"]["accuracy"]["value"] == pytest.approx(1 / 8), "one label of eight is always said"
    assert [found[name]["examples"] for name in found] == [0, 2, 2, 0, 2, 0]
    zero, few, nearest = models["base"].asked[:3]
    assert zero == "item apple number 0:"
    assert few.endswith(f"\n\n{zero}")
    assert f"item apple number 100: APPLE\n\n{zero}" in nearest, "the nearest stands next to the question"
    assert record["settings"]["stop"] == "\n\n"
    assert found["lora"]["scores"]["accuracy"]["baseline"] == 0
    assert found["retrieval"]["prompt_tokens"] > found["zero_shot"]["prompt_tokens"]


def test_costs_are_time_tokens_and_money() -> None:
    record, _ = contest()
    found = {a["name"]: a for a in record["approaches"]}
    assert found["lora"]["serving"]["seconds_per_thousand"] == 10
    assert found["lora"]["money"]["training"] == pytest.approx(0.6)
    tokens = found["lora"]["prompt_tokens"]
    assert found["lora"]["money"]["thousand_answers"] == pytest.approx(0.1 + 1000 * tokens * 1000 / 1e6, rel=1e-3)
    assert found["zero_shot"]["training"] is None
    assert found["zero_shot"]["money"]["training"] == 0


def test_a_training_of_unknown_length_is_not_free() -> None:
    """That of an adapter without its run."""
    record, _ = contest(COST | {"seconds": None})
    found = {a["name"]: a for a in record["approaches"]}
    assert [found[name]["money"]["training"] for name in ("retrieval", "lora", "full")] == [0, None, None]
    assert record["break_even"][0] == {"approach": "lora", "over": "retrieval", "answers": None}
    text = show(record)
    assert "per 1,000  trained -" in text
    assert "lora has paid back its training over retrieval after an unknown number of answers" in text
    language = Language("en")
    told = markdown(sections(Records([record]), language), language)
    assert re.search(r"\| LoRA \| - \| [\d.]+ EUR \+ - \|", told)
    assert "No record says how long the training of LoRA took" in told


def test_choices_follow_from_the_figures() -> None:
    record, _ = contest()
    assert {c["use"]: c["approach"] for c in record["choices"]} == {
        "best": "lora",  # as right as the others, with the shortest prompt
        "serving": "lora",
        "no_training": "retrieval",
        "changing_data": "retrieval",
        "many_tasks": "lora",
    }
    assert record["break_even"][0] == {"approach": "lora", "over": "retrieval", "answers": 6000}
    against = {a["name"]: a["against_best"] for a in record["approaches"]}
    assert against["lora"] is None
    assert against["zero_shot"]["verdict"] == "worse"
    assert against["full"]["verdict"] == "no difference shown"


def test_a_difference_that_is_not_shown_lets_the_cheaper_serve() -> None:
    def measured(name: str, right: int, tokens: float, seconds: float) -> Measured:
        approach = next(a for a in APPROACHES if a.name == name)
        counts = np.array([[n < right, 1] for n in range(40)], dtype=float)
        return Measured(approach, counts, right / 40, tokens, seconds)

    field = [measured("zero_shot", 20, 10, 0.01), measured("few_shot", 21, 90, 0.05), measured("lora", 39, 10, 0.03)]
    found = {c["use"]: c["approach"] for c in choices(field, METRICS["accuracy"], 1)}
    assert found == {"best": "lora", "serving": "lora", "no_training": "zero_shot", "many_tasks": "lora"}
    assert break_even(field, choices(field, METRICS["accuracy"], 1), {"lora": 60.0}) == [], "it answers more slowly"


def test_examples_that_do_not_fit_are_left_out() -> None:
    rows = rows_of([row(word) for word in WORDS])
    question = "item apple number 7:"
    assert with_examples(question, rows[:3], lambda text: len(text) < 80)[1] == 2
    assert with_examples(question, rows[:3], lambda text: False) == (question, 0)
    record, _ = contest(room=30)
    assert {a["examples"] for a in record["approaches"]} == {0}


def test_fixed_examples_show_every_label_before_any_twice() -> None:
    rows = rows_of([row(word, n) for n, word in enumerate([*WORDS[:1] * 20, *WORDS[1:3]])])
    for seed in range(5):
        assert {r.answer for r in Examples(rows, 3, seed).fixed} == {" APPLE", " BRICK", " CLOUD"}


def test_messages_become_turns_and_end_by_themselves() -> None:
    def talk(word: str) -> dict[str, Any]:
        return {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": word},
                {"role": "assistant", "content": word.upper()},
            ]
        }

    examples = Examples(rows_of([talk(word) for word in WORDS]), 1, 1)
    assert examples.stop is None
    question = rows_of([talk("brick")])[0].question
    found, count = with_examples(question, examples.nearest(question), lambda _: True)  # type: ignore[arg-type]
    assert count == 1
    assert [(m["role"], m["content"]) for m in found] == [
        ("system", "s"),
        ("user", "brick"),
        ("assistant", "BRICK"),
        ("user", "brick"),
    ]  # type: ignore[index]


def test_answers_with_blank_lines_are_not_cut() -> None:
    assert Examples(rows_of([{"prompt": "a", "completion": "b\n\nc"}]), 1, 1).stop is None


@pytest.mark.parametrize("question", ["", "?!", "unheard of"])
def test_questions_without_a_known_word_get_examples_all_the_same(question: str) -> None:
    for words in (WORDS, ("?", "!")):
        examples = Examples([Row(n, prompt=word, completion=" a") for n, word in enumerate(words)], 2, 1)
        assert len(examples.nearest(question)) == 2


def test_what_has_no_answers_is_refused() -> None:
    with pytest.raises(BadInput, match="perplexity has none"):
        contest(metrics=("perplexity",))
    text = [Row(1, text="once upon a time")]
    with pytest.raises(BadInput, match="text has none"):
        contest(items=text)
    with pytest.raises(BadInput, match="training rows are text"):
        contest(train=text)


def test_the_notebook_and_the_terminal_show_it() -> None:
    record, _ = contest()
    language = Language("en")
    found = markdown(sections(Records([record]), language), language)
    assert "| LoRA | 60 s | 20." in found
    assert "LoRA has paid back its training over retrieval of examples (BM25) after 6,000 answers" in found
    text = show(record)
    assert "lora           accuracy 1 [1, 1]  0.010 s" in text
    assert "serving: lora" in text


def test_training_costs_come_from_the_run(tmp_path: Path) -> None:
    run = tmp_path / "route"
    (run / "adapter").mkdir(parents=True)
    (run / "adapter" / "w.safetensors").write_bytes(b"x" * 40)
    assert training_cost(run)["seconds"] is None
    record = {"kind": "run", "status": "finished", "seconds": 60.0, "tokens": 1000, "parameters": {"trainable": 10}}
    (run / "run.json").write_text(json.dumps(record))
    assert training_cost(run) == COST | {"run": "route"}


def test_a_service_is_asked_in_openais_words() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        seen.append(body | {"path": request.url.path})
        if body["model"] == "gone":
            return httpx.Response(404, json={"error": {"message": "no such model"}})
        said = {"text": " x"} if "prompt" in body else {"message": {"content": "y"}}
        return httpx.Response(200, json={"choices": [said | {"finish_reason": "length"}], "usage": {"completion_tokens": 3}})

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async def all_of_it() -> None:
        async with httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(answer)) as http:
            one = await RemoteModel(http, "route").complete("p", 4, "\n\n")
            two = await RemoteModel(http, "route").complete([{"role": "user", "content": "p"}], 4)
            assert (one.text, two.text, one.tokens, one.truncated) == (" x", "y", 3, True)
            with pytest.raises(BadInput, match="refused a question to gone: .*no such model"):
                await RemoteModel(http, "gone").complete("p", 4)
            with pytest.raises(BadInput, match="one service has one base"):
                remote(None, None, Path("full"), http)  # type: ignore[arg-type]
        async with httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(refuse)) as http:
            with pytest.raises(Unavailable, match="nothing answers at http://service"):
                await RemoteModel(http, "route").complete("p", 4)

    asyncio.run(all_of_it())
    assert seen[0] == {
        "model": "route",
        "max_tokens": 4,
        "temperature": 0,
        "stop": "\n\n",
        "prompt": "p",
        "path": "/v1/completions",
    }
    assert seen[1]["path"] == "/v1/chat/completions"
