"""Where versions lie: `adapters/<name>/<digest>/`, published by one rename; `staging/` for what is not yet one."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.archive import REQUIRED
from adapters.errors import StorageFull
from adapters.manifest import Manifest, read_manifest, write_manifest

# A full disk, a used-up quota, a file larger than the process may write.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_full_is_ours() -> Iterator[None]:
    """Translates a full disk (or quota) into StorageFull; other errors of the disk pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("the disk is full; nothing was kept of this upload. Free some room and send it again") from error
        raise


class Store:
    """The adapters' folders under one home. Names and digests given here have been checked (adapters.names)."""

    def __init__(self, home: Path) -> None:
        self.adapters = home / "adapters"
        self.staging = home / "staging"
        self._id = home / "store.id"
        for folder in (self.adapters, self.staging):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def id(self) -> str | None:
        """Which store this is, None for one that has not been paired with its registry."""
        return self._id.read_text(encoding="ascii").strip() if self._id.is_file() else None

    @id.setter
    def id(self, value: str) -> None:
        partial = self.staging / self._id.name
        partial.write_text(f"{value}\n", encoding="ascii")
        _flush(partial)
        os.replace(partial, self._id)
        _flush(self._id.parent)

    @property
    def is_empty(self) -> bool:
        """Whether no version is there, not even half of one."""
        return next(self.adapters.glob("*/*"), None) is None

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A new empty folder under staging/, gone at the end whatever happened; `files/` in it is for the adapter."""
        folder = self.staging / uuid.uuid4().hex
        with disk_full_is_ours():
            (folder / "files").mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def path(self, name: str, version: str) -> Path:
        """The folder of a version, there or not."""
        return self.adapters / name / version.removeprefix("sha256:")

    def publish(self, files: Path, manifest: Manifest) -> Path:
        """Makes the staged folder `files` the version's own: the manifest last, then one rename, both flushed.

        A version that is there already stays as it is: its content is the same by its digest.
        """
        target = self.path(manifest.name, manifest.version)
        if read_manifest(target) is not None:
            return target
        for path in files.iterdir():
            _flush(path)
        write_manifest(files, manifest)
        _flush(files)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)  # half a version, from a deletion that was cut off
        os.rename(files, target)
        _flush(target.parent)
        _flush(self.adapters)
        return target

    def rewrite(self, manifest: Manifest) -> None:
        """Replaces a published version's manifest, its probes having been run."""
        write_manifest(self.path(manifest.name, manifest.version), manifest)

    def add_records(self, files: Path, manifest: Manifest) -> None:
        """Takes what another upload of the same version brought beside its weights; the manifest, which names it, last."""
        folder = self.path(manifest.name, manifest.version)
        for path in files.iterdir():
            if path.name not in REQUIRED:
                _flush(path)
                os.replace(path, folder / path.name)
        _flush(folder)
        self.rewrite(manifest)

    def manifest(self, name: str, version: str) -> Manifest | None:
        """The manifest of a published version, or None."""
        return read_manifest(self.path(name, version))

    def delete(self, name: str, version: str) -> None:
        """Removes a version: out of sight by one rename, then for good."""
        folder = self.path(name, version)
        if folder.exists():
            grave = self.staging / uuid.uuid4().hex
            os.rename(folder, grave)
            shutil.rmtree(grave, ignore_errors=True)
            _flush(folder.parent)
        if folder.parent.exists() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()

    def sweep(self, known: set[tuple[str, str]]) -> None:
        """At start: empties staging/ and removes what the registry does not know (an upload or deletion cut off)."""
        for left in self.staging.iterdir():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
        for folder in list(self.adapters.glob("*/*")):
            if (folder.parent.name, f"sha256:{folder.name}") not in known:
                self.delete(folder.parent.name, folder.name)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
