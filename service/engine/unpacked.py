"""Quantized weights as 16-bit numbers in memory, on a CPU that lacks the instructions to compute with them as they are.

vLLM 0.32 has a 4-bit product for AVX-512 only, and fails at the first request elsewhere; 8-bit weights with 16-bit activations
have none at all. Its 8-bit products add up pairs in 16 bits where the CPU has no VNNI, and cut off what does not fit: 4 % of a
layer's output instead of 0.3 %, measured. Unpacked, the base needs the memory of 16 bits, and is as exact as its weights are.
"""

from functools import cache
from typing import Any

import torch
from vllm import _custom_ops as ops
from vllm.model_executor.kernels import linear
from vllm.model_executor.kernels.linear import Int8ScaledMMLinearKernel
from vllm.model_executor.kernels.linear.mixed_precision.MPLinearKernel import MPLinearKernel
from vllm.model_executor.layers.quantization.utils.quant_utils import unpack_quantized_values_into_int32
from vllm.model_executor.layers.quantization.utils.w8a8_utils import convert_to_channelwise
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.platforms import PlatformEnum


def register() -> None:
    """Puts both before vLLM's own kernels, which are taken where these say no."""
    linear._POSSIBLE_KERNELS[PlatformEnum.CPU].insert(0, UnpackedWeights)
    linear._POSSIBLE_INT8_KERNELS[PlatformEnum.CPU].insert(0, UnpackedInt8)


class UnpackedWeights(MPLinearKernel):
    """Weights of 4 or 8 bits under 16-bit activations."""

    @classmethod
    def get_min_capability(cls) -> int:
        """Of a GPU; there is none."""
        return -1

    @classmethod
    def can_implement(cls, c: Any) -> tuple[bool, str | None]:
        """8 bits everywhere, 4 where vLLM's product was not built in."""
        bits = c.weight_type.size_bits
        if bits == 8 or (bits == 4 and not hasattr(torch.ops._C, "cpu_gemm_wna16")):
            return True, None
        return False, f"{bits} bits are not for it on this CPU"

    def process_weights_after_loading(self, layer: Any) -> None:
        """Packed (out, in) with scales (out, groups), or both turned, as vLLM's own kernel takes them."""
        packed, scales = getattr(layer, self.w_q_name), getattr(layer, self.w_s_name)
        whole = unpack_quantized_values_into_int32(packed.data, self.config.weight_type, packed.packed_dim)
        whole = whole if packed.output_dim == 0 else whole.t()
        scale = scales.data if scales.output_dim == 0 else scales.data.t()
        if self.config.zero_points:
            zeros = getattr(layer, str(self.w_zp_name))
            middle = unpack_quantized_values_into_int32(zeros.data, self.config.weight_type, zeros.packed_dim)
            middle = middle if zeros.output_dim == 0 else middle.t()
        else:
            middle = torch.full_like(scale, self.config.weight_type.bias)
        width = whole.shape[1] // scale.shape[1]
        by_group = whole.unflatten(1, (-1, width)) - middle[:, :, None]
        weight = (by_group * scale[:, :, None]).flatten(1).to(self.config.act_type)
        _keep(layer, weight, (self.w_q_name, self.w_s_name, self.w_zp_name))

    def apply_weights(self, layer: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """x W^T + bias."""
        y: torch.Tensor = layer.cpu_linear(x, layer.weight, bias)
        return y


class UnpackedInt8(Int8ScaledMMLinearKernel):
    """Weights of 8 bits; activations keep their 16."""

    @classmethod
    def is_supported(cls, compute_capability: int | None = None) -> tuple[bool, str | None]:
        """Where the CPU's own products are cut off."""
        return (True, None) if saturates() else (False, "this CPU adds up products of 8 bits exactly")

    @classmethod
    def can_implement(cls, c: Any) -> tuple[bool, str | None]:
        """Any: how activations would be quantized does not matter."""
        return True, None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dtype = torch.get_default_dtype()  # the model's, while its layers are made

    def process_weights_after_loading(self, layer: Any) -> None:
        """Weight (out, in), with a scale for each output or for each of the layers fused into it."""
        weight_name, scale_name, *rest = self.layer_param_names
        scale = getattr(layer, scale_name).data
        if not self.config.is_channelwise:
            scale = convert_to_channelwise(scale, layer.logical_widths)
        weight = (getattr(layer, weight_name).data * scale.view(-1, 1)).to(self._dtype)
        _keep(layer, weight, (weight_name, scale_name, *rest))

    def apply_weights(self, layer: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """x W^T + bias."""
        y: torch.Tensor = layer.cpu_linear(x, layer.weight, bias)
        return y


@cache
def saturates() -> bool:
    """Whether 127 * 127, added up, comes out as anything else."""
    largest = torch.full((32, 32), 127, dtype=torch.int8)
    one = torch.ones(32, 1, dtype=torch.float32)
    product = torch.empty(32, 32, dtype=torch.float32)
    handler = ops.create_onednn_scaled_mm(largest.t(), one, torch.float32, True, False, 32)
    ops.onednn_scaled_mm(handler, largest, product, one, None, None, None)
    return bool((product != 32 * 127 * 127).any())


def _keep(layer: Any, weight: torch.Tensor, stored: tuple[str | None, ...]) -> None:
    """The weight in the place of what was stored, laid out for the product as vLLM lays out its own."""
    for name in stored:
        if name is not None and hasattr(layer, name):
            delattr(layer, name)
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
