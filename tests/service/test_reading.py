"""A stored adapter read into the layout of the products: the same function as its tensors, and what is odd left to vLLM."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from vllm.lora.peft_helper import PEFTHelper

from service.engine.products import Layer, Step
from service.engine.reading import FILE, Reader, tensors_of

QKV = "model.layers.0.self_attn.qkv_proj"
PACKED = {QKV: [f"model.layers.0.self_attn.{part}_proj" for part in "qkv"]}
DOWN = "model.layers.0.mlp.down_proj"


def tensors(**widths: int) -> dict[str, torch.Tensor]:
    """Rank 2 on modules of width_in 4."""
    torch.manual_seed(0)
    made = {}
    for part, width in widths.items():
        module = DOWN if part == "down" else f"model.layers.0.self_attn.{part}_proj"
        made[f"base_model.model.{module}.lora_A.weight"] = torch.randn(2, 4)
        made[f"base_model.model.{module}.lora_B.weight"] = torch.randn(width, 2)
    return made


def read(folder: Path, content: dict[str, torch.Tensor], **config: Any) -> dict[str, Any] | None:
    save_file(content, folder / FILE)
    helper = PEFTHelper(**{"r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]} | config)
    layers = {QKV: Layer(1, (6, 3, 3), 4), DOWN: Layer(1, (5,), 4)}
    laid_out = Reader(layers, PACKED, None).read(folder, helper, torch.float32)
    for name, weights in (laid_out or {}).items():
        layers[name].set(0, weights)
    return None if laid_out is None else layers


def product(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(len(x), sum(layer.widths))
    layer.add(y, x, Step([0] * len(x)))
    return y


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 1.0),
        ({"lora_alpha": 6}, 3.0),
        ({"lora_alpha": 6, "use_rslora": True}, 6 / 2**0.5),
        ({"alpha_pattern": {"v_proj": 8}}, 4.0),
    ],
)
def test_the_products_are_those_of_the_tensors(tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    content = tensors(q=6, v=3)
    layers = read(tmp_path, content, **config)
    assert layers is not None
    x = torch.randn(2, 4)
    expected = torch.zeros(2, 12)
    for part, start, end in (("q", 0, 6), ("v", 9, 12)):
        key = f"base_model.model.model.layers.0.self_attn.{part}_proj"
        factor = 1.0 if part == "q" and "alpha_pattern" in config else scale
        expected[:, start:end] = x @ content[f"{key}.lora_A.weight"].T @ content[f"{key}.lora_B.weight"].T * factor
    torch.testing.assert_close(product(layers[QKV], x), expected)
    assert not layers[DOWN].touched


def odd(change: str) -> dict[str, torch.Tensor]:
    content = tensors(q=6, down=5)
    key = f"base_model.model.{DOWN}.lora_B.weight"
    if change == "unknown module":
        content["base_model.model.model.layers.7.mlp.down_proj.lora_A.weight"] = torch.ones(2, 4)
    elif change == "half":
        del content[key]
    elif change == "too wide":
        content[key] = torch.ones(6, 2)
    elif change == "another rank":
        content[key] = torch.ones(5, 3)
    elif change == "no LoRA":
        content["base_model.model.lm_head.weight"] = torch.ones(5, 3)
    return content


@pytest.mark.parametrize("change", ["unknown module", "half", "too wide", "another rank", "no LoRA"])
def test_what_is_odd_is_left_to_vllm(tmp_path: Path, change: str) -> None:
    assert read(tmp_path, odd("none")) is not None
    assert read(tmp_path, odd(change)) is None


def _file(told: dict[str, Any] | list[Any], size: int = 32) -> bytes:
    header = json.dumps(told).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


_WHOLE = {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}


def test_a_file_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    content = {"a": torch.randn(2, 3), "b": torch.randn(4).bfloat16(), "c": torch.randn(1, 5).half()}
    save_file(content, tmp_path / FILE, {"format": "pt"})
    found = tensors_of(tmp_path / FILE)
    assert found is not None
    assert found.keys() == content.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in content.items())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\x04" + bytes(7) + b"none",
        _file([1, 2]),
        _file({"t": 1}),
        _file({"t": {"dtype": "F32"}}),
        _file({"t": {**_WHOLE, "dtype": "I64"}}),
        _file({"t": {**_WHOLE, "dtype": ["F32"]}}),
        _file({"t": _WHOLE}, size=31),
        _file({"t": {**_WHOLE, "data_offsets": [-4, 28]}}),
        _file({"t": {**_WHOLE, "data_offsets": []}}),
        _file({"t": {**_WHOLE, "shape": [2, -4]}}),
        _file({"t": {**_WHOLE, "shape": [2, 0]}}),
        _file({"t": {**_WHOLE, "shape": ["ab", 2]}}),
        _file({"t": {**_WHOLE, "shape": [2.0, 4]}}),
    ],
)
def test_what_is_no_such_file_is_left_to_vllm(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert tensors_of(tmp_path / FILE) is None
    (tmp_path / FILE).write_bytes(_file({"t": _WHOLE}))
    assert tensors_of(tmp_path / FILE) is not None
