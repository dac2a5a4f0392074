"""Quantized weights as numbers again, without an engine: against the arithmetic they were packed by."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.scalar_type import scalar_types

from service.engine.quantized import quantize
from service.engine.unpacked import UnpackedInt8, UnpackedWeights

OUT, IN, GROUP = 64, 96, 32


def packed(numbers: torch.Tensor, bits: int, dim: int) -> Any:
    """Numbers of 0 up to 2^bits in words of 32, side by side along `dim`."""
    parts = numbers.to(torch.int32).unflatten(dim, (-1, 32 // bits)).movedim(dim + 1, 0)
    words = sum((part << bits * place for place, part in enumerate(parts)), torch.zeros_like(parts[0]))
    return parameter(words, packed_dim=dim)


def parameter(value: torch.Tensor, **places: int) -> Any:
    made = torch.nn.Parameter(value, requires_grad=False)
    for name, place in ({"input_dim": 1, "output_dim": 0} | places).items():
        setattr(made, name, place)
    return made


def config(kind: Any, zero_points: bool) -> Any:
    return SimpleNamespace(weight_type=kind, zero_points=zero_points, act_type=torch.float32, group_size=GROUP)


@pytest.mark.parametrize(
    ("kind", "bits", "zero_points"),
    [(scalar_types.uint4b8, 4, False), (scalar_types.uint4, 4, True), (scalar_types.uint8b128, 8, False)],
)
def test_packed_weights_become_what_they_stand_for(kind: Any, bits: int, zero_points: bool) -> None:
    torch.manual_seed(0)
    numbers, zeros = torch.randint(0, 2**bits, (OUT, IN)), torch.randint(0, 2**bits, (OUT, IN // GROUP))
    scale = torch.rand(OUT, IN // GROUP)
    layer = torch.nn.Module()
    layer.weight_packed, layer.weight_scale = packed(numbers, bits, 1), parameter(scale)
    if zero_points:
        layer.weight_zero_point = packed(zeros, bits, 0)
    kernel: Any = UnpackedWeights.__new__(UnpackedWeights)
    kernel.config = config(kind, zero_points)
    kernel.w_q_name, kernel.w_s_name, kernel.w_zp_name = "weight_packed", "weight_scale", "weight_zero_point"
    kernel.process_weights_after_loading(layer)
    middle = zeros if zero_points else torch.full_like(zeros, 2 ** (bits - 1))
    meant = (numbers - middle.repeat_interleave(GROUP, 1)) * scale.repeat_interleave(GROUP, 1)
    assert torch.allclose(kernel.apply_weights(layer, torch.eye(IN)), meant.t())
    assert not hasattr(layer, "weight_packed")


def test_eight_bits_are_rounded_by_row_and_unpacked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any processor: one whose own 8-bit products are exact would not take this kernel."""
    monkeypatch.setattr(UnpackedInt8, "is_supported", classmethod(lambda *_: (True, None)))
    torch.manual_seed(0)
    weight = torch.randn(OUT, IN) * torch.logspace(-3, 1, OUT)[:, None]
    weight[3] = 0
    quantized, scale = quantize(weight)
    assert quantized.dtype == torch.int8
    assert int(quantized.min()) >= -127
    layer = torch.nn.Module()
    layer.weight, layer.weight_scale = parameter(quantized), parameter(scale)
    names = ["weight", "weight_scale", "input_scale", "input_zero_point", "azp_adj"]
    kernel: Any = UnpackedInt8(SimpleNamespace(is_channelwise=True), names)
    kernel.process_weights_after_loading(layer)
    made = kernel.apply_weights(layer, torch.eye(IN)).t()
    assert bool(((made - weight).abs() <= scale / 2 + 1e-6).all())
