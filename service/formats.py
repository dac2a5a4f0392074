"""Which bases the engine can serve with adapters on top; for the others, the way out."""

from adapters.base import Base
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
