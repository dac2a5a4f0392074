"""A stored adapter read into the layout of the products: the same function as its tensors, and what is odd left to vLLM."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from vllm.lora.peft_helper import PEFTHelper

from adapters.archive import WEIGHTS
from service.engine import products, reading
from service.engine.products import Layer, Step
from service.engine.reading import Reader, content_of, entries_of, lay_out

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
    save_file(content, folder / WEIGHTS)
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


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rank", [1, 2, 5, 16])
def test_it_is_what_the_tensors_laid_out_one_by_one_are(
    tmp_path: Path, rank: int, stored: torch.dtype, dtype: torch.dtype, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every dtype and rank, also where plain matrices are kept beside the panels; B of the last layer has fewer rows than the layer is wide."""
    for module in (products, reading):
        monkeypatch.setattr(module, "library_is_fast", lambda dtype: fast)
    content = {}
    for module, rows in (("model.layers.0.self_attn.q_proj", 6), ("model.layers.0.self_attn.v_proj", 3), (DOWN, 4)):
        content[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, 4).to(stored)
        content[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, rank).to(stored)
    save_file(content, tmp_path / WEIGHTS)
    layers = {QKV: Layer(1, (6, 3, 3), 4), DOWN: Layer(1, (5,), 4), "untouched": Layer(1, (5,), 4)}
    helper = PEFTHelper(r=rank, lora_alpha=3 * rank, target_modules=["q_proj"])
    found = Reader(layers, PACKED, None).read(tmp_path, helper, dtype)
    assert found is not None
    assert found["untouched"] is None
    a, b = ({name.split(".")[-3]: tensor for name, tensor in content.items() if f"lora_{half}" in name} for half in "AB")
    for name, parts in ((QKV, ("q_proj", None, "v_proj")), (DOWN, ("down_proj",))):
        mine, one_by_one = (
            found[name],
            lay_out([a.get(p) for p in parts], [b.get(p) for p in parts], [3.0] * len(parts), dtype, layers[name]),
        )
        assert mine is not None
        assert one_by_one is not None
        assert mine.ranks == one_by_one.ranks
        assert len(mine.tensors) == len(one_by_one.tensors)
        assert all(torch.equal(x, y) for x, y in zip(mine.tensors, one_by_one.tensors, strict=True))


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
    header += b" " * (-len(header) % 8)  # the format's own library begins tensors at a multiple of eight
    return len(header).to_bytes(8, "little") + header + bytes(size)


def entries_in(path: Path) -> dict[str, Any]:
    header, data = content_of(path)
    return entries_of(header, len(data))


_WHOLE = {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}


def test_a_file_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    content = {"a": torch.randn(2, 3), "b": torch.randn(4).bfloat16(), "c": torch.randn(1, 5).half()}
    save_file(content, tmp_path / WEIGHTS, {"format": "pt"})
    header, data = content_of(tmp_path / WEIGHTS)
    found = entries_of(header, len(data))
    assert found.keys() == content.keys()
    for name, tensor in content.items():
        assert found[name].shape == tuple(tensor.shape)
        assert torch.equal(data[found[name].start : found[name].end], tensor.reshape(-1).view(torch.uint8))


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
    (tmp_path / WEIGHTS).write_bytes(content)
    assert not entries_in(tmp_path / WEIGHTS)
    (tmp_path / WEIGHTS).write_bytes(_file({"t": _WHOLE}))
    assert entries_in(tmp_path / WEIGHTS)
