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

import torch

SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = ("-O3", "-march=native", "-std=gnu++17", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")


class Slot(ctypes.Structure):
    """One adapter's weights in one layer; see kernel.cpp."""

    _fields_ = [("a", ctypes.c_void_p), ("b", ctypes.c_void_p), ("ranks", ctypes.c_void_p)]


class Layer(ctypes.Structure):
    """One layer's slots and shape."""

    _fields_ = [("slots", ctypes.c_void_p), ("widths", ctypes.c_void_p), ("slices", ctypes.c_int32), ("width_in", ctypes.c_int32)]


class Step(ctypes.Structure):
    """A step's rows by group."""

    _fields_ = [("slots", ctypes.c_void_p), ("starts", ctypes.c_void_p), ("rows", ctypes.c_void_p), ("groups", ctypes.c_int32)]


# (layer, step, y, y's row stride, x, x's row stride), addresses and strides in elements
Add = Callable[[int, int, int, int, int, int], None]


@dataclass(frozen=True)
class Kernel:
    """The loaded library: the columns of a panel, and the product by dtype."""

    lanes: int
    add: dict[torch.dtype, Add]

    def panels(self, columns: torch.Tensor) -> torch.Tensor:
        """A matrix given by its columns (columns, depth) as panels of (depth, lanes) one after another, flat; zeros fill the last."""
        missing = -len(columns) % self.lanes
        if missing:
            columns = torch.cat([columns, columns.new_zeros(missing, columns.shape[1])])
        return columns.reshape(len(columns) // self.lanes, self.lanes, columns.shape[1]).transpose(1, 2).reshape(-1)


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
    for function in (library.add_bf16, library.add_f32):
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
    return Kernel(library.lanes(), {torch.bfloat16: library.add_bf16, torch.float32: library.add_f32})


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
