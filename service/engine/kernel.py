"""kernel.cpp, compiled once for this machine and called through ctypes."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wno-psabi")

Add = Callable[[int, int, int, int, int, int], None]


class Slot(ctypes.Structure):
    """One adapter's weights in one layer; see kernel.cpp."""

    _fields_ = [("a", ctypes.c_void_p), ("b", ctypes.c_void_p), ("ranks", ctypes.c_void_p)]


class Layer(ctypes.Structure):
    """One layer's slots and shape."""

    _fields_ = [("slots", ctypes.c_void_p), ("widths", ctypes.c_void_p), ("slices", ctypes.c_int32), ("width_in", ctypes.c_int32)]


class Step(ctypes.Structure):
    """A step's rows by group."""

    _fields_ = [("slots", ctypes.c_void_p), ("starts", ctypes.c_void_p), ("rows", ctypes.c_void_p), ("groups", ctypes.c_int32)]


def compiler() -> str | None:
    """The C++ compiler, found as torch's own compiling backend finds it; None when there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


@cache
def kernels() -> tuple[Add, Add]:
    """add_bf16 and add_f32: (layer, step, y, y's row stride, x, x's row stride), addresses and strides in elements.

    Raises RuntimeError with the compiler's words when it fails.
    """
    library = ctypes.CDLL(str(_built()))
    for function in (library.add_bf16, library.add_f32):
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
    return library.add_bf16, library.add_f32


def _built() -> Path:
    """The shared library; made anew for another source, compiler or processor."""
    cxx = compiler()
    if cxx is None:
        raise RuntimeError("no C++ compiler: install g++, or name one in CXX")
    version = subprocess.run([cxx, "--version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), version, _processor().encode(), " ".join(_FLAGS).encode()]))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "patchbay"
    built = folder / f"lora-{key.hexdigest()[:16]}.so"
    if not built.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # several processes may build at once: the last rename wins
            fresh = Path(scratch) / built.name
            made = subprocess.run([cxx, *_FLAGS, "-o", str(fresh), str(SOURCE)], capture_output=True, text=True)
            if made.returncode:
                raise RuntimeError(f"{cxx} could not compile {SOURCE}: {made.stderr.strip()}")
            fresh.replace(built)
    return built


def _processor() -> str:
    """What -march=native depends on."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.machine() + platform.processor()
    return "".join(
        sorted({line for line in info.read_text().splitlines() if line.startswith(("flags", "Features", "model name"))})
    )
