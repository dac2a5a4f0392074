"""More adapters from one: the same numbers in another order, and four times as strong, so that each is valid and answers differently."""

import json
import math

import numpy as np

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KINDS = {"F64": np.uint64, "F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}
# A shuffled adapter that is as strong as it was says what the base says, often enough.
_STRENGTH = 4


def variant(files: dict[str, bytes], seed: int) -> dict[str, bytes]:
    """An adapter of the same shapes whose B matrices are shuffled; the same for the same seed."""
    content = bytearray(files[_WEIGHTS])
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    rng = np.random.default_rng(seed)
    for name, entry in header.items():
        if name.endswith(".lora_B.weight"):
            begin = 8 + size + entry["data_offsets"][0]
            numbers = np.frombuffer(content, _KINDS[entry["dtype"]], math.prod(entry["shape"]), begin)
            rng.shuffle(numbers)
    config = json.loads(files[_CONFIG])
    config["lora_alpha"] *= _STRENGTH
    return {_CONFIG: json.dumps(config).encode(), _WEIGHTS: bytes(content)}
