"""Where an adapter's numbers go: of each layer the A and B of each slice, one after another, in the panels that the kernel reads."""

import ctypes
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from service.engine.kernel import DTYPES, Job, Kernel


class Stored(NamedTuple):
    """A slice's A (rank, in) and B (rows, rank), each row after row from a byte on; in the products B counts `scale` times."""

    rank: int
    rows: int
    a: int
    b: int
    dtypes: tuple[torch.dtype, torch.dtype]
    scale: float


def evened(rank: int) -> int:
    """A rank as it is in panels: the kernel multiplies pairs."""
    return rank + rank % 2


def kept_in(dtype: torch.dtype, parts: Iterable[Stored | None]) -> torch.dtype:
    """The dtype of panels for products in `dtype`: bfloat16 where it holds all of these, B times its scale, without rounding."""
    given = [part for part in parts if part is not None and part.rank]
    is_narrow = all(part.dtypes == (torch.bfloat16, torch.bfloat16) and math.frexp(part.scale)[0] == 0.5 for part in given)
    return torch.bfloat16 if is_narrow else dtype


def sizes_of(native: Kernel, ranks: Sequence[int], widths: Sequence[int], width_in: int, kept: torch.dtype) -> list[int]:
    """Numbers in a layer's panels: of all A together, and of each B."""
    left = native.size(sum(map(evened, ranks)), width_in, kept)
    return [left, sum(native.size(width, evened(rank), kept) for width, rank in zip(widths, ranks, strict=True))]


def jobs_of(
    native: Kernel, parts: Sequence[Stored | None], widths: Sequence[int], width_in: int, kept: torch.dtype, start: int
) -> list[Job]:
    """What takes a layer's slices, None for one that is left out, into its panels, which begin `start` numbers from the first."""
    ranks = [part.rank if part is not None else 0 for part in parts]
    together = sum(map(evened, ranks))
    at = start + native.size(together, width_in, kept)
    made, first = [], 0
    for part, width, rank in zip(parts, widths, ranks, strict=True):
        if part is not None:
            a, b = map(DTYPES.index, part.dtypes)
            to, into = start * kept.itemsize, DTYPES.index(kept)
            made.append(Job(part.a, to, rank, width_in, first, together, width_in, 1.0, a, into))
            made.append(Job(part.b, at * kept.itemsize, part.rows, rank, 0, width, evened(rank), part.scale, b, into))
        first += evened(rank)
        at += native.size(width, evened(rank), kept)
    return made


def array_of(jobs: Sequence[Job]) -> "ctypes.Array[Job]":
    """As the kernel takes them."""
    return (Job * len(jobs))(*jobs)


def filled(native: Kernel, jobs: "ctypes.Array[Job]", size: int, kept: torch.dtype, start: int = 0) -> torch.Tensor:
    """Panels of `size` numbers, flat, of what is stored from the address `start` on."""
    made = torch.zeros(size, dtype=kept)
    native.lay_out(jobs, len(jobs), start, made.data_ptr())
    return made
