"""The header of a safetensors file, read and checked by our own code.

The format (github.com/huggingface/safetensors): eight bytes little-endian header length, that many
bytes of JSON, then the tensors' bytes. Everything is checked here that a loader would take on trust.
"""

import json
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from adapters.errors import BadInput

MAX_HEADER = 16 * 1024 * 1024
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
_LARGEST_SIZE = 2**40


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
    """The checked header of a safetensors file.

    Raises:
        BadInput: with what is wrong: too short, a header too large or not JSON, a duplicate name, an
            unknown dtype, a shape that is not one, offsets that overlap, leave a gap, overflow or do
            not fit the shape, bytes after the last tensor.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise BadInput(f"{path.name} is cut short: {size} bytes, a safetensors file has at least 8")
        (length,) = struct.unpack("<Q", start)
        if length > MAX_HEADER or 8 + length > size:
            raise BadInput(f"{path.name}: the header says {length} bytes, the file has {size} and a header at most {MAX_HEADER}")
        raw = file.read(length)
    return _parse(raw, path.name, data_start=8 + length, size=size)


def _parse(raw: bytes, name: str, data_start: int, size: int) -> Header:
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"{name}: the header is not a JSON object: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{name}: the header is not a JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise BadInput(f"{name}: __metadata__ is not an object of texts")
    tensors = {tensor: _entry(entry, tensor, name, data_start) for tensor, entry in content.items()}
    _check_layout(tensors, name, data_start, size)
    return Header(tensors, metadata)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_SIZE


def _entry(entry: Any, tensor: str, name: str, data_start: int) -> TensorEntry:
    where = f"{name}: tensor {tensor!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BadInput(f"{where} has not just dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _ITEM_BYTES:
        raise BadInput(f"{where} has the unknown dtype {dtype!r}")
    if not isinstance(shape, list) or not all(_is_size(n) for n in shape):
        raise BadInput(f"{where} has no shape but {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(n) for n in offsets) or offsets[0] > offsets[1]:
        raise BadInput(f"{where} has no byte range but {offsets!r}")
    count = 1
    for n in shape:
        count *= n
    if count * _ITEM_BYTES[dtype] != offsets[1] - offsets[0]:
        raise BadInput(f"{where}: shape {shape} of {dtype} is not {offsets[1] - offsets[0]} bytes")
    return TensorEntry(dtype, tuple(shape), data_start + offsets[0], data_start + offsets[1])


def _check_layout(tensors: dict[str, TensorEntry], name: str, data_start: int, size: int) -> None:
    ordered = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end))
    if ordered and ordered[0][1].start != data_start:
        raise BadInput(f"{name}: the first tensor does not begin where the header ends")
    for (first, before), (second, after) in pairwise(ordered):
        if before.end != after.start:
            raise BadInput(f"{name}: tensors {first!r} and {second!r} overlap or leave a gap")
    end = ordered[-1][1].end if ordered else data_start
    if end != size:
        raise BadInput(f"{name}: the tensors end at byte {end}, the file at {size}")
