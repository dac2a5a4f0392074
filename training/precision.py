"""The dtype that products are computed in: bfloat16 where that is faster, else float32."""

from pathlib import Path

import torch


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 products are the faster ones here: on a GPU that has them, on a CPU with AMX.

    AVX512-BF16 alone is not enough: beside 5.8 M weights in bfloat16 a LoRA trained at 0.6 times float32's tokens a second.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return "amx_bf16" in _cpu_flags()


def _cpu_flags() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8") if info.exists() else ""


def compute_dtype(asked: str) -> torch.dtype:
    """Of `auto`, `float32` or `bfloat16`. A processor without bfloat16 products takes twenty times as long with them."""
    return torch.bfloat16 if asked == "bfloat16" or (asked == "auto" and has_fast_bfloat16()) else torch.float32
