"""Archives, configs and headers that nobody thought of: an error of ours or an adapter that PEFT and the engine's loader can read.

Whatever comes: no other exception, and no file outside the folder.
"""

import io
import json
import struct
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftConfig
from safetensors import safe_open

from adapters.archive import ALLOWED, unpack
from adapters.check import check_adapter
from adapters.errors import BadInput, PatchbayError
from adapters.limits import Limits
from adapters.peft_fields import CHECKED, IGNORED, OFF
from adapters.safetensors_header import read_header
from tests.makers import EMBEDDED, files_of, lora_config, tar_of, write_adapter, zip_of

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
NAMES = st.sampled_from(
    [*sorted(ALLOWED), "evil.py", "../up", "/abs", "a/README.md", "a/../b", "C:\\x", "", ".", "x\0y"]
) | st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(write_adapter(tmp_path_factory.mktemp("fuzz") / "good"))


def unpack_somewhere(content: bytes) -> None:
    """Unpacks, and looks that all there is lies in the folder as plain files with names that are allowed."""
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name)
        into = outer / "in" / "files"
        into.mkdir(parents=True)
        (outer / "archive").write_bytes(content)
        try:
            problems = unpack(outer / "archive", into, Limits(unpacked=2**22, json_file=2**20))
            assert all(problem.where is None or problem.where.isprintable() for problem in problems)
        except PatchbayError as error:
            error.message.encode()
        assert {p.relative_to(outer).as_posix() for p in outer.rglob("*")} <= {"archive", "in", "in/files"} | {
            f"in/files/{n}" for n in ALLOWED
        }
        assert not any(path.is_symlink() for path in into.iterdir())


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    ) as archive:
        for _ in range(draw(st.integers(0, 5))):
            info = tarfile.TarInfo(draw(NAMES))
            info.type = draw(
                st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"Z"])
            )
            info.linkname = draw(st.sampled_from(["", "/etc/passwd", "../..", "README.md"]))
            info.size = draw(st.integers(0, 100)) if info.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return stream.getvalue()


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(draw(st.integers(0, 5))):
            info = zipfile.ZipInfo(draw(NAMES.filter(lambda name: len(name.encode("utf-8", "replace")) > 0)))
            info.create_system, info.external_attr = 3, draw(st.sampled_from([0, 0o100644, 0o120777, 0o040755, 0o020666])) << 16
            info.compress_type = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
            archive.writestr(info, b"x" * draw(st.integers(0, 100)))
    return stream.getvalue()


def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """A few bytes changed, or the end cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(1, len(changed)))] if draw(st.booleans()) else changed)


@fuzzed
@given(st.one_of(tars(), zips(), st.binary(max_size=600)))
def test_archives(content: bytes) -> None:
    unpack_somewhere(content)


@fuzzed
@given(data=st.data(), pack=st.sampled_from([zip_of, tar_of, lambda files: tar_of(files, mode="w")]))
def test_spoilt_archives(good: dict[str, bytes], data: st.DataObject, pack: Any) -> None:
    unpack_somewhere(
        data.draw(st.composite(spoilt)(pack({"adapter_config.json": good["adapter_config.json"], "README.md": b"x" * 50})))
    )


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(sorted({*CHECKED, *IGNORED, *OFF})) | st.text(max_size=8),
        JSON
        | st.sampled_from(
            [4, 8.0, "q_proj", ["q_proj", "down_proj"], ".*(q_proj|down_proj)", {"q_proj": 4}, [0, 3], "eva", {"rho": 2}]
        ),
        max_size=3,
    )
)
def test_configs(good: dict[str, bytes], changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "adapter_model.safetensors").write_bytes(good["adapter_model.safetensors"])
        (folder / "adapter_config.json").write_text(json.dumps(lora_config(**changes)), encoding="utf-8", errors="surrogatepass")
        try:
            check_adapter(folder, "a", EMBEDDED, Limits())
        except PatchbayError as error:
            error.message.encode()
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert PeftConfig.from_pretrained(folder).peft_type == "LORA"


ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I8", "F4", "nil"]) | JSON,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | JSON,
    }
)


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    content = draw(st.dictionaries(st.text(max_size=6) | st.just("__metadata__"), ENTRY | JSON, max_size=3) | JSON)
    raw = json.dumps(content).encode()
    length = draw(st.just(len(raw)) | st.integers(0, 2**64 - 1))
    return struct.pack("<Q", length) + raw + draw(st.binary(max_size=40))


@fuzzed
@given(data=st.data())
def test_headers(good: dict[str, bytes], data: st.DataObject) -> None:
    whole = good["adapter_model.safetensors"]
    content = data.draw(headers() | st.composite(spoilt)(whole[:600] + whole[600:2000]))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.safetensors"
        path.write_bytes(content)
        try:
            header = read_header(path)
        except BadInput as error:
            error.message.encode()
            return
        with safe_open(path, "np") as other:
            assert set(other.keys()) == set(header.tensors)


@fuzzed
@given(data=st.data())
def test_spoilt_weights(good: dict[str, bytes], data: st.DataObject) -> None:
    """Of the header's part, so that names, dtypes, shapes and offsets are hit; what passes, the format's reader reads."""
    whole = good["adapter_model.safetensors"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "adapter_config.json").write_bytes(good["adapter_config.json"])
        (folder / "adapter_model.safetensors").write_bytes(data.draw(st.composite(spoilt)(whole[:508])) + whole[508:])
        try:
            check_adapter(folder, "a", EMBEDDED, Limits())
        except PatchbayError as error:
            error.message.encode()
            return
        with safe_open(folder / "adapter_model.safetensors", "np") as other:
            assert len(list(other.keys())) == 4
