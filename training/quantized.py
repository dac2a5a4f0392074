"""Weights in fewer bits through bitsandbytes: what QLoRA trains beside, and what `patchbay quantize` writes as int8 and nf4.

nf4: 4-bit NormalFloat in blocks of 64, the blocks' scales quantized to 8 bits themselves (double quantization; Dettmers
et al., 2023). int8: 8 bits by output channel, inputs rounded to 8 bits row by row but for outlier columns (LLM.int8();
Dettmers et al., 2022). Embeddings, norms and the output head stay as they are.
"""

from collections import Counter
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from transformers import BitsAndBytesConfig

KINDS = ("nf4", "int8")
_LAYERS = (Linear4bit, Linear8bitLt)


def bitsandbytes_settings(kind: str, compute: torch.dtype) -> BitsAndBytesConfig:
    """What transformers needs to load a base's linear layers as `kind`; products of nf4 are computed in `compute`."""
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )


def quantization_facts(model: Any, kind: str) -> dict[str, Any]:
    """What is really quantized: layers by class, parameters, and their bytes with the scales, beside those in 16 bits."""
    layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
    parameters = sum(layer.in_features * layer.out_features for layer in layers)
    return {
        "kind": kind,
        "double_quantization": kind == "nf4",
        "modules": len(layers),
        "classes": dict(Counter(type(layer).__name__ for layer in layers)),
        "parameters": parameters,
        "weight_bytes": sum(layer_bytes(layer) for layer in layers),
        "bfloat16_bytes": 2 * parameters,
    }


def is_quantized(module: Any) -> bool:
    """Whether a layer's weight is held in fewer bits."""
    return isinstance(module, _LAYERS)


def layer_bytes(layer: Any) -> int:
    """Bytes of a quantized layer: its weight and the scales beside it."""
    return sum(tensor.nbytes for tensor in _parts(layer))


def _parts(layer: Any) -> list[torch.Tensor]:
    weight = layer.weight
    if isinstance(layer, Linear8bitLt):
        scales = [weight.SCB if weight.SCB is not None else layer.state.SCB]
    else:
        state = weight.quant_state
        scales = [state.absmax, state.code, *([state.state2.absmax, state.state2.code, state.offset] if state.nested else [])]
    return [weight.data, *(scale for scale in scales if scale is not None)]
