"""Merging: the merged base computes what base and adapter do, what a quantized base gives up is said, bad input leaves nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from adapters.base import describe_base
from adapters.errors import AdapterRefused, Conflict
from tests.makers import lora_config, lora_tensors, write_adapter
from training.config import load_config
from training.merge import merge
from training.quantize import quantize
from training.train import train


@pytest.fixture(scope="module")
def run(tiny: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "numbers"
    flags: dict[str, Any] = {"base": str(tiny), "data": str(rows), "rank": 4, "max_steps": 12, "batch_size": 4, "lr": 5e-3}
    train(load_config(None, flags | {"evals": 1, "dtype": "float32"}), out)
    return out


def test_a_merged_base_computes_what_the_adapter_did(tiny: Path, run: Path, tmp_path: Path) -> None:
    note = merge(str(tiny), run, tmp_path / "merged")
    assert note == json.loads((tmp_path / "merged" / "patchbay.json").read_text())
    assert note["merge_difference"]["mean"] < note["merge_difference"]["effect"] / 2
    assert (note["adapter"]["name"], note["adapter"]["method"]) == ("numbers", "lora")
    assert "warning" not in note
    merged, plain = (AutoModelForCausalLM.from_pretrained(path) for path in (tmp_path / "merged", tiny))
    assert merged.dtype == torch.bfloat16
    assert not torch.equal(merged.model.layers[0].mlp.up_proj.weight, plain.model.layers[0].mlp.up_proj.weight)
    assert describe_base(tmp_path / "merged").modules == describe_base(tiny).modules


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantized_base_is_unpacked_with_a_warning(kind: str, tiny: Path, run: Path, tmp_path: Path) -> None:
    quantize(str(tiny), tmp_path / kind, kind)
    note = merge(str(tmp_path / kind), run, tmp_path / "merged")
    assert "merge into tiny instead" in note["warning"]
    assert note["weight_bytes"]["after"] > note["weight_bytes"]["before"]
    assert note["merge_difference"]["mean"] < note["merge_difference"]["effect"]
    merged = describe_base(tmp_path / "merged")
    assert (merged.quantization, merged.origins[0]) == (None, kind)


def test_what_does_not_fit_leaves_nothing(tiny: Path, run: Path, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other", lora_tensors(), lora_config())
    with pytest.raises(AdapterRefused):
        merge(str(tiny), other, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(Conflict):
        merge(str(tiny), run, tmp_path / "full")
