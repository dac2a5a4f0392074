"""Kinds of adapter that PEFT writes and this service takes: the engine computes with each what PEFT does, by its probes."""

from pathlib import Path
from typing import Any

import pytest

from adapters.base import describe_base, resolve_base
from tests.e2e.conftest import Process

pytestmark = pytest.mark.e2e
TEXTS = ("name: Blue Spice, food: English\n", "Where is my card? I ordered it two weeks ago.", "def total(numbers):\n    return")
KINDS: dict[str, dict[str, Any]] = {
    "ends": {"target_modules": ["embed_tokens", "lm_head"], "r": 4},
    "patterns": {
        "target_modules": r".*\.(q_proj|v_proj|down_proj)",
        "exclude_modules": r".*\.layers\.5\..*",
        "r": 4,
        "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 8, "down_proj": 2},
        "alpha_pattern": {"v_proj": 32, r"^model\.layers\.1\.mlp\.down_proj": 3},
        "use_rslora": True,
    },
    "some layers": {"target_modules": ["q_proj", "o_proj"], "layers_to_transform": [1, 4], "init_lora_weights": "gaussian"},
}


def write_peft_adapter(folder: Path, options: dict[str, Any]) -> None:
    """An adapter by PEFT with random B, and what PEFT computes with it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.probes import write_probes

    base = resolve_base("embedded")
    torch.manual_seed(3)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path="embedded", lora_alpha=16, **options),
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name or "lora_embedding_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    write_probes(
        folder / "probes.json", model, [{"input_ids": tokenizer(text)["input_ids"]} for text in TEXTS], describe_base(base).digest
    )


@pytest.mark.filterwarnings("ignore")
def test_each_kind_is_served_as_peft_computes_it(service: Process, tmp_path: Path) -> None:
    for number, (kind, options) in enumerate(KINDS.items()):
        write_peft_adapter(tmp_path / kind, options)
        made = service.client.push(tmp_path / kind, f"kind-{number}")
        assert made["status"] == "verified", kind
        assert made["probe"]["mean_difference"] < 0.05 < made["probe"]["effect"]
        service.client.call("DELETE", f"/v1/adapters/kind-{number}")
