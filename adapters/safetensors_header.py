"""The header of a safetensors file, read and checked by our own code.

The format (github.com/huggingface/safetensors): eight bytes little-endian header length, that many
bytes of JSON, then the tensors' bytes. Everything is checked here that a loader would take on trust.
"""

import json
import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, printable, shown
from adapters.json_file import unique

MAX_HEADER = 16 * 1024 * 1024
_ITEM_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip
_LARGEST_SIZE = 2**40
_MOST_DIMENSIONS = 32
_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's dtype (as the format names it), shape, and byte range from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """The tensors by name, and the file's own metadata."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of a safetensors file. Raises BadInput with everything that is wrong with it."""
    header, faults = inspect_header(path)
    if faults:
        raise BadInput(f"{path.name}: {'; '.join(faults[:20])}")
    return header


def inspect_header(path: Path, most: int = MAX_HEADER) -> tuple[Header, list[str]]:
    """The header, of at most `most` bytes, and everything that is wrong with it; only without faults is it to be used.

    A fault is: too short, a header too large or not JSON, a name that stands twice, an unknown dtype, a
    shape that is not one, offsets that overlap, leave a gap, overflow or do not fit the shape, bytes
    after the last tensor.
    """
    empty, size = Header({}, {}), path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return empty, [f"cut short: {size} bytes, a safetensors file has at least 8"]
        (length,) = struct.unpack("<Q", start)
        if length > most or 8 + length > size:
            return empty, [f"the header says {length} bytes, the file has {size} and a header at most {most}"]
        raw = file.read(length)
    return parse_header(raw, size)


def parse_header(raw: bytes, size: int) -> tuple[Header, list[str]]:
    """As `inspect_header`, of the header's own bytes in a file of `size` bytes."""
    empty = Header({}, {})
    try:
        content = _content(raw)
    except (ValueError, RecursionError) as error:
        return empty, [f"the header is not a JSON object: {error}"]
    metadata = content.pop("__metadata__", {})
    faults = [] if _is_metadata(metadata) else ["__metadata__ is not an object of texts"]
    wrong = {tensor: fault for tensor, entry in content.items() if (fault := _fault(entry))}
    faults += [f"tensor {printable(tensor, 200)} {fault}" for tensor, fault in wrong.items()]
    if faults:
        return empty, faults
    data_start = 8 + len(raw)
    tensors = {tensor: _entry(entry, data_start) for tensor, entry in content.items()}
    return Header(tensors, metadata), _layout(tensors, data_start, size)


def _content(raw: bytes) -> dict[str, Any]:
    content = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    if not isinstance(content, dict) or not raw.startswith(b"{"):
        raise ValueError("it does not begin with {")
    json.dumps(content, ensure_ascii=False).encode()  # fails for halves of characters, which loaders refuse
    return content


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_SIZE


def _fault(entry: Any) -> str | None:
    """What is wrong with one tensor's entry by itself."""
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        return "has not just dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BITS:
        return f"has the unknown dtype {shown(dtype)}"
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS or not all(_is_size(n) for n in shape):
        return f"has no shape but {shown(shape)}"
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(n) for n in offsets) or offsets[0] > offsets[1]:
        return f"has no byte range but {shown(offsets)}"
    if math.prod(shape) * _ITEM_BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        return f"has the shape {shape} of {dtype}, which is not {offsets[1] - offsets[0]} bytes"
    return None


def _entry(entry: dict[str, Any], data_start: int) -> TensorEntry:
    first, last = entry["data_offsets"]
    return TensorEntry(entry["dtype"], tuple(entry["shape"]), data_start + first, data_start + last)


def _layout(tensors: dict[str, TensorEntry], data_start: int, size: int) -> list[str]:
    """Tensors lie one after another from the header's end to the file's, without a hole."""
    ordered = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end))
    faults = []
    if ordered and ordered[0][1].start != data_start:
        faults.append("the first tensor does not begin where the header ends")
    for (first, before), (second, after) in pairwise(ordered):
        if before.end != after.start:
            faults.append(f"tensors {printable(first, 200)} and {printable(second, 200)} overlap or leave a gap")
    end = max((entry.end for entry in tensors.values()), default=data_start)
    if end != size:
        faults.append(f"the tensors end at byte {end}, the file at {size}")
    return faults
