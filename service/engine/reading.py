"""Reading a stored adapter straight into the layout of the products: one read of its file, one call that lays all of it out.

vLLM opens each tensor of a file for itself, works out twice where each belongs and merges what belongs together before it is laid out.
Adapters of one recipe have the same header and the same scaling: where each of their bytes goes is worked out once for all of them. What
is not plain (a tensor with no place, one without its other half, another shape) is left to vLLM's own loader, which refuses it or knows
what to do.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adapters.archive import WEIGHTS
from adapters.safetensors_header import TensorEntry, parse_header
from service.engine.kernel import Job, Kernel, kernel
from service.engine.layout import Stored, array_of, filled, jobs_of, kept_in, sizes_of
from service.engine.products import Layer, Matrices, Weights, library_is_fast

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class Place(NamedTuple):
    """Where a tensor goes: the layer's name, which of its slices, whether it is A; `module` is the name by PEFT."""

    layer: str
    part: int
    is_a: bool
    module: str


class Scaling(NamedTuple):
    """All that the scale of a module's product depends on, as PEFT's config has it; of patterns the first that matches counts."""

    r: int
    lora_alpha: float
    use_rslora: bool
    rank_pattern: tuple[tuple[str, int], ...]
    alpha_pattern: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, helper: Any) -> "Scaling":
        """From vLLM's reading of the config."""
        patterns = tuple(helper.rank_pattern.items()), tuple(helper.alpha_pattern.items())
        return cls(helper.r, helper.lora_alpha, helper.use_rslora, *patterns)

    def factor(self, module: str) -> float:
        """By which a module's product counts, as vLLM works it out."""
        from vllm.lora.peft_helper import PEFTHelper

        patterns = {"rank_pattern": dict(self.rank_pattern), "alpha_pattern": dict(self.alpha_pattern)}
        helper = PEFTHelper(self.r, self.lora_alpha, [], use_rslora=self.use_rslora, **patterns)
        _, factor = helper.get_rank_and_scaling(module)
        return float(factor)


class Reader:
    """For one model: its layers by name, and the modules that make up the slices of merged ones. `mapper` renames, as vLLM's."""

    def __init__(self, layers: dict[str, Layer], packed: dict[str, list[str]], mapper: Any) -> None:
        self._layers, self._mapper = layers, mapper
        self._parts = {part: (whole, number) for whole, parts in packed.items() for number, part in enumerate(parts)}
        self._places: dict[str, Place | None] = {}
        self._plan = lru_cache(maxsize=256)(self._planned)

    def read(self, folder: Path, helper: Any, dtype: torch.dtype) -> dict[str, Weights | None] | None:
        """An adapter's weights by layer, for products in `dtype`; None when it is not plain. `helper` is vLLM's reading of the config."""
        native = kernel()
        if native is None or dtype not in native.add or helper.modules_to_save:
            return None
        try:
            header, data = content_of(folder / WEIGHTS)
        except FileNotFoundError:  # in another format, perhaps
            return None
        plan = self._plan(native, header, len(data), Scaling.of(helper), dtype)
        return None if plan is None else plan.fill(data)

    def _planned(self, native: Kernel, header: bytes, size: int, scaling: Scaling, dtype: torch.dtype) -> "Plan | None":
        found: dict[tuple[str, int], dict[bool, TensorEntry]] = {}
        factors: dict[tuple[str, int], float] = {}
        for name, entry in entries_of(header, size).items():
            place = self._place(name)
            if place is None or len(entry.shape) != 2:
                return None
            found.setdefault((place.layer, place.part), {})[place.is_a] = entry
            factors[place.layer, place.part] = scaling.factor(place.module)
        slices: dict[str, list[Stored | None]] = {}
        for (name, part), pair in found.items():
            layer = self._layers[name]
            if not _fits(pair, layer, part):
                return None
            slices.setdefault(name, [None] * len(layer.widths))[part] = _stored(pair[True], pair[False], factors[name, part])
        return Plan(native, self._layers, slices, dtype) if slices else None

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


