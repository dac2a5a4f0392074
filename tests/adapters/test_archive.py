"""What an archive may hold, that nothing of it lands outside the folder, and that no size it states is believed."""

import gzip
import io
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.archive import unpack
from adapters.errors import AdapterRefused, PatchbayError, Problem, TooLarge
from adapters.limits import Limits
from tests.makers import files_of, tar_of, write_adapter, zip_of


@pytest.fixture
def good(tmp_path: Path) -> dict[str, bytes]:
    return files_of(write_adapter(tmp_path / "good"))


def unpacked(tmp_path: Path, content: bytes, limits: Limits | None = None) -> tuple[dict[str, bytes], list[Problem]]:
    """What was written, and what was found; nothing is beside the folder."""
    archive, into = tmp_path / "upload", tmp_path / "staged" / "files"
    archive.write_bytes(content)
    into.mkdir(parents=True)
    try:
        problems = unpack(archive, into, limits or Limits())
    except AdapterRefused as error:
        problems = list(error.problems)
    assert [path.name for path in tmp_path.joinpath("staged").iterdir()] == ["files"]
    return files_of(into), problems


def codes(problems: list[Problem]) -> set[str]:
    return {problem.code for problem in problems}


def tar_with(*infos: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(b"\0" * info.size))
    return stream.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


@pytest.mark.parametrize("folder", ["", "my-adapter/", "./"])
def test_a_good_archive_of_each_kind(tmp_path: Path, good: dict[str, bytes], folder: str) -> None:
    files = {folder + name: content for name, content in good.items()}
    for number, content in enumerate((zip_of(files), tar_of(files), tar_of(files, mode="w"))):
        (tmp_path / str(number)).mkdir()
        assert unpacked(tmp_path / str(number), content) == (good, [])


@pytest.mark.parametrize(
    "name",
    [
        "../adapter_config.json",
        "/README.md",
        "a/../../README.md",
        "C:\\README.md",
        "..\\README.md",
        "a\n/README.md",
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_path_that_escapes(tmp_path: Path, good: dict[str, bytes], name: str, pack: Callable[..., bytes]) -> None:
    files, problems = unpacked(tmp_path, pack(good | {name: b"x"}))
    assert "path_escapes" in codes(problems)
    assert files == good


def test_a_name_that_ends_early_for_some_readers(tmp_path: Path, good: dict[str, bytes]) -> None:
    content = zip_of(good | {"README.md_.py": b"x"}).replace(b"README.md_.py", b"README.md\0.py")
    files, problems = unpacked(tmp_path, content)
    assert (files, codes(problems)) == (good, {"path_escapes"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("adapter_model.bin", "pickled"),
        ("model.pkl", "pickled"),
        ("optimizer.pt", "pickled"),
        ("modeling.py", "code"),
        ("run.sh", "code"),
        ("evil.so", "code"),
        ("inner.zip", "archive in the archive"),
        ("inner.tar.gz", "archive in the archive"),
        ("model.safetensors", "no business"),
        ("manifest.json", "no business"),
    ],
)
def test_files_without_business_there(tmp_path: Path, good: dict[str, bytes], name: str, reason: str) -> None:
    files, problems = unpacked(tmp_path, zip_of(good | {name: b"x", "second.pkl": b"x"}))
    assert files == good
    assert [problem.where for problem in problems] == [name, "second.pkl"], "each of them, and the good ones go on"
    assert reason in problems[0].message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "adapter_config.json"])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes, target: str) -> None:
    files, problems = unpacked(tmp_path, tar_with(entry("README.md", kind, target), entry("merges.txt")))
    assert (files, codes(problems)) == ({"merges.txt": b""}, {"not_a_plain_file"})


def test_a_folder_link_that_later_files_would_go_through(tmp_path: Path) -> None:
    archive = tar_with(entry("a", tarfile.SYMTYPE, "/tmp"), entry("a/README.md"))
    files, problems = unpacked(tmp_path, archive)
    assert files == {"README.md": b""}, "into the staging folder, whatever folder it was in"
    assert "not_a_plain_file" in codes(problems)


