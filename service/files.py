"""Uploaded data files for evaluations, in OpenAI's shape: `files/<id>/` with the content and a note beside it."""

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from adapters.errors import NotFound, TooLarge
from adapters.store import disk_full_is_ours
from evaluation.rows import Row, load_rows

_ID = re.compile(r"^file-[0-9a-f]{24}$")
_NOTE = "note.json"


class Files:
    """A folder of files; ids are ours, so that no caller's name becomes a path."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self.limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)

    async def add(self, filename: str, content: AsyncIterator[bytes], maker: str) -> dict[str, Any]:
        """Stores a file whose rows can be read, and returns its note; `maker` is who sent it.

        Raises:
            BadInput: the rows cannot be read; the message names the line.
            TooLarge, StorageFull: nothing is kept.
        """
        file_id = f"file-{secrets.token_hex(12)}"
        suffix = Path(filename).suffix.lower()
        partial = self._folder / f".{file_id}.part"
        try:
            with disk_full_is_ours():
                partial.mkdir()
                size = await self._write(partial / f"content{suffix}", content)
            rows = load_rows(partial / f"content{suffix}", name=filename)
            note = {
                "id": file_id,
                "object": "file",
                "bytes": size,
                "created_at": int(time.time()),
                "filename": filename,
                "purpose": "eval",
                "status": "processed",
                "rows": len(rows),
                "made_by": maker,
            }
            with disk_full_is_ours():
                (partial / _NOTE).write_text(json.dumps(note), encoding="utf-8")
            os.rename(partial, self._folder / file_id)
            return note
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    async def _write(self, path: Path, content: AsyncIterator[bytes]) -> int:
        size = 0
        with path.open("xb") as file:
            async for chunk in content:
                size += len(chunk)
                if size > self.limit:
                    raise TooLarge(f"the file has more than {self.limit} bytes", param="file")
                file.write(chunk)
        return size

    def _path(self, file_id: str) -> Path:
        path = self._folder / file_id
        if not _ID.match(file_id) or not path.is_dir():
            raise NotFound(f"there is no file {file_id!r}", param="id")
        return path

    def get(self, file_id: str) -> dict[str, Any]:
        """A file's note. Raises NotFound."""
        return dict(json.loads((self._path(file_id) / _NOTE).read_text(encoding="utf-8")))

    def all(self) -> list[dict[str, Any]]:
        """All notes, newest first."""
        notes = [self.get(path.name) for path in self._folder.iterdir() if _ID.match(path.name)]
        return sorted(notes, key=lambda note: -note["created_at"])

    def rows(self, file_id: str) -> list[Row]:
        """The rows of a file. Raises NotFound."""
        path = self._path(file_id)
        content = next(entry for entry in path.iterdir() if entry.name != _NOTE)
        return load_rows(content, name=self.get(file_id)["filename"])

    def delete(self, file_id: str) -> None:
        """Removes a file. Raises NotFound."""
        shutil.rmtree(self._path(file_id))
