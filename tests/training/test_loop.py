"""The training loop: the dtype its products are in."""

from pathlib import Path
from typing import Any

from training.config import load_config
from training.loop import Curves, build_trainer
from training.model import load_model
from training.train import prepare


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