def test_links_and_devices_in_a_zip(tmp_path: Path, good: dict[str, bytes]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, mode in (("README.md", 0o120777), ("merges.txt", 0o020666)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, "/etc/passwd")
    assert unpacked(tmp_path, stream.getvalue())[0] == {}
    (tmp_path / "again").mkdir()
    assert codes(unpacked(tmp_path / "again", stream.getvalue())[1]) == {"not_a_plain_file"}


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    sparse = entry("README.md", tarfile.GNUTYPE_SPARSE)
    assert codes(unpacked(tmp_path, tar_with(sparse))[1]) == {"not_a_plain_file"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_names_are_refused(tmp_path: Path, good: dict[str, bytes]) -> None:
    doubled = io.BytesIO(zip_of(good))
    with zipfile.ZipFile(doubled, "a") as archive:
        archive.writestr("adapter_config.json", "{}")
    for number, content in enumerate((tar_of(good | {"again/adapter_config.json": b"{}"}), doubled.getvalue())):
        (tmp_path / str(number)).mkdir()
        files, problems = unpacked(tmp_path / str(number), content)
        assert "duplicate_file" in codes(problems)
        assert files == good


def test_an_archive_without_files(tmp_path: Path) -> None:
    for number, content in enumerate((zip_of({}), tar_of({}), tar_of({}, mode="w"))):
        (tmp_path / str(number)).mkdir()
        assert codes(unpacked(tmp_path / str(number), content)[1]) == {"empty_archive"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK\x03\x04 cut short",
        b"\x1f\x8b\x08 cut short",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07\x01\x00",
        b"\xfd7zXZ\x00",
    ]
    + [b"\x28\xb5\x2f\xfd", b"BZh91AY", b"\x80\x04\x95", b"\x7fELF" + b"\0" * 600, gzip.compress(b"no tar", mtime=0)],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    files, problems = unpacked(tmp_path, content)
    assert (files, codes(problems)) == ({}, {"damaged_archive"})


def test_a_truncated_archive_leaves_an_error_of_ours(tmp_path: Path, good: dict[str, bytes]) -> None:
    for kind, whole in enumerate((tar_of(good), zip_of(good))):
        for cut in range(10, len(whole) - 1, max(1, len(whole) // 20)):
            folder = tmp_path / f"{kind}-{cut}"
            folder.mkdir()
            assert "damaged_archive" in codes(unpacked(folder, whole[:cut])[1])


def test_an_encrypted_zip_says_so(tmp_path: Path, good: dict[str, bytes]) -> None:
    content = bytearray(zip_of(good))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    problems = unpacked(tmp_path, bytes(content))[1]
    assert ["encrypted" in problem.message for problem in problems] == [True]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_sets_memory_aside(tmp_path: Path, method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("README.md", "x")
    assert f"method {method}" in unpacked(tmp_path, stream.getvalue())[1][0].message


def test_a_spoilt_directory_or_checksum(tmp_path: Path, good: dict[str, bytes]) -> None:
    content = zip_of(good)
    at = content.index(b"PK\x01\x02")
    wrong_sum = bytearray(content)
    wrong_sum[at + 16] ^= 1
    for number, spoilt in enumerate((content.replace(b"PK\x01\x02", b"PK\x01\x03", 1), bytes(wrong_sum))):
        (tmp_path / str(number)).mkdir()
        assert codes(unpacked(tmp_path / str(number), spoilt)[1]) == {"damaged_archive"}


def test_a_bomb_by_ratio_size_and_count(tmp_path: Path, good: dict[str, bytes]) -> None:
    bomb = zip_of(good | {"README.md": b"0" * 40_000_000})
    assert len(bomb) < 200_000
    bombs = {
        "ratio": (bomb, Limits(ratio=20, json_file=1024)),
        "size": (tar_of(good | {"README.md": b"0" * 40_000_000}), Limits(unpacked=1_000_000)),
        "count": (tar_of({f"{n}/README.md": b"" for n in range(500)}), Limits()),
        "count of a zip": (zip_of({f"{n}/README.md": b"" for n in range(500)}), Limits()),
        "files": (zip_of({f"{n}/README.md": b"" for n in range(40)}), Limits()),
        "folders": (tar_with(*(entry(f"{n}", tarfile.DIRTYPE) for n in range(500))), Limits()),
    }
    for name, (content, limits) in bombs.items():
        (tmp_path / name).mkdir()
        with pytest.raises(TooLarge):
            unpacked(tmp_path / name, content, limits)


def huge_directory() -> bytes:
    """A zip of a million entries: the list alone would take gigabytes."""
    one = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    whole = one * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(whole), 4, 0)
    return b"PK\x03\x04" + whole + end


def long_header(kind: bytes) -> bytes:
    """A tar.gz of some hundred kilobytes whose first header announces a name of 300 MB."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 300_000_000
    return gzip.compress(info.tobuf()) + gzip.compress(b"0" * 2_000_000) * 150


@pytest.mark.parametrize("kind", ["directory", "pax", "gnu"])
def test_headers_that_claim_gigabytes_cost_no_memory(tmp_path: Path, kind: str) -> None:
    """In a process of its own, under a limit on its memory."""
    made = {"directory": huge_directory, "pax": lambda: long_header(b"x"), "gnu": lambda: long_header(b"L")}
    archive = tmp_path / "bomb"
    archive.write_bytes(made[kind]())
    (tmp_path / "files").mkdir()
    code = (
        "import sys; from pathlib import Path; from adapters.archive import unpack; from adapters.limits import Limits;"
        "from adapters.errors import TooLarge\n"
        "try: unpack(Path(sys.argv[1]), Path(sys.argv[2]), Limits())\n"
        "except TooLarge as error: print(error.message)"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (250 * 2**20, 250 * 2**20))

    done = subprocess.run(
        [sys.executable, "-c", code, str(archive), str(tmp_path / "files")],
        capture_output=True, text=True, preexec_fn=limited, timeout=60, check=False,
    )  # fmt: skip
    assert "larger than any adapter's" in done.stdout, done.stderr
    assert list((tmp_path / "files").iterdir()) == []


def test_many_headers_in_a_row_are_an_error_of_ours(tmp_path: Path) -> None:
    """Each of tar's extended headers is read by a call inside the last one's."""
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 512
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(PatchbayError):
        raise AdapterRefused(tuple(unpacked(folder, (info.tobuf() + b"10 a=bcde\n".ljust(512, b"\0")) * 5000)[1]))
