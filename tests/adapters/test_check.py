"""An adapter with one fault is refused for that fault; one with many, for each of them."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.check import check_adapter
from adapters.errors import AdapterRefused, Problem
from adapters.limits import Limits
from tests.makers import EMBEDDED, MODULES, embedding_of, lora_config, lora_tensors, write_adapter

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
        (lora_config(r=4.0), "bad_rank"),
        (lora_config(r=10**300), "rank_too_large"),
        (lora_config(r=...), "bad_rank"),
        (lora_config(rank_pattern={"q_proj": 17}), "rank_too_large"),
        (lora_config(rank_pattern={"q_proj": 0}), "bad_pattern"),
        (lora_config(rank_pattern={"q_proj": -1}), "bad_pattern"),
        (lora_config(rank_pattern={"q_proj": "4"}), "bad_pattern"),
        (lora_config(rank_pattern={"q_proj\n": 4}), "bad_pattern"),
        (lora_config(rank_pattern=["q_proj"]), "bad_pattern"),
        (lora_config(rank_pattern={f"m{n}": 4 for n in range(5000)}), "bad_pattern"),
        (lora_config(alpha_pattern={"q_proj": 1e30}), "bad_pattern"),
        (lora_config(alpha_pattern={"(.*)*": 1}), "bad_pattern"),
        (lora_config(rank_pattern={"(a+)+": 4}), "bad_pattern"),
        (lora_config(lora_alpha=1e30), "bad_alpha"),
        (lora_config(lora_alpha=0), "bad_alpha"),
        (lora_config(lora_alpha=-8), "bad_alpha"),
        (lora_config(lora_alpha="8"), "bad_alpha"),
        (lora_config(lora_alpha=True), "bad_alpha"),
        (lora_config(lora_alpha=10**300), "bad_alpha"),
        (lora_config(lora_alpha=...), "bad_alpha"),
        ('{"r": 4, "lora_alpha": 1e999}', "bad_json"),
        ('{"r": 4, "lora_alpha": Infinity}', "bad_json"),
        ('{"r": 4, "r": 8}', "bad_json"),
        ("null", "bad_json"),
        (json.dumps(lora_config()) + " " * 2**21, "file_too_large"),
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
        (lora_config(use_rslora="yes"), "bad_config"),
        (lora_config(target_modules=[]), "bad_config"),
        (lora_config(target_modules=None), "bad_config"),
        (lora_config(target_modules=7), "bad_config"),
        (lora_config(target_modules=[["q_proj"]]), "bad_config"),
        (lora_config(target_modules=["(a+)+"]), "bad_config"),
        (lora_config(target_modules="(x+x+)+y" * 200), "bad_pattern"),
        (lora_config(target_modules="(q_proj"), "bad_pattern"),
        (lora_config(target_modules="(((q_proj){9}){9}){9}"), "bad_pattern"),
        (lora_config(target_modules="(" * 900), "bad_pattern"),
        (lora_config(target_modules=["v_proj"]), "untargeted_module"),
        (lora_config(exclude_modules=["q_proj"]), "untargeted_module"),
        (lora_config(exclude_modules="(q+)+" * 300), "bad_pattern"),
        (lora_config(layers_to_transform=[0]), "untargeted_module"),
        (lora_config(layers_to_transform=[0, -3]), "bad_config"),
        (lora_config(layers_to_transform="0"), "bad_config"),
        (lora_config(layers_to_transform=[0, 3], layers_pattern="(a+)+"), "bad_pattern"),
        (lora_config(layers_pattern="layers"), "bad_config"),
        (lora_config(base_model_name_or_path=7), "bad_config"),
        (lora_config(base_model_name_or_path="meta/other"), "base_mismatch"),
        (lora_config(base_model_name_or_path=None), "base_mismatch"),
    ],
)
def test_a_bad_config_is_refused(tmp_path: Path, config: Any, code: str) -> None:
    began = time.process_time()
    assert code in refusal(write_adapter(tmp_path, config=config))
    assert time.process_time() - began < 20, "whatever a pattern would cost"


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.(q_proj|down_proj)"},
        {"target_modules": r"model\.layers\.\d+\.(self_attn\.q_proj|mlp\.down_proj)"},
        {"target_modules": list(MODULES)},
        {"layers_to_transform": [0, 3]},
        {"layers_to_transform": [0, 3], "layers_pattern": "layers"},
        {"exclude_modules": ["v_proj"]},
        {"exclude_modules": r".*\.layers\.5\..*"},
        {"rank_pattern": {"q_proj": 4}, "r": 4},
        {"rank_pattern": {r"^model\.layers\.0\.self_attn\.q_proj": 4, "down_proj": 4}, "r": 8},
        {"alpha_pattern": {"layers.0.self_attn.q_proj": 32.5}},
        {"use_rslora": True},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "whiten": False}},
        {"init_lora_weights": False, "lora_dropout": 0.1, "revision": "main", "peft_version": "0.21.2"},
        {"runtime_config": {"ephemeral_gpu_offload": False}, "megatron_core": "megatron.core", "loftq_config": {}},
    ],
)
def test_what_peft_and_the_engine_agree_on_passes(tmp_path: Path, changes: dict[str, Any]) -> None:
    check_adapter(write_adapter(tmp_path, config=lora_config(**changes)), "a", EMBEDDED, Limits())


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
        ({A0: np.ones((), np.float32)}, "wrong_shape"),
        ({A0: np.ones((1, 4, 256), np.float32)}, "wrong_shape"),
        ({B0: np.ones((4, 256), np.float32)}, "wrong_shape"),
        ({A0: np.ones((0, 256), np.float32), B0: np.ones((256, 0), np.float32)}, "wrong_shape"),
        ({A0: np.ones((4, 256), np.int8)}, "wrong_dtype"),
        ({A0: np.ones((4, 256), np.float64)}, "wrong_dtype"),
        ({B0: np.ones((256, 4), np.bool_)}, "wrong_dtype"),
        ({B0: None}, "missing_tensor"),
        ({A0: np.full((4, 256), -np.inf, np.float16)}, "not_finite"),
        ({A0 + "\n": np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace(".weight", ""): np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("lora_A", "lora_A.other"): np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("lora_A.weight", "lora_embedding_A"): np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("base_model.model.", ""): np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("lora_A.weight", "base_layer.weight"): np.ones((256, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("lora_A", "lora_magnitude_vector"): np.ones((256,), np.float32)}, "unexpected_tensor"),
        ({A0.replace("lora_A.weight", "lora_B.bias"): np.ones((256,), np.float32)}, "unexpected_tensor"),
        ({"base_model.model.lm_head.modules_to_save.weight": np.ones((6144, 256), np.float32)}, "unexpected_tensor"),
        ({A0.replace("layers.0", "layers.6"): np.ones((4, 256), np.float32)}, "unknown_module"),
        ({A0.replace("layers.0", "layers.00"): np.ones((4, 256), np.float32)}, "unknown_module"),
        ({A0.replace("layers.0", "layers.-1"): np.ones((4, 256), np.float32)}, "unknown_module"),
        ({A0.replace("q_proj", "q_proj.base_model.model.x"): np.ones((4, 256), np.float32)}, "unknown_module"),
        ({A0.replace("self_attn.q_proj", "input_layernorm"): np.ones((4, 256), np.float32)}, "unknown_module"),
        ({A0.replace(MODULES[0], "model.embed_tokens"): np.ones((4, 6144), np.float32)}, "wrong_kind"),
        ({A0: np.zeros((4, 256), np.float32), A0.replace(MODULES[0], MODULES[1]): np.zeros((4, 768), np.float32)}, "no_effect"),
        ({"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": np.ones((4, 256), np.float32)}, "unknown_module"),
        ({"model.embed_tokens.weight": np.ones((4, 256), np.float32)}, "unexpected_tensor"),
        ({B0: np.zeros((256, 4), np.float32), B0.replace(MODULES[0], MODULES[1]): np.zeros((256, 4), np.float32)}, "no_effect"),
    ],
)
def test_bad_tensors_are_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    tensors = {name: tensor for name, tensor in (lora_tensors() | changes).items() if tensor is not None}
    assert code in refusal(write_adapter(tmp_path, tensors))


def test_a_thousand_unknown_layers_take_no_time_and_few_lines(tmp_path: Path) -> None:
    tensors = {A0.replace("layers.0", f"layers.{n}"): np.ones((1, 1), np.float32) for n in range(10, 5000)}
    folder, began = write_adapter(tmp_path, tensors), time.process_time()
    with pytest.raises(AdapterRefused) as caught:
        check_adapter(folder, "a", EMBEDDED, Limits())
    assert time.process_time() - began < 5
    assert len(caught.value.problems) < 50
    assert "and 4970 more of the same kind" in caught.value.message


def test_what_strangers_name_is_shown_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(AdapterRefused) as caught:
        check_adapter(write_adapter(tmp_path, {"\x1b[2J\nevil" * 99: np.ones(1, np.float32)}), "a", EMBEDDED, Limits())
    assert all(
        problem.where is None or (problem.where.isprintable() and len(problem.where) < 1500) for problem in caught.value.problems
    )


def test_no_tensors_at_all(tmp_path: Path) -> None:
    assert refusal(write_adapter(tmp_path, {})) == {"no_tensors"}


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    tensors = lora_tensors() | {A0: np.full((4, 256), np.nan, np.float32), "stray": np.ones(3, np.float32)}
    config = lora_config(use_dora=True, r=0, lora_alpha="8", target_modules="(", base_model_name_or_path="x/y")
    folder = write_adapter(tmp_path, tensors, config)
    (folder / "run.json").write_text('{"base": 3}')
    (folder / "probes.json").write_text("[]")
    (folder / "README.md").write_bytes(b"\x80\x04\x95")
    (folder / "tokenizer_config.json").write_text("{")
    assert refusal(folder, found=[Problem("file_not_allowed", "is code", "evil.py")]) == {
        "unsupported_feature", "bad_rank", "bad_alpha", "bad_pattern", "base_mismatch", "not_finite", "unexpected_tensor",
        "bad_run", "bad_json", "not_what_it_says", "file_not_allowed",
    }  # fmt: skip


def test_a_file_that_came_and_was_refused_is_not_called_missing(tmp_path: Path) -> None:
    (write_adapter(tmp_path) / "adapter_model.safetensors").unlink()
    assert refusal(tmp_path) == {"missing_file"}
    assert refusal(tmp_path, found=[Problem("not_a_plain_file", "is a link", "a/adapter_model.safetensors")]) == {
        "not_a_plain_file"
    }


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("README.md", b"PK\x03\x04\0\0", "not_what_it_says"),
        ("chat_template.jinja", b"\xff", "not_what_it_says"),
        ("tokenizer.json", b"\x7fELF\0", "not_what_it_says"),
        ("tokenizer.model", b"\x80\x04\x95", "not_what_it_says"),
        ("tokenizer_config.json", b"[" * 2000, "bad_json"),
        ("tokenizer_config.json", b"{} {}", "bad_json"),
        ("run.json", b'{"loss": 1e999}', "bad_json"),
        ("run.json", b'{"note": "\\ud800"}', "bad_json"),
        ("run.json", b'{"base": {"digest": 7}}', "bad_run"),
        ("run.json", b'{"base": {"template_hash": "../x"}}', "bad_run"),
        ("run.json", b'{"base": {"digest": "sha256:' + b"0" * 64 + b'"}}', "base_mismatch"),
        ("probes.json", b'{"schema": 2, "probes": []}', "bad_probes"),
        ("probes.json", b'{"schema": 1, "probes": [{"prompt_token_ids": [1, 99999], "adapter_logprobs": [0.0], "base_logprobs": []}]}', "bad_probes"),
    ],
)  # fmt: skip
def test_what_lies_beside_is_checked_too(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (write_adapter(tmp_path) / name).write_bytes(content)
    assert code in refusal(tmp_path)


def test_a_file_beside_that_is_too_large(tmp_path: Path) -> None:
    with (write_adapter(tmp_path) / "tokenizer.json").open("wb") as file:
        file.truncate(Limits().extra_file + 1)
    assert refusal(tmp_path) == {"file_too_large"}


def test_adapters_on_embeddings_pass_with_the_copies_that_peft_saves(tmp_path: Path) -> None:
    own = embedding_of(EMBEDDED)
    config = lora_config(target_modules=["embed_tokens", "lm_head"])
    tensors = {
        "base_model.model.model.embed_tokens.lora_embedding_A": np.ones((4, 6144), np.float32),
        "base_model.model.model.embed_tokens.lora_embedding_B": np.ones((256, 4), np.float32),
        "base_model.model.lm_head.lora_A.weight": np.ones((4, 256), np.float32),
        "base_model.model.lm_head.lora_B.weight": np.ones((6144, 4), np.float32),
    }
    copies = {f"base_model.model.{m}.base_layer.weight": own for m in ("model.embed_tokens", "lm_head")}
    checked = check_adapter(write_adapter(tmp_path / "a", tensors | copies, config), "a", EMBEDDED, Limits())
    assert checked.manifest.tensor_bytes == sum(t.nbytes for t in tensors.values()), "the copies never reach the engine"
    half = {name: copy.astype(np.float16) for name, copy in copies.items()}
    check_adapter(write_adapter(tmp_path / "half", tensors | half, config), "a", EMBEDDED, Limits())
    for number, other in enumerate((own + 0.1, own[:-1], own.astype(np.int8), np.full_like(own, np.nan))):
        changed = copies | {"base_model.model.lm_head.base_layer.weight": other}
        assert refusal(write_adapter(tmp_path / str(number), tensors | changed, config)) == {"base_weights"}
    transposed = tensors | {"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((6144, 4), np.float32)}
    assert refusal(write_adapter(tmp_path / "t", transposed, config)) == {"wrong_shape"}
    tied = lora_config(target_modules=["embed_tokens"], ensure_weight_tying=True)
    check_adapter(write_adapter(tmp_path / "tied", tensors, tied), "a", EMBEDDED, Limits())


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


OTHER_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def with_template(folder: Path, template: str, conversations: int) -> Path:
    """An adapter that brings its chat template, and a run record of so many conversations."""
    run = {"base": {"digest": EMBEDDED.digest}, "data": {"train_rows": 10, "conversations": conversations}}
    write_adapter(folder)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_another_template_is_warned_of(tmp_path: Path) -> None:
    manifest = check_adapter(with_template(tmp_path, OTHER_TEMPLATE, 0), "a", EMBEDDED, Limits()).manifest
    assert [text for text in manifest.warnings if "is not that of embedded" in text] == list(manifest.warnings)
    assert len(manifest.warnings) == 1
    assert manifest.template_hash not in (None, EMBEDDED.template_hash)


def test_another_template_is_refused_where_it_was_learned(tmp_path: Path) -> None:
    folder = with_template(tmp_path, OTHER_TEMPLATE, 3)
    with pytest.raises(AdapterRefused) as raised:
        check_adapter(folder, "a", EMBEDDED, Limits())
    assert [(p.code, p.where) for p in raised.value.problems] == [("template_mismatch", "chat_template.jinja")]
    accepted = check_adapter(folder, "a", EMBEDDED, Limits(), accept_base=True).manifest
    assert len(accepted.warnings) == 1


def test_the_bases_own_template_is_fine(tmp_path: Path) -> None:
    own = (EMBEDDED.path / "chat_template.jinja").read_text()
    manifest = check_adapter(with_template(tmp_path, own, 3), "a", EMBEDDED, Limits()).manifest
    assert (manifest.warnings, manifest.template_hash) == ((), EMBEDDED.template_hash)
