"""What an archive may hold, and that nothing of it lands outside the folder."""

from pathlib import Path

import pytest

from adapters.archive import unpack
from adapters.errors import AdapterRefused, PatchbayError, TooLarge
from adapters.limits import Limits
from tests.makers import files_of, tar_of, write_adapter, zip_of


@pytest.fixture
def good(tmp_path: Path) -> dict[str, bytes]:
    return files_of(write_adapter(tmp_path / "good"))


def unpacked(tmp_path: Path, content: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    archive, into = tmp_path / "upload", tmp_path / "staged" / "files"
    archive.write_bytes(content)
    into.mkdir(parents=True)
    unpack(archive, into, limits or Limits())
    return files_of(into)


@pytest.mark.parametrize("folder", ["", "my-adapter/", "./"])
def test_a_good_archive_of_each_kind(tmp_path: Path, good: dict[str, bytes], folder: str) -> None:
    files = {folder + name: content for name, content in good.items()}
    for number, content in enumerate((zip_of(files), tar_of(files), tar_of(files, mode="w"))):
        (tmp_path / str(number)).mkdir()
        assert unpacked(tmp_path / str(number), content) == good


@pytest.mark.parametrize(
    "name", ["../adapter_config.json", "/adapter_config.json", "a/../../README.md", "C:\\README.md", "..\\README.md"]
)
def test_a_path_that_escapes(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    for number, content in enumerate((zip_of(good | {name: b"x"}), tar_of(good | {name: b"x"}))):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(AdapterRefused) as caught:
            unpacked(tmp_path / str(number), content)
        assert any(p.code in ("path_escapes", "file_not_allowed") for p in caught.value.problems)
        assert files_of(tmp_path / str(number) / "staged" / "files") == {}


@pytest.mark.parametrize("name", ["adapter_model.bin", "model.pkl", "modeling.py", "run.sh", "inner.zip", "model.safetensors"])
def test_files_without_business_there(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    with pytest.raises(AdapterRefused, match="file_not_allowed|no business"):
        unpacked(tmp_path, zip_of(good | {name: b"x"}))


def test_links_are_refused(tmp_path: Path, good: dict[str, bytes]) -> None:
    with pytest.raises(AdapterRefused, match="link"):
        unpacked(tmp_path, tar_of(good, links={"README.md": "/etc/passwd"}))


def test_doubled_names_are_refused(tmp_path: Path, good: dict[str, bytes]) -> None:
    with pytest.raises(AdapterRefused):
        unpacked(tmp_path, tar_of(good | {"again/adapter_config.json": b"{}"}))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short", b"\x1f\x8b\x08 cut short"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AdapterRefused):
        unpacked(tmp_path, content)


def test_a_truncated_archive_leaves_an_error_of_ours(tmp_path: Path, good: dict[str, bytes]) -> None:
    whole = tar_of(good)
    for cut in range(10, len(whole), max(1, len(whole) // 20)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        with pytest.raises(PatchbayError):
            unpacked(folder, whole[:cut])


def test_an_encrypted_zip_says_so(tmp_path: Path, good: dict[str, bytes]) -> None:
    content = bytearray(zip_of(good))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    with pytest.raises(AdapterRefused, match="encrypted"):
        unpacked(tmp_path, bytes(content))


def test_a_bomb_stops_at_the_cap(tmp_path: Path, good: dict[str, bytes]) -> None:
    bomb = zip_of(good | {"README.md": b"0" * 40_000_000})
    assert len(bomb) < 200_000
    with pytest.raises(TooLarge):
        unpacked(tmp_path, bomb, Limits(ratio=20, json_file=1024))
    (tmp_path / "many").mkdir()
    with pytest.raises(TooLarge):
        unpacked(tmp_path / "many", tar_of({f"{n}/README.md": b"" for n in range(500)}))


def test_a_zip_with_a_spoilt_directory(tmp_path: Path, good: dict[str, bytes]) -> None:
    content = zip_of(good)
    spoilt = content.replace(b"PK\x01\x02", b"PK\x01\x03", 1)
    with pytest.raises(AdapterRefused):
        unpacked(tmp_path, spoilt)
