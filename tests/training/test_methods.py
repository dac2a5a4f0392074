"""Each method of `patchbay train` on a tiny base: what is trained, what is quantized, what may be served, and what the record says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from adapters.base import describe_base
from adapters.check import check_adapter
from adapters.errors import AdapterRefused, BadInput
from adapters.limits import Limits
from training.config import load_config
from training.train import train

METHODS = ("lora", "rslora", "dora", "qlora-4bit", "qlora-8bit", "full")
LINEAR = 14  # of the tiny base: seven a layer, two layers


@pytest.fixture(scope="module")
def trained(tiny: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for method in METHODS:
        flags = {"base": str(tiny), "data": str(rows), "method": method, "max_steps": 4, "batch_size": 4, "lr": 5e-3}
        flags |= {"evals": 1, "dtype": "float32"} | ({} if method == "full" else {"rank": 4})
        made[method] = (folder / method, train(load_config(None, flags), folder / method))
    return made


@pytest.mark.parametrize("method", METHODS)
def test_the_record_on_disk_is_the_one_returned(method: str, trained: dict[str, Any]) -> None:
    out, record = trained[method]
    assert json.loads((out / "run.json").read_text()) == record
    assert (record["status"], record["method"], record["steps"]) == ("finished", method, 4)
    assert record["serve_as"] == ("base" if method in ("dora", "full") else "adapter")
    assert (out / "model").is_dir() == (record["serve_as"] == "base")
    assert (out / "adapter").is_dir() == (method != "full")


@pytest.mark.parametrize(
    ("method", "kind", "layer"), [("qlora-4bit", "nf4", "Linear4bit"), ("qlora-8bit", "int8", "Linear8bitLt")]
)
def test_qlora_holds_its_base_in_fewer_bits(method: str, kind: str, layer: str, trained: dict[str, Any]) -> None:
    facts = trained[method][1]["quantization"]
    assert (facts["kind"], facts["classes"]) == (kind, {layer: LINEAR})
    assert facts["weight_bytes"] < facts["bfloat16_bytes"] * (0.4 if kind == "nf4" else 0.6)
    assert facts["probe_difference"]["mean"] > 0, "the quantized base is not the original"
    assert trained[method][1]["parameters"]["total"] == trained["lora"][1]["parameters"]["total"], "packed numbers count whole"


@pytest.mark.parametrize("method", ["lora", "rslora", "qlora-4bit", "qlora-8bit"])
def test_an_adapter_is_one_the_service_takes(method: str, trained: dict[str, Any], tiny: Path) -> None:
    checked = check_adapter(trained[method][0] / "adapter", "a", describe_base(tiny), Limits())
    assert checked.probes is not None
    assert len(checked.manifest.target_modules) == LINEAR


@pytest.mark.parametrize("method", ["lora", "qlora-4bit", "qlora-8bit"])
def test_probes_are_those_of_the_original_base_with_the_adapter(method: str, trained: dict[str, Any], tiny: Path) -> None:
    from peft import PeftModel

    from training.probes import differences

    adapter = trained[method][0] / "adapter"
    probes = json.loads((adapter / "probes.json").read_text())["probes"]
    served = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32), adapter)
    assert differences(served, probes)["mean"] < 1e-5
    assert differences(served, probes)["effect"] > 1e-3


def test_dora_is_refused_as_an_adapter_and_served_merged(trained: dict[str, Any], tiny: Path) -> None:
    out, record = trained["dora"]
    with pytest.raises(AdapterRefused, match="merged into the base"):
        check_adapter(out / "adapter", "a", describe_base(tiny), Limits())
    lost = record["merge_difference"]
    assert 0 < lost["mean"] < lost["effect"] / 2, "bfloat16 rounds, and the adapter's effect is still there"
    merged = describe_base(out / "model")
    assert merged.quantization is None
    assert merged.origins[0] == "tiny"


def test_lora_matrices_add_up(trained: dict[str, Any], tiny: Path) -> None:
    modules = describe_base(tiny).modules
    for method in ("lora", "dora"):
        record = trained[method][1]
        assert sum(m["parameters"] for m in record["lora_matrices"].values()) == record["parameters"]["trainable"]
        for name, m in record["lora_matrices"].items():
            shape = modules[name]
            assert (m["A"], m["B"], m["rank"]) == ([4, shape.in_features], [shape.out_features, 4], 4)
            assert m["share"] == pytest.approx(m["parameters"] / (shape.in_features * shape.out_features), abs=1e-6)
    assert "magnitude" in trained["dora"][1]["lora_matrices"]["model.layers.0.mlp.up_proj"]
    assert trained["full"][1]["lora_matrices"] == {}


def test_full_fine_tuning_has_no_settings_of_an_adapter(trained: dict[str, Any], tmp_path: Path) -> None:
    assert {"rank", "alpha", "dropout", "target_modules"} <= set(trained["lora"][1]["config"])
    assert not {"rank", "alpha", "dropout", "target_modules"} & set(trained["full"][1]["config"])
    again = load_config(trained["full"][0] / "config.yaml", {})
    assert again.resolved() == trained["full"][1]["config"], "what a run wrote can be given to another"
    with pytest.raises(BadInput, match="has no rank or dropout, got 4; leave out"):
        load_config(None, {"data": "-", "method": "full", "rank": 4, "dropout": 0.0})
    (tmp_path / "own.yaml").write_text("alpha: 8")
    with pytest.raises(BadInput, match="has no alpha, got 8"):
        load_config(tmp_path / "own.yaml", {"data": "-", "method": "full"})
