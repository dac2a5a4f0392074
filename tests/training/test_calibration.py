"""What a base is fitted to: rows of each task, each through its own adapter, and nothing of the adapters left behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from adapters.base import describe_base
from adapters.errors import AdapterRefused, BadInput
from evaluation.local import load_net
from training.calibration import LENGTH, SAMPLES, Texts, adapted, batches, texts_of
from training.quantize import quantize


@pytest.fixture(scope="module")
def adapters(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two that change what every layer sees a great deal."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        layers = ["embed_tokens", "q_proj", "o_proj", "up_proj", "down_proj"]
        net = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), LoraConfig(r=4, lora_alpha=8, target_modules=layers))
        for name, parameter in net.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        made.append(tmp_path_factory.mktemp("adapters") / f"a{seed}")
        net.peft_config["default"].task_type = "CAUSAL_LM"
        net.save_pretrained(made[-1], save_embedding_layers=False)
        (made[-1] / "README.md").unlink()
    return made


def logits(net: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = net(ids).logits.float()
    return found


def test_each_text_of_a_batch_goes_through_its_own_adapter_and_then_they_are_gone(tiny: Path, adapters: list[Path]) -> None:
    ids = torch.arange(5, 17).repeat(2, 1)
    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    before = logits(plain, ids)
    alone = [
        logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32), str(folder)), ids[:1])
        for folder in adapters
    ]
    with adapted(plain, [Texts("x", [], folder) for folder in adapters]) as added:
        assert any(name.endswith("embed_tokens") for name in added)
        assert any(".lora_A" in name for name in added)
        torch.testing.assert_close(logits(plain, ids), torch.cat(alone))
    assert (alone[0] - alone[1]).abs().max() > 0.1
    assert torch.equal(logits(plain, ids), before)
    assert not any("lora" in name for name, _ in plain.named_modules())


def test_batches_hold_one_text_of_each_cut_to_the_shorter() -> None:
    long, short = [[7] * 9, [7] * 3, [7] * 6, [7] * 4], [[8] * 5, [8] * 2]
    made = list(batches([Texts("a", long), Texts("b", short)]))
    assert [batch["input_ids"].tolist() for batch in made] == [
        [[7, 7], [8, 8]],
        [[7, 7], [8, 8]],
        [[7] * 5, [8] * 5],
        [[7] * 5, [8] * 5],
    ]
    assert all(batch["attention_mask"].all() for batch in made)


def test_rows_are_drawn_from_the_whole_file(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"{n} " + "word " * (n % 400)}) for n in range(2 * SAMPLES)))
    (found,) = texts_of(describe_base(tiny), [file], [])
    assert (len(found.ids), found.source, found.adapter) == (SAMPLES, str(file), None)
    assert max(map(len, found.ids)) <= LENGTH
    assert found.ids == texts_of(describe_base(tiny), [file], [])[0].ids
    (plain,) = texts_of(describe_base(tiny), [], [])
    assert plain.source == "standard library"
    assert len(plain.ids) > 50


def test_each_adapter_needs_rows_of_its_own(tiny: Path, rows: Path, adapters: list[Path], tmp_path: Path) -> None:
    file = rows / "train.jsonl"
    for files, given in (([], adapters), ([file], adapters), ([file, file], [])):
        with pytest.raises(BadInput, match="give each --adapter a --calibration"):
            quantize(str(tiny), tmp_path / "made", "gptq", files, given)
    with pytest.raises(AdapterRefused):
        quantize(str(tiny), tmp_path / "made", "gptq", [file], [rows])
    with pytest.raises(BadInput, match="fits nothing"):
        quantize(str(tiny), tmp_path / "made", "int8", [file], adapters[:1])
    assert not (tmp_path / "made").exists()


def test_a_base_fitted_under_adapters_is_nearer_to_the_original_with_them(
    tiny: Path, rows: Path, adapters: list[Path], tmp_path: Path
) -> None:
    file = rows / "train.jsonl"
    quantize(str(tiny), tmp_path / "plain", "gptq", [file])
    note = quantize(str(tiny), tmp_path / "fitted", "gptq", [file, file], adapters)
    assert [part["adapter"] for part in note["settings"]["texts"]] == [str(folder) for folder in adapters]
    config = json.loads((tmp_path / "fitted" / "config.json").read_text())
    assert config["quantization_config"]["ignore"] == ["lm_head"]
    ids = torch.tensor([texts_of(describe_base(tiny), [rows / "valid.jsonl"], [])[0].ids[0]])

    def with_adapter(base: Path, folder: Path) -> torch.Tensor:
        return logits(PeftModel.from_pretrained(load_net(describe_base(base)).float(), str(folder)), ids)

    for folder in adapters:
        wanted = with_adapter(tiny, folder)
        away = {name: float((with_adapter(tmp_path / name, folder) - wanted).abs().mean()) for name in ("plain", "fitted")}
        assert away["fitted"] < away["plain"]
