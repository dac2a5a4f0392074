"""kernel.cpp, compiled once for this machine and called through ctypes."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = ("-O3", "-march=native", "-std=gnu++17", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")


class Slot(ctypes.Structure):
    """One adapter's weights in one layer; see kernel.cpp."""

    _fields_ = [("a", ctypes.c_void_p), ("b", ctypes.c_void_p), ("ranks", ctypes.c_void_p), ("narrow", ctypes.c_int32)]


class Layer(ctypes.Structure):
    """One layer's slots and shape."""

    _fields_ = [("slots", ctypes.c_void_p), ("widths", ctypes.c_void_p), ("slices", ctypes.c_int32), ("width_in", ctypes.c_int32)]


class Step(ctypes.Structure):
    """A step's rows by group."""

    _fields_ = [("slots", ctypes.c_void_p), ("starts", ctypes.c_void_p), ("rows", ctypes.c_void_p), ("groups", ctypes.c_int32)]


class Job(ctypes.Structure):
    """A stored matrix and its place in panels, addresses in bytes from those that `lay_out` is given; see kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("start", "to", "columns", "depth", "first", "all", "length")),
        ("scale", ctypes.c_float),
        ("stored", ctypes.c_int32),
        ("kept", ctypes.c_int32),
    ]


# (layer, step, y, y's row stride, x, x's row stride), addresses and strides in elements
Add = Callable[[int, int, int, int, int, int], None]
# (array of jobs, how many, address of what is stored, address of the panels, all zeros)
LayOut = Callable[["ctypes.Array[Job]", int, int, int], None]
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}
# By which a job names the dtypes that can be stored; panels are of the first two.
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class Kernel:
    """The loaded library: the columns of a panel, the panels of a block, the product by dtype, and the layout.

    A matrix (columns, depth) becomes blocks of (depth, panels, lanes), whose last has fewer panels, the last of which zeros fill.
    In bfloat16 two numbers that follow one another in depth lie side by side, and zeros make an odd depth even.
    """

    lanes: int
    block: int
    add: dict[torch.dtype, Add]
    lay_out: LayOut

    def size(self, columns: int, depth: int, dtype: torch.dtype) -> int:
        """Numbers in the panels of a matrix (columns, depth)."""
        return -(-columns // self.lanes) * self.lanes * _length(depth, dtype)

    def matrix(self, panels: torch.Tensor, columns: int, depth: int) -> torch.Tensor:
        """The matrix (columns, depth) that panels were made of, scaled as it was then."""
        length = _length(depth, panels.dtype)
        pair = 2 if panels.dtype == torch.bfloat16 else 1
        blocks = torch.split(panels, max(1, self.block * self.lanes * length))
        rows = [block.view(length // pair, -1, pair).transpose(0, 1).reshape(-1, length) for block in blocks if length]
        return torch.cat(rows)[:columns, :depth] if rows else panels.new_empty(columns, 0)


def _length(depth: int, dtype: torch.dtype) -> int:
    return depth + depth % 2 if dtype == torch.bfloat16 else depth


def ints(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    """An array for the structures above; whoever stores its address keeps it alive."""
    return (ctypes.c_int32 * len(values))(*values)


def compiler() -> str | None:
    """The C++ compiler, found as torch's own compiling backend finds it; None when there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


@cache
def kernel() -> Kernel | None:
    """The kernel, or None, with a warning, on a machine where it cannot be built: products are then the library's, slower."""
    try:
        library = _loaded()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        logging.getLogger("vllm").warning("multi-LoRA runs slower, without its own kernel: %s", error)
        return None
    address, number = ctypes.c_void_p, ctypes.c_int64
    add: dict[torch.dtype, Add] = {
        dtype: _declared(library[f"add_{name}"], address, address, address, number, address, number)
        for dtype, name in _NAMES.items()
    }
    return Kernel(
        library.lanes(), library.block(), add, _declared(library.lay_out, ctypes.POINTER(Job), number, address, address)
    )


def _declared(function: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = None, arguments
    return function


def _loaded() -> ctypes.CDLL:
    """Built for this source, compiler and processor, and kept in the user's cache where that can be written to.

    Raises RuntimeError with the compiler's words when it fails, OSError when there is no room for the library anywhere.
    """
    cxx = compiler()
    if cxx is None:
        raise RuntimeError("no C++ compiler; install g++, or name one in CXX")
    version = subprocess.run([cxx, "--version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), version, _processor().encode(), " ".join(_FLAGS).encode()]))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "patchbay"
    kept = folder / f"lora-{key.hexdigest()[:16]}.so"
    if kept.is_file():
        return ctypes.CDLL(str(kept))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder)
    except OSError:  # a read-only home: build for this process alone
        with tempfile.TemporaryDirectory() as alone:
            return ctypes.CDLL(str(_built(cxx, Path(alone))))
    with scratch as room:  # several processes may build at once: the last rename wins
        _built(cxx, Path(room)).replace(kept)
    return ctypes.CDLL(str(kept))


def _built(cxx: str, folder: Path) -> Path:
    fresh = folder / "lora.so"
    made = subprocess.run([cxx, *_FLAGS, "-o", str(fresh), str(SOURCE)], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"{cxx} could not compile {SOURCE}: {made.stderr.strip()}")
    return fresh


def _processor() -> str:
    """What -march=native depends on."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.machine() + platform.processor()
    return "".join(
        sorted({line for line in info.read_text().splitlines() if line.startswith(("flags", "Features", "model name"))})
    )
