"""Opening a .zip, .tar or .tar.gz that a stranger sent: its entries, without believing a size that it states."""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from adapters.errors import AdapterRefused, PatchbayError, Problem, TooLarge
from adapters.limits import Limits

CHUNK = 1 << 20
# Others can be told to set gigabytes aside before the first byte comes out.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """One entry of an archive: its path as written, what makes it unfit (or None), and how to open it."""

    path: str
    unfit: str | None
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


class _Capped:
    """A file that gives at most CHUNK bytes at once and `total` in all.

    What is read whole by the libraries (a zip's directory, a tar's long names) is as long as the archive says it is.
    """

    def __init__(self, file: Any, total: int) -> None:
        self._file, self._left = file, total

    def read(self, size: int = -1) -> bytes:
        """As a file's; more than CHUNK at once is refused."""
        data: bytes = self._file.read(CHUNK + 1 if size is None or size < 0 or size > CHUNK else size)
        self._left -= len(data)
        if len(data) > CHUNK or self._left < 0:
            raise TooLarge("the archive's directory or headers are larger than any adapter's", param="archive")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def members(archive: Path, limits: Limits) -> Iterator[list[Member]]:
    """The entries of an archive, not many more than `limits` allow of them; files can be opened while inside.

    Raises:
        AdapterRefused: it is no such archive, or damaged.
        TooLarge: more entries than an adapter has, or larger ones.
    """
    with archive.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        # Listing and extracting are two passes; headers and padding are little beside them.
        total = 2 * limits.unpacked + 2 * archive.stat().st_size
        if head in (b"PK\x03\x04", b"PK\x05\x06"):
            with translated(lambda: zipfile.ZipFile(_Capped(file, total)), archive.name) as opened:
                infos = opened.infolist()
                _check_count(len(infos), limits)
                yield [_zip_member(opened, info) for info in infos]
            return
        if not head:
            raise AdapterRefused((Problem("damaged_archive", "the archive is empty: it has no bytes", archive.name),))
        unpacked = gzip.GzipFile(fileobj=file) if head[:2] == b"\x1f\x8b" else file
        with _tar(_Capped(unpacked, total), archive.name) as tar:
            yield translated(lambda: _tar_members(tar, limits), archive.name)


def _tar(file: Any, name: str) -> tarfile.TarFile:
    try:
        return translated(lambda: tarfile.open(fileobj=file, mode="r:"), name)
    except AdapterRefused as error:
        reason = error.problems[0].message
        raise AdapterRefused(
            (Problem("damaged_archive", f"no .zip, .tar or .tar.gz that can be read: {reason}", name),)
        ) from error


def translated(read: Callable[[], T], name: str) -> T:
    """What `read` gives. Raises AdapterRefused where the archive is damaged."""
    try:
        return read()
    except PatchbayError:
        raise
    except Exception as error:  # what zipfile, tarfile, gzip and zlib raise on damaged input has no common base
        raise AdapterRefused(
            (Problem("damaged_archive", f"cannot be unpacked: {error or type(error).__name__}", name),)
        ) from error


def _check_count(count: int, limits: Limits) -> None:
    # Folders are entries too; beyond this nothing is listed, so that a list of millions is not read to its end.
    if count > limits.files * 4:
        raise TooLarge(f"the archive holds more than {limits.files * 4} entries; an adapter has a few files", param="archive")


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    unfit = None
    if info.flag_bits & 1:
        unfit = "is encrypted; send it in the clear"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        unfit = "is a link or a device, not a plain file"
    elif info.compress_type not in _METHODS:
        unfit = f"is compressed by zip's method {info.compress_type}; use deflate"
    # filename ends at a NUL; the name as written is what has to be judged.
    return Member(info.orig_filename, unfit, info.is_dir(), lambda: opened.open(info))


def _tar_members(opened: tarfile.TarFile, limits: Limits) -> list[Member]:
    found: list[Member] = []
    size = 0
    for info in opened:
        unfit = None if (info.isreg() and not info.issparse()) or info.isdir() else "is a link or a device, not a plain file"
        found.append(Member(info.name, unfit, info.isdir(), lambda info=info: opened.extractfile(info)))  # type: ignore[misc]
        _check_count(len(found), limits)
        size += info.size
        if size > limits.unpacked:
            raise TooLarge(f"the archive's files have more than {limits.unpacked} bytes", param="archive")
    return found
