"""The number format a base is served in."""

import torch


def serving_dtype() -> str:
    """bfloat16, or float32 on a processor that torch has no bfloat16 products for: emulated, they take ten times as long."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "float32"
    return "bfloat16"
