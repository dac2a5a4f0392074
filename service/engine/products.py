"""Multi-LoRA products on CPU: each adapter's weights laid out once, each step's rows grouped once, work by an adapter's own rank.

Rows go through service/engine/kernel.cpp, one call a layer. Only long runs of one adapter's rows (prefill) are plain
matrix products, in a number format that the library is fast in. Rows without an adapter are in no group, and a layer
that no adapter touches returns at once.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import torch

from service.engine import kernel
from service.engine.layout import Stored, array_of, evened, filled, jobs_of, kept_in, sizes_of

# Rows of a run from which two library products beat the kernel, where they ever do (see library_is_fast).
LARGE = 96
_AVX512_LANES = 16


@dataclass(frozen=True)
class Run:
    """Rows that follow one another and go through one slot."""

    slot: int
    rows: slice


class Groups:
    """Rows by slot, as the kernel reads them."""

    def __init__(self, runs: Sequence[Run]) -> None:
        by_slot: dict[int, list[int]] = {}
        for run in runs:
            by_slot.setdefault(run.slot, []).extend(range(run.rows.start, run.rows.stop))
        starts = [0]
        for rows in by_slot.values():
            starts.append(starts[-1] + len(rows))
        self._arrays = (
            kernel.ints(list(by_slot)),
            kernel.ints(starts),
            kernel.ints([row for rows in by_slot.values() for row in rows]),
        )
        self._struct = kernel.Step(*map(ctypes.addressof, self._arrays), len(by_slot))
        self.address = ctypes.addressof(self._struct)


class Step:
    """Which row of a batch goes through which slot; -1 for none."""

    def __init__(self, slots: Sequence[int]) -> None:
        self.slots = slots
        self.runs: list[Run] = []
        start = 0
        for row, slot in enumerate(slots):
            if row + 1 == len(slots) or slots[row + 1] != slot:
                if slot >= 0:
                    self.runs.append(Run(slot, slice(start, row + 1)))
                start = row + 1
        self.end = self.runs[-1].rows.stop if self.runs else 0

    @cached_property
    def large(self) -> list[Run]:
        """The long runs."""
        return [run for run in self.runs if run.rows.stop - run.rows.start >= LARGE]

    @cached_property
    def small(self) -> Groups | None:
        """All rows that are in no long run; None when there are none."""
        rest = [run for run in self.runs if run.rows.stop - run.rows.start < LARGE]
        return Groups(rest) if rest else None

    @cached_property
    def all(self) -> Groups:
        """All rows with an adapter."""
        return Groups(self.runs)


class Matrices(NamedTuple):
    """An adapter in one layer as plain matrices: A (rank, in) and B (width, rank) of each slice, and the scale of each one's product."""

    a: tuple[torch.Tensor, ...]
    b: tuple[torch.Tensor, ...]
    scales: tuple[float, ...]


@dataclass(frozen=True)
class Weights:
    """One adapter in one layer, slice by slice, without what is padding: its own rank.

    ranks: of each slice, 0 where the adapter leaves it out; dtype: that of the products.
    panels: A, and B times its scale, as the kernel reads them; None where it does not come to that. In the dtype of the products,
    or in bfloat16 where it holds the stored values exactly: reading them is most of what a step's few rows cost.
    stored: as they came; None where the kernel does all products that are to be expected.
    """

    ranks: tuple[int, ...]
    dtype: torch.dtype
    panels: tuple[torch.Tensor, torch.Tensor] | None
    stored: Matrices | None

    @classmethod
    def of(cls, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], with_panels: bool = True) -> "Weights | None":
        """From each slice's A (r, in) and B (width, r), padded with zeros to r; None when the product is zero."""
        ranks = [_used(left.any(dim=1) & right.any(dim=0)) for left, right in zip(a, b, strict=True)]
        kept_a = [left[:rank].clone() for left, rank in zip(a, ranks, strict=True)]
        kept_b = [right[:, :rank].contiguous() for right, rank in zip(b, ranks, strict=True)]
        return cls.packed(kept_a, kept_b, [1.0] * len(ranks), a[0].dtype, with_panels)

    @classmethod
    def packed(
        cls,
        a: Sequence[torch.Tensor],
        b: Sequence[torch.Tensor],
        scales: Sequence[float],
        dtype: torch.dtype,
        with_panels: bool = True,
    ) -> "Weights | None":
        """As `of`, of what is not padded: A (rank, in) and B (width, rank) of each slice; `dtype` is that of the products."""
        if not any(map(len, a)):
            return None
        native = kernel.kernel()
        panels = None
        if with_panels and native is not None and dtype in native.add:
            panels = _panels(native, a, b, scales, dtype)
        stored = Matrices(tuple(a), tuple(b), tuple(scales)) if panels is None or library_is_fast(dtype) else None
        return cls(tuple(map(len, a)), dtype, panels, stored)

    @cached_property
    def slot(self) -> kernel.Slot:
        """As the kernel takes it; its addresses are those of what is held here."""
        if self.panels is None:
            return _EMPTY
        left, right = self.panels
        ranks = ctypes.addressof(_ranks(tuple(map(evened, self.ranks))))
        return kernel.Slot(left.data_ptr(), right.data_ptr(), ranks, left.dtype == torch.bfloat16)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that is held."""
        return [*(self.panels or ()), *(self.stored.a + self.stored.b if self.stored else ())]

    @cached_property
    def bytes(self) -> int:
        """Of all that is held."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def matrices(self, widths: Sequence[int], width_in: int) -> Matrices:
        """As plain matrices, for a layer of this shape; taken out of the panels where nothing else is held."""
        if self.stored is not None:
            return self.stored
        native = kernel.kernel()
        if self.panels is None or native is None:
            raise ValueError("these weights are held neither as they came nor in panels")
        ranks = list(map(evened, self.ranks))
        a = native.matrix(self.panels[0], sum(ranks), width_in)
        sizes = [native.size(width, rank, self.panels[1].dtype) for width, rank in zip(widths, ranks, strict=True)]
        parts = zip(torch.split(self.panels[1], sizes), widths, ranks, strict=True)
        return Matrices(torch.split(a, ranks), tuple(native.matrix(*part) for part in parts), (1.0,) * len(ranks))


