"""Where a command writes: tried before its work, written whole or not at all, and told in words where it cannot be."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.errors import BadInput, Conflict


@contextmanager
def writing(path: Path, param: str = "out") -> Iterator[None]:
    """What the system refuses meanwhile becomes BadInput; `param` is the option that named the path."""
    try:
        yield
    except OSError as error:
        said = error.strerror or error
        raise BadInput(f"{path} cannot be written ({said}); choose another --{param}", param=param) from error


def check_file(path: Path, param: str = "out") -> None:
    """Raises BadInput where no file of that name can be written; leaves nothing there."""
    with writing(path, param):
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no plain file"
            raise BadInput(f"{path} is {what}; give --{param} the name of a file", param=param)
    check_folder(path.parent, param)


def check_folder(path: Path, param: str = "out") -> None:
    """Raises BadInput where that is no folder to write in, and can become none; leaves nothing there."""
    whole = path.absolute()
    there = next(found for found in (whole, *whole.parents) if os.path.lexists(found))
    if not there.is_dir():
        raise BadInput(f"{path} cannot be a folder: {there} is not one; choose another --{param}", param=param)
    # Permissions do not tell of file systems that take nothing, such as /proc: trying does.
    with writing(path, param), tempfile.TemporaryDirectory(prefix=".patchbay-", dir=there):
        pass


def require_free(path: Path) -> None:
    """Raises Conflict when that is a folder that is not empty, BadInput when it can be none."""
    check_folder(path)
    if path.exists() and any(path.iterdir()):
        raise Conflict(f"{path} is there already and not empty; choose another --out, or remove it", param="out")


def write_text(path: Path, text: str, param: str = "out") -> None:
    """Writes the file, and the folders it lies in; a process that is killed meanwhile leaves it as it was, or none."""
    with writing(path, param):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
