"""How a base's weights are stored: which formats the engine serves with adapters on top, and what each is called."""

import json
from collections.abc import Mapping

from adapters.base import RECORD, Base
from adapters.errors import BadInput


def require_servable(base: Base) -> None:
    """Raises BadInput for a base folder whose quantization vLLM no longer loads, naming the base to use instead."""
    if base.quantization == "bitsandbytes":
        origin = next((o for o in base.origins if not o.startswith("sha256:")), "the base it was made from")
        raise BadInput(
            f"{base.id} is quantized with bitsandbytes, which vLLM 0.32 does not serve; serve {origin}, "
            f"or make a 4-bit base it does serve: patchbay quantize --base {origin} --method gptq --out DIR",
            param="base",
        )


def weights_format(base: Base, engine: Mapping[str, str]) -> str:
    """What scores are filed under: how the base was quantized, else how the engine was told to load it, else bfloat16."""
    note = base.path / RECORD
    method = json.loads(note.read_text(encoding="utf-8")).get("method") if note.is_file() and base.quantization else None
    return str(method or base.quantization or engine.get("quantization") or engine.get("dtype") or "bfloat16")
