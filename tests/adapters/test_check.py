"""An adapter with one fault is refused for that fault; one with many, for each of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.check import check_adapter
from adapters.errors import AdapterRefused
from adapters.limits import Limits
from tests.makers import EMBEDDED, MODULES, lora_config, lora_tensors, write_adapter

A0 = f"base_model.model.{MODULES[0]}.lora_A.weight"
B0 = f"base_model.model.{MODULES[0]}.lora_B.weight"


def refusal(folder: Path, **kwargs: Any) -> set[str]:
    with pytest.raises(AdapterRefused) as caught:
        check_adapter(folder, "a", EMBEDDED, Limits(rank=16), **kwargs)
    return {problem.code for problem in caught.value.problems}


def test_a_good_adapter_passes(tmp_path: Path) -> None:
    checked = check_adapter(write_adapter(tmp_path / "a"), "a", EMBEDDED, Limits())
    assert checked.manifest.rank == 4
    assert checked.manifest.target_modules == MODULES
    assert checked.manifest.version.startswith("sha256:")
    assert checked.manifest.tensor_bytes == sum(t.nbytes for t in lora_tensors().values())


def test_the_version_is_the_content(tmp_path: Path) -> None:
    first = check_adapter(write_adapter(tmp_path / "a"), "a", EMBEDDED, Limits()).manifest
    again = check_adapter(write_adapter(tmp_path / "b"), "b", EMBEDDED, Limits()).manifest
    other = check_adapter(write_adapter(tmp_path / "c", seed=1), "a", EMBEDDED, Limits()).manifest
    assert first.version == again.version != other.version


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"r": 4, "lora_alpha": NaN}', "bad_json"),
        (lora_config(r=0), "bad_rank"),
        (lora_config(r=-1), "bad_rank"),
        (lora_config(r="4"), "bad_rank"),
        (lora_config(r=True), "bad_rank"),
        (lora_config(r=17), "rank_too_large"),
        (lora_config(rank_pattern={"q_proj": 17}), "rank_too_large"),
        (lora_config(rank_pattern={"(a+)+": 4}), "bad_pattern"),
        (lora_config(lora_alpha=1e30), "bad_alpha"),
        (lora_config(lora_alpha=0), "bad_alpha"),
        (lora_config(use_dora=True), "unsupported_feature"),
        (lora_config(bias="all"), "unsupported_feature"),
        (lora_config(modules_to_save=["lm_head"]), "unsupported_feature"),
        (lora_config(layer_replication=[[0, 2]]), "unsupported_feature"),
        (lora_config(auto_mapping={"parent_library": "os", "base_model_class": "system"}), "unsupported_feature"),
        (lora_config(a_later_invention=1), "unsupported_feature"),
        (lora_config(init_lora_weights="pissa"), "unsupported_feature"),
        (lora_config(peft_type="IA3"), "unsupported_peft_type"),
        (lora_config(peft_type=...), "unsupported_peft_type"),
        (lora_config(task_type="SEQ_CLS"), "unsupported_task"),
        (lora_config(target_modules=[]), "bad_config"),
        (lora_config(base_model_name_or_path="meta/other"), "base_mismatch"),
        (lora_config(base_model_name_or_path=None), "base_mismatch"),
    ],
)
def test_a_bad_config_is_refused(tmp_path: Path, config: Any, code: str) -> None:
    assert code in refusal(write_adapter(tmp_path, config=config))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({A0: None}, "missing_tensor"),
        ({A0: np.full((4, 256), np.nan, np.float32)}, "not_finite"),
        ({B0: np.full((256, 4), np.inf, np.float16)}, "not_finite"),
        ({A0: np.ones((256, 4), np.float32)}, "wrong_shape"),
        ({A0: np.ones((8, 256), np.float32), B0: np.ones((256, 8), np.float32)}, "wrong_shape"),
        ({A0: np.ones((4, 128), np.float32)}, "wrong_shape"),
        ({A0: np.ones((4 * 256,), np.float32)}, "wrong_shape"),
        ({A0: np.ones((4, 256), np.int8)}, "wrong_dtype"),
        ({"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": np.ones((4, 256), np.float32)}, "unknown_module"),
        ({"model.embed_tokens.weight": np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({B0: np.zeros((256, 4), np.float32), B0.replace(MODULES[0], MODULES[1]): np.zeros((256, 4), np.float32)}, "no_effect"),
    ],
)
def test_bad_tensors_are_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    tensors = {name: tensor for name, tensor in (lora_tensors() | changes).items() if tensor is not None}
    assert code in refusal(write_adapter(tmp_path, tensors))


def test_no_tensors_at_all(tmp_path: Path) -> None:
    assert refusal(write_adapter(tmp_path, {})) == {"no_tensors"}


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    tensors = lora_tensors() | {A0: np.full((4, 256), np.nan, np.float32), "stray": np.ones(3, np.float32)}
    config = lora_config(use_dora=True, base_model_name_or_path="x/y")
    found = refusal(write_adapter(tmp_path, tensors, config))
    assert found == {"unsupported_feature", "base_mismatch", "not_finite", "unexpected_tensor"}


def test_a_person_may_overrule_the_base_but_not_the_shapes(tmp_path: Path) -> None:
    config = lora_config(base_model_name_or_path="meta/other")
    checked = check_adapter(write_adapter(tmp_path / "a", config=config), "a", EMBEDDED, Limits(), accept_base=True)
    assert checked.manifest.base.overruled
    wrong = lora_tensors() | {A0: np.ones((4, 128), np.float32)}
    assert refusal(write_adapter(tmp_path / "b", wrong, config), accept_base=True) == {"wrong_shape"}


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    weights = write_adapter(tmp_path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert refusal(tmp_path) == {"bad_safetensors"}
    weights.unlink()
    assert refusal(tmp_path) == {"missing_file"}
