"""The training loop: the dtype its products are in, and when it validates."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.config import load_config
from training.loop import Curves, build_trainer, validation_steps
from training.model import load_model
from training.train import prepare, train


def test_products_are_computed_in_the_dtype_that_was_asked_for(tiny: Path, rows: Path, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    for dtype in ("float32", "bfloat16"):
        config = load_config(None, {"base": str(tiny), "data": str(rows), "method": "full", "dtype": dtype, "max_steps": 1})
        ready = prepare(config)
        model = load_model(ready.base, config)
        model.model.layers[0].mlp.up_proj.register_forward_hook(lambda _, __, out, dtype=dtype: seen.update({dtype: out.dtype}))
        trainer = build_trainer(
            config, model, tmp_path / dtype, ready.train[:2], ready.valid[:1], 2, Curves(tmp_path / "c.jsonl")
        )
        trainer.train()
    assert {name: str(found) for name, found in seen.items()} == {"float32": "torch.float32", "bfloat16": "torch.bfloat16"}


@pytest.mark.parametrize(
    ("steps", "evals", "expected"),
    [(11, 4, [2, 5, 8, 11]), (19, 10, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]), (20, 5, [4, 8, 12, 16, 20]), (3, 5, [1, 2, 3]), (7, 1, [7])],
)  # fmt: skip
def test_validations_are_as_many_as_asked_for_and_evenly_spread(steps: int, evals: int, expected: list[int]) -> None:
    assert sorted(validation_steps(steps, evals)) == expected


def test_a_run_validates_at_those_steps(tiny: Path, rows: Path, tmp_path: Path) -> None:
    flags = {"base": str(tiny), "data": str(rows), "rank": 4, "max_steps": 5, "evals": 3, "batch_size": 4, "dtype": "float32"}
    heard: list[int] = []
    train(load_config(None, flags), tmp_path / "run", lambda step, loss: heard.append(step))
    entries = [json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines()]
    assert heard == [entry["step"] for entry in entries if "eval_loss" in entry] == [1, 3, 5]
