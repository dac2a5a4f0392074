"""`patchbay pretrain` itself, on a recipe cut down to seconds: it resumes to the same weights and refuses to overwrite."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapters.errors import BadInput
from training.pretrain import mixture, run
from training.pretrain.exam import examine
from training.pretrain.run import Recipe, pretrain
from training.pretrain.tokenizer import train_tokenizer


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A recipe of a few thousand parameters; returns the tokens of four steps."""

    def recipe(tokens: int, seed: int) -> Recipe:
        return Recipe(
            tokens=tokens, seed=seed, vocabulary=600, hidden=64, intermediate=64, layers=1, heads=2, positions=512,
            batch_tokens=256, length=64, long_length=128, exam_every=2, warmup_steps=2,
        )  # fmt: skip

    def report(*_: object) -> dict[str, dict[str, float]]:
        return {"repeat": {"perplexity": 9.0, "exact": 0.0}}

    monkeypatch.setattr(run, "Recipe", recipe)
    monkeypatch.setattr(run, "examine", report)
    monkeypatch.setattr(mixture, "tokenizer_text", _short_text)
    return 4 * 256


def _short_text(seed: int, documents: int) -> list[str]:
    del documents
    return ["".join(s.text for s in mixture.draw_document(random.Random(seed + i), 1.0)) for i in range(200)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(small: int, tmp_path: Path) -> None:
    whole = pretrain(tmp_path / "whole", tokens=small, seed=1, resume=False)

    class Interrupt(Exception):
        pass

    steps = 0
    step = run._step

    def stop_at_third(*args: object) -> float:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise Interrupt
        return step(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_step", stop_at_third)
        with pytest.raises(Interrupt):
            pretrain(tmp_path / "parts", tokens=small, seed=1, resume=False)
    resumed = pretrain(tmp_path / "parts", tokens=small, seed=1, resume=True)
    expected, found = weights(whole), weights(resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_finished_folder_is_a_base_with_a_card_and_a_chat_template(small: int, tmp_path: Path) -> None:
    folder = pretrain(tmp_path, tokens=small, seed=1, resume=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True, tokenize=False)
    assert prompt == "<s><|user|>\nhi\n<|assistant|>\n"
    assert tokenizer("hi")["input_ids"][0] == tokenizer.bos_token_id
    assert json.loads((folder / "patchbay.json").read_text())["recipe"]["tokens"] == small
    assert "| repeat | 9.00 | 0.00 |" in (folder / "README.md").read_text()


def test_an_existing_run_is_not_overwritten(small: int, tmp_path: Path) -> None:
    pretrain(tmp_path, tokens=small, seed=1, resume=False)
    with pytest.raises(BadInput, match="--resume"):
        pretrain(tmp_path, tokens=small, seed=1, resume=False)


def test_a_budget_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="-5"):
        pretrain(tmp_path / "run", tokens=-5, seed=1, resume=False)
    assert not (tmp_path / "run").exists()


def test_the_rate_warms_up_holds_and_falls_to_nought() -> None:
    recipe = Recipe(tokens=6144 * 1000)
    assert recipe.rate(0) < 0.1
    assert recipe.rate(500) == 1.0
    assert recipe.rate(999) < 0.01


def test_a_blank_model_fails_the_exam() -> None:
    tokenizer = train_tokenizer(_short_text(1, 1), 600)
    torch.manual_seed(0)
    model = run._new_model(Recipe(tokens=1, vocabulary=600, hidden=64, intermediate=64, layers=1, heads=2))
    report = examine(model, tokenizer)
    assert report["repeat"]["exact"] == 0.0
    assert report["repeat"]["perplexity"] > 100