_EMPTY = kernel.Slot(None, None, None, 0)


@cache  # there are few different ones, and their addresses are handed out
def _ranks(values: tuple[int, ...]) -> ctypes.Array[ctypes.c_int32]:
    return kernel.ints(values)


def _panels(
    native: kernel.Kernel, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], scales: Sequence[float], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Those of one layer's tensors; what is stored in a dtype that the kernel does not read, through float32."""
    lefts, rights = ([t.contiguous() if t.dtype in kernel.DTYPES else t.float().contiguous() for t in side] for side in (a, b))
    parts = [
        Stored(len(left), len(right), left.data_ptr(), right.data_ptr(), (left.dtype, right.dtype), scale)
        for left, right, scale in zip(lefts, rights, scales, strict=True)
    ]
    widths, width_in, kept = list(map(len, rights)), lefts[0].shape[1], kept_in(dtype, parts)
    sizes = sizes_of(native, [part.rank for part in parts], widths, width_in, kept)
    jobs = array_of(jobs_of(native, parts, widths, width_in, kept, 0))
    left, right = torch.split(filled(native, jobs, sum(sizes), kept), sizes)
    return left, right


def _used(mask: torch.Tensor) -> int:
    """Up to and with the last that is true."""
    found = mask.nonzero()
    return int(found[-1]) + 1 if len(found) else 0


class Layer:
    """One wrapped layer: its adapters by slot, `touched` by how many. `widths` are the output's slices, `width_in` the input's features."""

    def __init__(self, slots: int, widths: Sequence[int], width_in: int) -> None:
        self.weights: list[Weights | None] = [None] * slots
        self.widths, self.width_in = tuple(widths), width_in
        self.touched = 0
        self._slots = (kernel.Slot * slots)()
        self._widths = kernel.ints(self.widths)
        self._struct = kernel.Layer(ctypes.addressof(self._slots), ctypes.addressof(self._widths), len(self.widths), width_in)
        self._address = ctypes.addressof(self._struct)

    def set(self, slot: int, weights: Weights | None) -> None:
        """Puts an adapter's weights into a slot, or empties it."""
        self.touched += (weights is not None) - (self.weights[slot] is not None)
        self.weights[slot] = weights
        self._slots[slot] = _EMPTY if weights is None else weights.slot

    def add(self, y: torch.Tensor, x: torch.Tensor, step: Step) -> None:
        """y[:, slice i] += x A_i^T B_i^T in place; y (rows, sum of widths), x (rows, in). Raises ValueError on fewer rows than grouped."""
        if not self.touched or not step.runs:
            return
        if step.end > len(y):
            raise ValueError(f"the step groups {step.end} rows, the layer has {len(y)}")
        native, fast = self._kernel(y, x), library_is_fast(y.dtype)
        groups = step.small if fast else step.all
        if native is not None and groups is not None:
            native(self._address, groups.address, y.data_ptr(), y.stride(0), x.data_ptr(), x.stride(0))
        if native is None or fast:
            self._products(y, x, step.runs if native is None else step.large)

    def _kernel(self, y: torch.Tensor, x: torch.Tensor) -> kernel.Add | None:
        """The kernel, where it takes these: one dtype that it knows for all, features side by side."""
        native, weights = kernel.kernel(), next(filter(None, self.weights))
        if native is None or not y.dtype == x.dtype == weights.dtype or y.stride(1) != 1 or x.stride(1) != 1:
            return None
        return native.add.get(y.dtype)

    def _products(self, y: torch.Tensor, x: torch.Tensor, runs: Sequence[Run]) -> None:
        for run in runs:
            weights = self.weights[run.slot]
            if weights is None:
                continue
            a, bs, scales = weights.matrices(self.widths, self.width_in)
            shrunk = torch.mm(x[run.rows].to(weights.dtype), torch.cat(a).to(weights.dtype).t())
            start = first = 0
            for width, rank, b, scale in zip(self.widths, map(len, a), bs, scales, strict=True):
                if rank:
                    part = shrunk[:, first : first + rank]
                    add_product(y[run.rows, start : start + width], part, b.to(weights.dtype), scale)
                start, first = start + width, first + rank


def add_product(y: torch.Tensor, shrunk: torch.Tensor, b: torch.Tensor, scale: float = 1.0) -> None:
    """y += scale shrunk B^T; y (rows, width), shrunk (rows, rank), B (width, rank)."""
    if y.dtype == shrunk.dtype == b.dtype:
        y.addmm_(shrunk, b.t(), alpha=scale)
    else:
        y += torch.mm(shrunk.to(b.dtype), b.t()).to(y.dtype) * scale


@cache
def library_is_fast(dtype: torch.dtype) -> bool:
    """Only float32 without AVX-512: torch emulates bfloat16 there, and with AVX-512 the kernel is as fast with one adapter, twice with eight."""
    native = kernel.kernel()
    return dtype == torch.float32 and native is not None and native.lanes < _AVX512_LANES
