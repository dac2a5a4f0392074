"""The copies of embeddings that PEFT saves beside an adapter on them: let by where they are the base's own, as the engine reads the base."""

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from adapters.base import Base
from adapters.errors import Problem
from adapters.safetensors_header import TensorEntry, read_header
from adapters.targets import ENDS

SUFFIX = ".base_layer.weight"
_PREFIX = "base_model.model."
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_CHUNK = 1 << 20
# A copy may have gone through bfloat16 (8 bits of precision); another model's weights differ by far more.
_RELATIVE, _ABSOLUTE = 2.0**-7, 1e-6


def is_copy(name: str, modules: Collection[str]) -> bool:
    """Whether a tensor is by its name the copy of an embedding or output head that the adapter has matrices for."""
    return name.startswith(_PREFIX) and name.endswith(SUFFIX) and (m := _module(name)) in modules and m.endswith(ENDS)


def _module(name: str) -> str:
    return name.removeprefix(_PREFIX).removesuffix(SUFFIX)


def check_copy(weights: Path, name: str, entry: TensorEntry, base: Base) -> list[Problem]:
    """No problem where the tensor is the base's own; compared a piece at a time."""
    found = _in_base(base, _module(name))
    if found is None:
        return [_refused(name, f"{base.id} has no such weight to compare it with")]
    path, original = found
    if entry.shape != original.shape or entry.dtype not in _BYTES or original.dtype not in _BYTES:
        return [_refused(name, f"it is {entry.dtype} {list(entry.shape)}, the base's is {original.dtype} {list(original.shape)}")]
    with weights.open("rb") as copy, path.open("rb") as own:
        copy.seek(entry.start)
        own.seek(original.start)
        left = (entry.end - entry.start) // _BYTES[entry.dtype]
        while left:
            count = min(_CHUNK, left)
            left -= count
            if not np.allclose(
                _numbers(copy, entry.dtype, count), _numbers(own, original.dtype, count), rtol=_RELATIVE, atol=_ABSOLUTE
            ):
                return [_refused(name, "it differs from the base's own")]
    return []


def _refused(name: str, reason: str) -> Problem:
    return Problem(
        "base_weights", f"holds weights of a base, and {reason}; save the adapter alone (save_embedding_layers=False)", name
    )


def _in_base(base: Base, module: str) -> tuple[Path, TensorEntry] | None:
    """Where the base has a module's weight; an output head that has none is tied to the embedding."""
    names = [f"{module}.weight"]
    if module == "lm_head":
        names += [f"{name}.weight" for name, shape in base.modules.items() if shape.kind == "embedding"]
    for name in names:
        for path in sorted(base.path.glob("*.safetensors")):
            if entry := read_header(path).tensors.get(name):
                return path, entry
    return None


def _numbers(file: BinaryIO, dtype: str, count: int) -> NDArray[np.float32]:
    raw = file.read(count * _BYTES[dtype])
    if dtype == "BF16":  # the upper half of a float32
        return np.left_shift(np.frombuffer(raw, "<u2").astype(np.uint32), 16, dtype=np.uint32).view(np.float32)
    numbers: NDArray[np.float32] = np.frombuffer(raw, "<f4" if dtype == "F32" else "<f2").astype(np.float32)
    return numbers
