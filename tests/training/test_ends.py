"""Adapters where tokens come in or go out, on a base that has one tensor for both."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from adapters.base import describe_base
from adapters.check import check_adapter
from adapters.limits import Limits
from evaluation.quiet import be_quiet
from training.config import load_config
from training.merge import merge
from training.train import train

# PEFT's warnings.
pytestmark = pytest.mark.filterwarnings("error:Model has `tie_word", "error:Setting `save_embedding")
ENDS = ("embed_tokens,q_proj", "lm_head", "embed_tokens,lm_head")


def trained(method: str, modules: str, tiny: Path, rows: Path, out: Path) -> dict[str, Any]:
    be_quiet()
    flags = {"base": str(tiny), "data": str(rows), "rank": 4, "max_steps": 4, "batch_size": 4, "lr": 5e-2, "evals": 2}
    return train(load_config(None, flags | {"dtype": "float32", "method": method, "target_modules": modules}), out)


@pytest.mark.parametrize("modules", ENDS)
def test_an_adapter_holds_its_own_weights_alone_and_merges(modules: str, tiny: Path, rows: Path, tmp_path: Path) -> None:
    record = trained("lora", modules, tiny, rows, tmp_path / "run")
    assert sum(matrices["parameters"] for matrices in record["lora_matrices"].values()) == record["parameters"]["trainable"]
    with safe_open(tmp_path / "run" / "adapter" / "adapter_model.safetensors", "pt") as file:
        assert all("lora_" in name for name in file.keys())  # noqa: SIM118  # it is no mapping
    assert check_adapter(tmp_path / "run" / "adapter", "a", describe_base(tiny), Limits()).probes is not None
    lost = merge(str(tiny), tmp_path / "run", tmp_path / "merged")["merge_difference"]
    assert lost["mean"] < lost["effect"] / 20
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is False


def test_dora_merges_there_too(tiny: Path, rows: Path, tmp_path: Path) -> None:
    record = trained("dora", "embed_tokens,q_proj", tiny, rows, tmp_path / "run")
    assert record["lora_matrices"]["model.embed_tokens"]["magnitude"]
    assert record["merge_difference"]["mean"] < record["merge_difference"]["effect"] / 20
