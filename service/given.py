"""Adapters given at the start by their folders (serve --adapter NAME=DIR)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.archive import copy_folder
from adapters.check import check_adapter
from adapters.errors import PatchbayError
from adapters.names import check_name
from service.lifecycle import Lifecycle

Folders = tuple[tuple[str, Path], ...]


def check_folders(lifecycle: Lifecycle, folders: Folders) -> None:
    """Looks at them before the engine is built. Raises what an upload does, naming the option."""
    for name, folder in folders:
        with _naming(name, folder), lifecycle.store.stage() as staged:
            check_name(name, lifecycle.base.id)
            copy_folder(folder, staged / "files")
            check_adapter(staged / "files", name, lifecycle.base, lifecycle.limits)


async def take_folders(lifecycle: Lifecycle, folders: Folders) -> None:
    """Uploads them; each becomes its name's live version. Raises what an upload does, naming the option."""
    for name, folder in folders:
        with _naming(name, folder), lifecycle.store.stage() as staged:
            await asyncio.to_thread(copy_folder, folder, staged / "files")
            await lifecycle.upload(staged / "files", name, "command line", live=True)


@contextmanager
def _naming(name: str, folder: Path) -> Iterator[None]:
    """An error inside says which --adapter it is about."""
    try:
        yield
    except PatchbayError as error:
        error.message = f"--adapter {name}={folder}: {error.message}"
        raise