class Plan:
    """Where each byte goes, of adapters that are stored alike. `slices` are those of each layer that they touch, None for one left out."""

    def __init__(
        self, native: Kernel, layers: Mapping[str, Layer], slices: Mapping[str, Sequence[Stored | None]], dtype: torch.dtype
    ) -> None:
        self._native, self._layers, self._slices, self._dtype = native, layers, slices, dtype
        self._kept = kept_in(dtype, [part for parts in slices.values() for part in parts])
        self._ranks = {name: tuple(part.rank if part else 0 for part in parts) for name, parts in slices.items()}
        self._sizes: list[int] = []
        jobs: list[Job] = []
        for name, parts in slices.items():
            widths, width_in = layers[name].widths, layers[name].width_in
            jobs += jobs_of(native, parts, widths, width_in, self._kept, sum(self._sizes))
            self._sizes += sizes_of(native, self._ranks[name], widths, width_in, self._kept)
        self._jobs = array_of(jobs)

    def fill(self, data: torch.Tensor) -> dict[str, Weights | None]:
        """The weights of the adapter whose file's bytes these are; None for a layer that it does not touch."""
        made = filled(self._native, self._jobs, sum(self._sizes), self._kept, data.data_ptr())
        panels = iter(made.split_with_sizes(self._sizes))
        laid_out: dict[str, Weights | None] = dict.fromkeys(self._layers)
        for name, ranks in self._ranks.items():
            stored = self._matrices(name, data) if library_is_fast(self._dtype) else None
            laid_out[name] = Weights(ranks, self._dtype, (next(panels), next(panels)), stored)
        return laid_out

    def _matrices(self, name: str, data: torch.Tensor) -> Matrices:
        layer, a, b, scales = self._layers[name], [], [], []
        for part, width in zip(self._slices[name], layer.widths, strict=True):
            given = part or Stored(0, width, 0, 0, (self._dtype, self._dtype), 1.0)
            a.append(_matrix(data, given.a, given.dtypes[0], given.rank, layer.width_in))
            b.append(_of_width(_matrix(data, given.b, given.dtypes[1], given.rows, given.rank), width))
            scales.append(given.scale)
        return Matrices(tuple(a), tuple(b), tuple(scales))


def content_of(path: Path) -> tuple[bytes, torch.Tensor]:
    """A safetensors file's header as it stands there, and all its bytes. Raises OSError; what is cut short has an empty header."""
    with open(path, "rb", buffering=0) as file:
        data = torch.empty(os.fstat(file.fileno()).st_size, dtype=torch.uint8)
        whole = data.numpy().data
        if file.readinto(whole) != len(whole):
            return b"", data
    return bytes(whole[8 : 8 + int.from_bytes(whole[:8], "little")]), data


def entries_of(header: bytes, size: int) -> dict[str, TensorEntry]:
    """What is in a file of `size` bytes with this header; nothing where the header is wrong, or a tensor is none that can be laid out."""
    found, faults = parse_header(header, size)
    entries = found.tensors.values()
    is_plain = all(e.dtype in _DTYPES and e.end > e.start and e.start % _DTYPES[e.dtype].itemsize == 0 for e in entries)
    return found.tensors if is_plain and not faults else {}


def _fits(pair: Mapping[bool, TensorEntry], layer: Layer, part: int) -> bool:
    """Whether both halves are there, of one rank, and of the layer's shape."""
    if len(pair) != 2:
        return False
    a, b = pair[True].shape, pair[False].shape
    return a[1] == layer.width_in and a[0] == b[1] and b[0] <= layer.widths[part]


def _stored(a: TensorEntry, b: TensorEntry, scale: float) -> Stored:
    return Stored(a.shape[0], b.shape[0], a.start, b.start, (_DTYPES[a.dtype], _DTYPES[b.dtype]), scale)


def _matrix(data: torch.Tensor, start: int, dtype: torch.dtype, rows: int, columns: int) -> torch.Tensor:
    return data[start : start + rows * columns * dtype.itemsize].view(dtype).view(rows, columns)


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
