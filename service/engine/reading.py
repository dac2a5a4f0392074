"""Reading a stored adapter straight into the layout of the products: one read of its file, each tensor copied once.

vLLM opens each tensor of a file for itself, works out twice where each belongs and merges what belongs together before it is laid out.
A place in the model is found once for each tensor name here. What is not plain (a tensor with no place, one without its
other half, another shape) is left to vLLM's own loader, which refuses it or knows what to do.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adapters.safetensors_header import TensorEntry, parse_header
from service.engine.products import Layer, Weights

FILE = "adapter_model.safetensors"
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class Place(NamedTuple):
    """Where a tensor goes: the layer's name, which of its slices, whether it is A; `module` is the name by PEFT."""

    layer: str
    part: int
    is_a: bool
    module: str


class Reader:
    """For one model: its layers by name, and the modules that make up the slices of merged ones. `mapper` renames, as vLLM's."""

    def __init__(self, layers: dict[str, Layer], packed: dict[str, list[str]], mapper: Any) -> None:
        self._layers, self._mapper = layers, mapper
        self._parts = {part: (whole, number) for whole, parts in packed.items() for number, part in enumerate(parts)}
        self._places: dict[str, Place | None] = {}

    def read(self, folder: Path, helper: Any, dtype: torch.dtype) -> dict[str, Weights | None] | None:
        """An adapter's weights by layer; None when it is not plain. `helper` is vLLM's reading of the config."""
        tensors = None if helper.modules_to_save or not (folder / FILE).is_file() else tensors_of(folder / FILE)
        if tensors is None:
            return None
        found: dict[tuple[str, int], dict[bool, torch.Tensor]] = {}
        scales: dict[tuple[str, int], float] = {}
        for name, tensor in tensors.items():
            place = self._place(name)
            if place is None or tensor.ndim != 2:
                return None
            if not place.is_a:
                _, scales[place.layer, place.part] = helper.get_rank_and_scaling(place.module)
            found.setdefault((place.layer, place.part), {})[place.is_a] = tensor
        laid_out: dict[str, Weights | None] = dict.fromkeys(self._layers)
        for name in {layer for layer, _ in found}:
            pairs = [found.get((name, part)) for part in range(len(self._layers[name].widths))]
            if not all(pair is None or _fits(pair, self._layers[name], part) for part, pair in enumerate(pairs)):
                return None
            halves = [[None if pair is None else pair[is_a] for pair in pairs] for is_a in (True, False)]
            factors = [scales.get((name, part), 1.0) for part in range(len(pairs))]
            laid_out[name] = lay_out(halves[0], halves[1], factors, dtype, self._layers[name])
        return laid_out

    def _place(self, name: str) -> Place | None:
        if name not in self._places:
            self._places[name] = self._find(name)
        return self._places[name]

    def _find(self, name: str) -> Place | None:
        from vllm.lora.utils import parse_fine_tuned_lora_name

        try:
            module, is_a = parse_fine_tuned_lora_name(name, self._mapper)
            by_peft, _ = parse_fine_tuned_lora_name(name)
        except ValueError:
            return None
        layer, part = self._parts.get(module, (module, 0))
        is_known = layer in self._layers and self._layers[layer].width_in > 0  # an embedding's A is another thing
        return Place(layer, part, is_a, by_peft) if is_known else None


def tensors_of(path: Path) -> dict[str, torch.Tensor] | None:
    """A safetensors file's tensors, on one read of it; None where it is not one, or of other numbers than adapters are of.

    The format's own library makes a copy and an object or two of each tensor, and reads the same header anew for each adapter of a kind.
    """
    with path.open("rb", buffering=0) as file:
        data = bytearray(path.stat().st_size)
        if file.readinto(data) != len(data):
            return None
    first = 8 + int.from_bytes(data[:8], "little")
    entries = _entries(bytes(data[8:first]), len(data)) if first <= len(data) else None
    if entries is None:
        return None
    return {
        name: torch.frombuffer(data, dtype=_DTYPES[entry.dtype], count=math.prod(entry.shape), offset=entry.start).view(
            entry.shape
        )
        for name, entry in entries.items()
    }


@lru_cache(maxsize=64)  # adapters of one recipe have the same header
def _entries(header: bytes, size: int) -> dict[str, TensorEntry] | None:
    """What is in a file of `size` bytes with this header; None where the header is wrong, or a tensor is none that can be read."""
    found, faults = parse_header(header, size)
    is_plain = all(entry.dtype in _DTYPES and entry.end > entry.start for entry in found.tensors.values())
    return found.tensors if is_plain and not faults else None


def _fits(pair: dict[bool, torch.Tensor], layer: Layer, part: int) -> bool:
    """Whether both halves are there, of one rank, and of the layer's shape."""
    if len(pair) != 2:
        return False
    a, b = pair[True], pair[False]
    return a.shape[1] == layer.width_in and a.shape[0] == b.shape[1] and b.shape[0] <= layer.widths[part]


def lay_out(
    a: list[torch.Tensor | None], b: list[torch.Tensor | None], scales: list[float], dtype: torch.dtype, layer: Layer
) -> Weights | None:
    """A layer's weights from each slice's A (r, in) and B (width, r), None where the adapter leaves it out."""
    like = next(part for part in a if part is not None)
    lefts = [like.new_empty(0, like.shape[1]) if part is None else part for part in a]
    rights = [
        like.new_empty(width, 0) if part is None else _of_width(part, width) for part, width in zip(b, layer.widths, strict=True)
    ]
    # Rows of an embedding are looked up, never multiplied by the kernel, and there are as many as words.
    return Weights.packed(lefts, rights, scales, dtype, with_panels=layer.width_in > 0)


def _of_width(b: torch.Tensor, width: int) -> torch.Tensor:
    """Rows of zeros below, where the layer is padded (an output head)."""
    return b if len(b) == width else torch.nn.functional.pad(b, (0, 0, 0, width - len(b)))
