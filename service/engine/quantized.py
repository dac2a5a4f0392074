"""Bases in 8 bits under adapters on CPU: W8A8 folders, which vLLM 0.32 does not start with LoRA, and int8 made while loading.

vLLM's own `int8_per_channel_weight_only` quantizes experts alone and leaves a dense base as it is, without a word;
`--engine quantization=int8` quantizes each linear layer of a 16-bit base (weights by output channel, activations by token,
both symmetric), as a W8A8 folder has it.
"""

from typing import Any

import torch
from vllm.lora.layers import base_linear
from vllm.model_executor.kernels.linear import init_int8_linear_kernel
from vllm.model_executor.layers.linear import LinearBase
from vllm.model_executor.layers.quantization import register_quantization_config
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
from vllm.model_executor.layers.quantization.online.fp8 import OnlineLinearBase

NAME = "int8"
_LARGEST = 127  # symmetric: -128 is left out
_DONE = "quantized_by_patchbay"


def register() -> None:
    """Makes both known to vLLM in this process."""
    register_quantization_config(NAME)(Int8AtLoad)
    found = base_linear._get_lora_device
    # The int8 kernel keeps the weight to itself and leaves None in its place, of which LoRA would ask the device.
    base_linear._get_lora_device = lambda layer: torch.device("cpu") if _is_packed(layer) else found(layer)


def _is_packed(layer: Any) -> bool:
    return hasattr(layer, "weight") and layer.weight is None


class Int8AtLoad(QuantizationConfig):
    """`--engine quantization=int8`."""

    @classmethod
    def get_name(cls) -> str:
        """As --engine names it."""
        return NAME

    @classmethod
    def get_supported_act_dtypes(cls) -> list[torch.dtype]:
        """What the base may compute in."""
        return [torch.bfloat16, torch.float32]

    @classmethod
    def get_min_capability(cls) -> int:
        """Of a GPU; there is none."""
        return -1

    @classmethod
    def get_config_filenames(cls) -> list[str]:
        """It reads nothing from the base's folder."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Int8AtLoad":
        """It has no settings."""
        return cls()

    def get_quant_method(self, layer: Any, prefix: str) -> Any:
        """Linear layers; embedding and output head keep their 16 bits."""
        return Int8Linear() if isinstance(layer, LinearBase) else None


class Int8Linear(OnlineLinearBase):
    """A layer whose weights come in 16 bits, one layer at a time, and stay in 8."""

    def create_weights(self, layer: Any, *args: Any, **kwargs: Any) -> None:
        """Room for the 16-bit weights, and the kernel that will take the 8-bit ones."""
        super().create_weights(layer, *args, **kwargs)
        self.kernel = init_int8_linear_kernel(
            is_channelwise=True, is_static_input_scheme=False, input_symmetric=True, module_name=type(self).__name__
        )

    def process_weights_after_loading(self, layer: Any) -> None:
        """Quantizes; once, though vLLM asks for it when the layer is loaded and again when the model is."""
        if getattr(layer, _DONE, False):
            return
        setattr(layer, _DONE, True)
        quantized, scale = quantize(layer.weight)
        layer.weight = torch.nn.Parameter(quantized, requires_grad=False)
        layer.weight_scale = torch.nn.Parameter(scale, requires_grad=False)
        layer.input_scale = layer.input_zero_point = layer.azp_adj = None  # activations are measured token by token
        self.kernel.process_weights_after_loading(layer)

    def apply(self, layer: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """x W^T + bias, products in int8."""
        y: torch.Tensor = self.kernel.apply_weights(layer, x, bias)
        return y


def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(out, in) in 8 bits, and a scale for each output channel, (out, 1) in float32: weight = quantized * scale, nearly."""
    scale = weight.float().abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
    return (weight.float() / scale).round().to(torch.int8), scale
