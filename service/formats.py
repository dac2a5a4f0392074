"""How a base's weights are stored: which formats the engine serves with adapters on top, and what each is called."""

import json
from collections.abc import Mapping
from typing import Any

from adapters.base import RECORD, Base
from adapters.errors import BadInput

# Weights of n bits and activations of m that are served on a CPU; docs/results.md has each beside PEFT.
_ON_CPU = ("W4A16", "W8A16", "W8A8", "W8A8 float")


def require_servable(base: Base, on_cpu: bool) -> None:
    """Raises BadInput for a base folder in a format that vLLM 0.32 does not serve here, naming the base to use instead."""
    settings = _settings(base)
    reason = _reason(settings, on_cpu) if settings else None
    if reason is None:
        return
    origin = next((o for o in base.origins if not o.startswith("sha256:")), None)
    raise BadInput(
        f"{base.id} {reason}; serve {origin or 'the base it was made from'}, or make a smaller base that is served: "
        f"patchbay quantize --base {origin or 'BASE'} --method gptq --out DIR (4 bits; --method w8a8: 8)",
        param="base",
    )


def _settings(base: Base) -> dict[str, Any] | None:
    found = json.loads((base.path / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    return found if isinstance(found, dict) else None


def _reason(settings: dict[str, Any], on_cpu: bool) -> str | None:
    method = str(settings.get("quant_method", "unknown"))
    if method == "bitsandbytes":
        return "is quantized with bitsandbytes, which vLLM 0.32 does not serve"
    unserved = [scheme for scheme in _schemes(method, settings) if on_cpu and scheme not in _ON_CPU]
    return f"is quantized to {unserved[0]} ({method}), which is not served on a CPU" if unserved else None


def _schemes(method: str, settings: dict[str, Any]) -> list[str]:
    """Such as W4A16; empty where only vLLM can tell, which then takes the base or says why not."""
    if method == "compressed-tensors":
        groups = settings.get("config_groups")
        return [_scheme(group) for group in groups.values() if isinstance(group, dict)] if isinstance(groups, dict) else []
    if method in ("gptq", "awq"):
        return [f"W{settings.get('bits', '?')}A16"]
    return ["W8A8 float in blocks"] if method in ("fp8", "fbgemm_fp8") else []


def _scheme(group: dict[str, Any]) -> str:
    weights, activations = (group.get(key) or {} for key in ("weights", "input_activations"))
    bits = f"W{weights.get('num_bits', 16)}A{activations.get('num_bits', 16)}"
    kind = "" if weights.get("type", "int") == "int" else f" {weights['type']}"
    return f"{bits}{kind} in blocks" if weights.get("strategy") == "block" else f"{bits}{kind}"


def weight_bits(base: Base, engine: Mapping[str, str]) -> int:
    """16, 8 or 4: how exact the base's weights are as they are served, at the least."""
    if not base.quantization:
        return 8 if engine.get("quantization") else 16
    schemes = _schemes(base.quantization, _settings(base) or {})
    return 8 if schemes and all(scheme.startswith("W8") for scheme in schemes) else 4


def weights_format(base: Base, engine: Mapping[str, str]) -> str:
    """What scores are filed under: how the base was quantized, else how the engine was told to load it, else bfloat16."""
    note = base.path / RECORD
    method = json.loads(note.read_text(encoding="utf-8")).get("method") if note.is_file() and base.quantization else None
    return str(method or base.quantization or engine.get("quantization") or engine.get("dtype") or "bfloat16")
