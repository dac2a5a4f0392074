"""Unpacking what was uploaded: only the names an adapter may have, as plain files, under the limits."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from adapters.errors import AdapterRefused, Problem, TooLarge
from adapters.limits import Limits

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PROBES = "probes.json"
RUN = "run.json"
REQUIRED = (CONFIG, WEIGHTS)
# What PEFT, transformers and `patchbay train` leave beside an adapter.
ALLOWED = frozenset(
    (*REQUIRED, PROBES, RUN, "README.md", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
     "added_tokens.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja")
)  # fmt: skip
_CHUNK = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """One entry of an archive: its path as written, what makes it unfit (or None), its size, and how to open it."""

    path: str
    unfit: str | None
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, into: Path, limits: Limits) -> None:
    """Writes the files of a .zip, .tar or .tar.gz into the folder `into`, which exists and is empty.

    The files may lie at the top or together in one folder.

    Raises:
        AdapterRefused: with every entry that escapes, is no plain file, is doubled or has no business in an adapter.
        TooLarge: more files or bytes than `limits` allow.
    """
    with _opened(archive, limits) as members:
        files = [m for m in members if m.path and not _is_folder(m)]
        if len(files) > limits.files:
            raise TooLarge(
                f"the archive holds more than {limits.files} files; an adapter has at most {len(ALLOWED)}", param="archive"
            )
        problems = _problems(files)
        if problems:
            raise AdapterRefused(tuple(problems))
        _extract(files, archive, into, limits)


def _is_folder(member: Member) -> bool:
    return member.path.endswith("/")


def _problems(files: list[Member]) -> list[Problem]:
    found: list[Problem] = []
    for member in files:
        found += [] if (reason := _refusal(member)) is None else [Problem(reason[0], reason[1], member.path[:200])]
    names = [PurePosixPath(member.path).name for member in files]
    found += [
        Problem("duplicate_file", "is in the archive more than once", n) for n in sorted({n for n in names if names.count(n) > 1})
    ]
    folders = {PurePosixPath(member.path).parent.as_posix() for member in files}
    if len(folders) > 1:
        found.append(
            Problem("several_folders", f"files lie in {len(folders)} folders ({', '.join(sorted(folders)[:4])}); put them in one")
        )
    if not files:
        found.append(Problem("empty_archive", f"the archive is empty; an adapter has {' and '.join(REQUIRED)}"))
    return found


def _refusal(member: Member) -> tuple[str, str] | None:
    path = PurePosixPath(member.path)
    if path.is_absolute() or ".." in path.parts or "\\" in member.path or ":" in member.path or "\0" in member.path:
        return "path_escapes", "leads out of the adapter's folder"
    if member.unfit:
        return "not_a_plain_file", member.unfit
    if path.name not in ALLOWED:
        return "file_not_allowed", f"has no business in an adapter; allowed: {', '.join(sorted(ALLOWED))}"
    return None


def _extract(files: list[Member], archive: Path, into: Path, limits: Limits) -> None:
    allowed = min(limits.unpacked, max(limits.json_file, archive.stat().st_size * limits.ratio))
    written = 0
    for member in files:
        name = PurePosixPath(member.path).name
        source = _translated(member.open, name)
        if source is None:
            raise AdapterRefused((Problem("not_a_plain_file", "cannot be opened", name),))
        with source, (into / name).open("xb") as target:
            while chunk := _translated(partial(source.read, _CHUNK), name):
                written += len(chunk)
                if written > allowed:
                    raise TooLarge(
                        f"the archive unpacks to more than {allowed} bytes; the cap is {limits.unpacked}", param="archive"
                    )
                target.write(chunk)


def _translated(read: Callable[[], T], name: str) -> T:
    # What a damaged archive raises has no common base.
    try:
        return read()
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise AdapterRefused((Problem("damaged_archive", f"cannot be unpacked: {error}", name),)) from error


@contextmanager
def _opened(archive: Path, limits: Limits) -> Iterator[list[Member]]:
    with archive.open("rb") as file:
        head = file.read(4)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        with _translated(lambda: zipfile.ZipFile(archive), archive.name) as opened:
            yield [_zip_member(opened, info) for info in opened.infolist()[: limits.files * 4]]
        return
    mode = "r:gz" if head[:2] == b"\x1f\x8b" else "r:"
    with _translated(lambda: tarfile.open(archive, mode), archive.name) as opened:  # type: ignore[call-overload]
        yield _translated(lambda: _tar_members(opened, limits, archive.stat().st_size), archive.name)


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    unfit = None
    if info.flag_bits & 1:
        unfit = "is encrypted; send it in the clear"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        unfit = "is a link or a device, not a plain file"
    return Member(info.filename, unfit, info.file_size, lambda: opened.open(info))


def _tar_members(opened: tarfile.TarFile, limits: Limits, packed: int) -> list[Member]:
    """The entries up to a few over the limit: a list of millions is not read to its end."""
    found: list[Member] = []
    for info in opened:
        path = info.name + ("/" if info.isdir() else "")
        unfit = None if info.isreg() or info.isdir() else "is a link or a device, not a plain file"
        found.append(Member(path, unfit, info.size, lambda info=info: opened.extractfile(info)))  # type: ignore[misc]
        if len(found) > limits.files * 4 or info.size > limits.unpacked:
            raise TooLarge(
                f"the archive holds too many or too large files; the caps are {limits.files} files, {limits.unpacked} bytes"
            )
    return found


def copy_folder(folder: Path, into: Path) -> None:
    """Copies an adapter's files from a folder on this machine (a run folder's adapter/ counts as one)."""
    for path in adapter_files(folder):
        shutil.copyfile(path, into / path.name)


def adapter_files(folder: Path) -> list[Path]:
    """The files of the adapter in `folder` that may be uploaded, the two required ones among them.

    Raises:
        AdapterRefused: a required file is not there.
    """
    source = folder / "adapter" if not (folder / CONFIG).exists() and (folder / "adapter").is_dir() else folder
    missing = [name for name in REQUIRED if not (source / name).is_file()]
    if missing:
        raise AdapterRefused(
            tuple(Problem("missing_file", f"is not in {source}; give a PEFT adapter's folder", name) for name in missing)
        )
    return [path for path in sorted(source.iterdir()) if path.name in ALLOWED and path.is_file()]
