"""Every malformation that the format's own tests know, and those that its loaders let through; each refused by both or by us alone."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError, safe_open

from adapters.errors import BadInput
from adapters.safetensors_header import MAX_HEADER, inspect_header, read_header


def entry(shape: list[Any], start: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


ONE = {"test": entry([2, 2], 0, 16)}
GOOD = {
    "one tensor": file_of(ONE, bytes(16)),
    "none": file_of({}),
    "none, with metadata": file_of({"__metadata__": {"format": "pt"}}),
    "a single number": file_of({"test": entry([], 0, 4)}, bytes(4)),
    "nothing in it": file_of({"test": entry([2, 0], 0, 0)}),
    "padded": file_of(b"{}\r \t\n"),
    "two in any order": file_of({"b": entry([2], 8, 16), "a": entry([2], 0, 8)}, bytes(16)),
    "half bytes": file_of({"test": entry([4], 0, 2, "F4")}, bytes(2)),
}
# Refused by the format's own reader too.
MALFORMED = {
    "nothing": b"",
    "header too small": b"\0" * 7,
    "header length alone": b"<\0\0\0\0\0\0\0",
    "header longer than the file": file_of(ONE, length=1000),
    "header too large": b"<\0\0\0\0\xff\xff\xff" + file_of(ONE, bytes(16))[8:],
    "header of the largest size": struct.pack("<Q", 2**64 - 1) + b"{}",
    "not utf-8": file_of(b"\xff"),
    "not json": file_of(b"{"),
    "json of another kind": file_of(b"[]"),
    "deep": file_of(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "no header": file_of(b""),
    "a pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.",
    "all at one place": file_of({f"w{n}": entry([2, 2], 0, 16) for n in range(10)}, bytes(16)),
    "overlap": file_of({"a": entry([4], 0, 16), "b": entry([4], 8, 24)}, bytes(24)),
    "hole": file_of({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, bytes(20)),
    "hole at the start": file_of({"a": entry([2], 8, 16)}, bytes(16)),
    "bytes after the last": file_of(ONE, bytes(16) + b"extra_bogus_data_for_polyglot_file"),
    "bytes missing": file_of(ONE, bytes(14)),
    "bytes without a tensor": file_of({}, b"x"),
    "offsets backwards": file_of({"test": entry([2, 2], 16, 0)}, bytes(16)),
    "offsets past the file": file_of({"test": entry([2, 2], 16, 32)}, bytes(16)),
    "shape of another size": file_of({"test": entry([2, 2], 0, 4)}, bytes(4)),
    "shape overflows": file_of({"test": entry([2, 2**64 - 2], 0, 16)}, bytes(16)),
    "bytes overflow": file_of({"test": entry([2, 2**63 - 1], 0, 16)}, bytes(16)),
    "offsets overflow": file_of({"test": entry([2, 2], 2**64 - 16, 2**64)}, bytes(16)),
    "negative shape": file_of({"test": entry([-2, -2], 0, 16)}, bytes(16)),
    "negative offset": file_of({"test": entry([4], -16, 0)}, bytes(16)),
    "shape of floats": file_of({"test": entry([2.0, 2], 0, 16)}, bytes(16)),
    "shape of booleans": file_of({"test": entry([True, 4], 0, 16)}, bytes(16)),
    "shape a text": file_of({"test": {"dtype": "F32", "shape": "4", "data_offsets": [0, 16]}}, bytes(16)),
    "offsets a triple": file_of({"test": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8, 16]}}, bytes(16)),
    "unknown dtype": file_of({"test": entry([4], 0, 16, "F31")}, bytes(16)),
    "dtype a list": file_of({"test": entry([4], 0, 16, ["F32"])}, bytes(16)),
    "dtype null": file_of({"test": entry([4], 0, 16, None)}, bytes(16)),
    "no shape": file_of({"test": {"dtype": "F32", "data_offsets": [0, 16]}}, bytes(16)),
    "entry a number": file_of({"test": 1}),
    "metadata of numbers": file_of({"__metadata__": {"a": 1}}),
    "metadata a list": file_of({"__metadata__": ["a"]}),
    "metadata deep": file_of({"__metadata__": {"a": {"b": "c"}}}),
    "a number that is none": file_of(b'{"test": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 0]}}'),
    "half a character": file_of(b'{"\\ud800": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'),
    "half a byte": file_of({"test": entry([3], 0, 2, "F4")}, bytes(2)),
}
# Let through by the format's own reader: two readers could see two adapters.
OURS_ALONE = {
    "begins with a space": file_of(b" {}"),
    "name twice": file_of(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    ),
    "a field too many": file_of({"test": entry([4], 0, 16) | {"more": 1}}, bytes(16)),
    "a thousand dimensions": file_of({"test": entry([1] * 1000, 0, 4)}, bytes(4)),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
def test_what_the_format_allows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    header = read_header(path)
    with safe_open(path, "np") as other:
        assert set(other.keys()) == set(header.tensors)


@pytest.mark.parametrize("content", [*MALFORMED.values(), *OURS_ALONE.values()], ids=[*MALFORMED, *OURS_ALONE])
def test_what_is_malformed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.safetensors"):
        read_header(path)


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_the_formats_own_reader_agrees(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises((SafetensorError, OSError, ValueError)):
        safe_open(path, "np").__enter__()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(file_of({"a": entry([1], 0, 4, "F31"), "b": entry([-1], 0, 4), "c": 1, "__metadata__": {"x": 1}}))
    assert len(inspect_header(path)[1]) == 4


def test_a_header_that_is_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER + 1))
        file.truncate(MAX_HEADER + 100)
    assert inspect_header(path)[1]
    path.write_bytes(file_of(ONE, bytes(16)))
    assert inspect_header(path, most=10)[1]
