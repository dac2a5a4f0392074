"""Multi-LoRA products on CPU: each adapter's weights laid out once, each step's rows grouped once, work by an adapter's own rank.

Small groups (decode) go through service/engine/kernel.cpp, one call a layer; large ones (prefill) are plain matrix
products. Rows without an adapter are in no group, layers that no adapter touches return at once.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.engine import kernel

# Rows of one adapter from which two library products beat the kernel (bench/multi_lora.py measures both sides of it).
LARGE = 48

Rows = slice | torch.Tensor


class Step:
    """Which row of a batch goes through which slot; -1 for none."""

    def __init__(self, slots: Sequence[int]) -> None:
        self.slots = slots
        by_slot: dict[int, list[int]] = {}
        for row, slot in enumerate(slots):
            if slot >= 0:
                by_slot.setdefault(slot, []).append(row)
        self.groups: list[tuple[int, Rows]] = [(slot, _as_slice(rows)) for slot, rows in by_slot.items()]
        self.large = [group for group, rows in zip(self.groups, by_slot.values(), strict=True) if len(rows) >= LARGE]
        small = {slot: rows for slot, rows in by_slot.items() if len(rows) < LARGE}
        self.small = [group for group in self.groups if group[0] in small]
        starts = [0]
        for rows in small.values():
            starts.append(starts[-1] + len(rows))
        self._arrays = (_ints(list(small)), _ints(starts), _ints([row for rows in small.values() for row in rows]))
        self._struct = kernel.Step(*map(ctypes.addressof, self._arrays), len(small))
        self.address = ctypes.addressof(self._struct)
        self.end = 1 + max((rows[-1] for rows in by_slot.values()), default=-1)


@dataclass(frozen=True)
class Weights:
    """One adapter in one layer, without the rows and columns that are zero: its own rank, slice by slice.

    a: (sum of ranks, in); b: for each slice (rank, width), views of `flat`.
    """

    a: torch.Tensor
    b: tuple[torch.Tensor, ...]
    flat: torch.Tensor
    ranks: tuple[int, ...]

    @classmethod
    def of(cls, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> "Weights | None":
        """From each slice's A (r, in) and B (width, r), r padded; None when the product is zero."""
        used = [left.any(dim=1) & right.any(dim=0) for left, right in zip(a, b, strict=True)]
        kept_a = [left[mask] for left, mask in zip(a, used, strict=True)]
        kept_b = [right[:, mask] for right, mask in zip(b, used, strict=True)]
        return cls.packed(kept_a, kept_b)

    @classmethod
    def packed(cls, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> "Weights | None":
        """As `of`, of what is not padded: A (rank, in) and B (width, rank) of each slice."""
        ranks = tuple(len(left) for left in a)
        if not any(ranks):
            return None
        flat = torch.cat([right.t().reshape(-1) for right in b])
        views = torch.split(flat, [right.numel() for right in b])
        shaped = tuple(view.view(right.shape[1], right.shape[0]) for view, right in zip(views, b, strict=True))
        return cls(torch.cat(list(a)).contiguous(), shaped, flat, ranks)


class Layer:
    """One wrapped layer: its adapters by slot. `widths` are the output's slices, `width_in` the input's features."""

    def __init__(self, slots: int, widths: Sequence[int], width_in: int) -> None:
        self.weights: list[Weights | None] = [None] * slots
        self.widths, self.width_in = tuple(widths), width_in
        self._slots = (kernel.Slot * slots)()
        self._widths = _ints(self.widths)
        self._ranks: list[object] = [None] * slots
        self._struct = kernel.Layer(ctypes.addressof(self._slots), ctypes.addressof(self._widths), len(self.widths), width_in)
        self._address = ctypes.addressof(self._struct)
        self.touched = False

    def set(self, slot: int, weights: Weights | None) -> None:
        """Puts an adapter's weights into a slot, or empties it."""
        self.weights[slot] = weights
        if weights is None:
            self._slots[slot] = kernel.Slot(None, None, None)
        else:
            self._ranks[slot] = ranks = _ints(weights.ranks)
            self._slots[slot] = kernel.Slot(weights.a.data_ptr(), weights.flat.data_ptr(), ctypes.addressof(ranks))
        self.touched = any(self.weights)

    def add(self, y: torch.Tensor, x: torch.Tensor, step: Step) -> None:
        """y[:, slice i] += x A_i^T B_i^T in place; y (rows, sum of widths), x (rows, in). Raises ValueError on fewer rows than grouped."""
        if not self.touched or not step.groups:
            return
        if step.end > len(y):
            raise ValueError(f"the step groups {step.end} rows, the layer has {len(y)}")
        large = step.large
        if step.small:
            if _usable(y, x) and kernel.compiler() is not None:
                run = kernel.kernels()[0 if y.dtype == torch.bfloat16 else 1]
                run(self._address, step.address, y.data_ptr(), y.stride(0), x.data_ptr(), x.stride(0))
            else:
                large = step.groups
        for slot, rows in large:
            weights = self.weights[slot]
            if weights is not None:
                self._products(y, x, rows, weights)

    def _products(self, y: torch.Tensor, x: torch.Tensor, rows: Rows, weights: Weights) -> None:
        shrunk = torch.mm(x[rows].to(weights.a.dtype), weights.a.t())
        start = first = 0
        for width, rank, b in zip(self.widths, weights.ranks, weights.b, strict=True):
            if rank:
                update = torch.mm(shrunk[:, first : first + rank], b).to(y.dtype)
                if isinstance(rows, slice):
                    y[rows, start : start + width] += update
                else:
                    y[:, start : start + width].index_add_(0, rows, update)
            start, first = start + width, first + rank


def _usable(y: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether the kernel takes these: one dtype it knows, features side by side."""
    return y.dtype == x.dtype and y.dtype in (torch.bfloat16, torch.float32) and y.stride(1) == 1 and x.stride(1) == 1


def _ints(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(values))(*values)


def _as_slice(rows: list[int]) -> Rows:
    """A slice where the rows follow one another, which spares a copy."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows)
