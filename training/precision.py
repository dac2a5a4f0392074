"""The dtype that products are computed in: bfloat16 where the hardware has it, else float32."""

from pathlib import Path

import torch


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 products are done in hardware here."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return "avx512_bf16" in _cpu_flags() or "amx_bf16" in _cpu_flags()


def _cpu_flags() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8") if info.exists() else ""


def compute_dtype(asked: str) -> torch.dtype:
    """Of `auto`, `float32` or `bfloat16`. A processor without bfloat16 products takes twenty times as long with them."""
    return torch.bfloat16 if asked == "bfloat16" or (asked == "auto" and has_fast_bfloat16()) else torch.float32
