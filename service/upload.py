"""A multipart upload, streamed to staging: no part of a file waits in memory, and only fields that are known are taken."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from adapters.archive import ALLOWED, file_refusal
from adapters.errors import BadInput, Problem, printable
from adapters.store import disk_full_is_ours

_LONGEST_FIELD = 1000
_MOST_PARTS = 64


@dataclass
class _Part:
    name: str
    filename: str | None
    value: bytearray = field(default_factory=bytearray)
    target: BinaryIO | None = None


class Upload:
    """Takes the parts one after another: `files` and `archive` go to disk, `fields` stay as texts.

    Of files that have no business in an adapter nothing is kept but their `problems`.
    """

    def __init__(self, folder: Path, fields: frozenset[str]) -> None:
        self.folder = folder
        self.archive: Path | None = None
        self.fields: dict[str, str] = {}
        self._allowed = fields
        self._part: _Part | None = None
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._count = 0
        self.problems: list[Problem] = []

    async def read(self, request: Request) -> None:
        """Reads the whole body.

        Raises:
            BadInput: not multipart, an unknown field, a field too long, cut short.
            StorageFull: no room for it.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise BadInput(
                "send multipart/form-data with name and archive or files (curl -F name=… -F archive=@…)", param="archive"
            )
        try:
            parser = MultipartParser(options[b"boundary"], self._callbacks())
            with disk_full_is_ours():
                async for chunk in request.stream():
                    parser.write(chunk)
                parser.finalize()
        except FormParserError as error:
            raise BadInput(f"the multipart body cannot be read: {error}") from error
        finally:
            self._close()

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._headers = {}
        self._count += 1
        if self._count > _MOST_PARTS:
            raise BadInput(f"more than {_MOST_PARTS} parts; an adapter has at most {len(ALLOWED)} files")

    def _end_header(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = (bytearray(), bytearray())

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None
        self._part = _Part(name, filename)
        if name == "archive" and filename is not None:
            if self.archive is not None:
                raise BadInput("two parts are named archive; send one", param="archive")
            self.archive = self.folder / "archive"
            self._part.target = self.archive.open("xb")
        elif name == "files" and filename is not None:
            self._open_file(filename)
        elif name not in self._allowed:
            known, name = ", ".join(["archive", "files", *sorted(self._allowed)]), printable(name, 80)
            raise BadInput(f"unknown field {name!r}; there are {known}", param=name, code="unknown_parameter")
        elif name in self.fields:
            raise BadInput(f"the field {name} was sent twice; send it once", param=name)

    def _open_file(self, filename: str) -> None:
        """Only a name that is on the list becomes a path."""
        if filename not in ALLOWED:
            self.problems.append(file_refusal(filename) or Problem("path_escapes", "send a name without a folder", filename))
        elif (self.folder / "files" / filename).exists():
            self.problems.append(Problem("duplicate_file", "was sent more than once", filename))
        elif self._part is not None:
            self._part.target = (self.folder / "files" / filename).open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:
            return
        if part.target is not None:
            part.target.write(data[start:end])
        elif part.filename is None:
            part.value += data[start:end]
            if len(part.value) > _LONGEST_FIELD:
                raise BadInput(f"the field {part.name!r} is longer than {_LONGEST_FIELD} bytes", param=part.name)

    def _end(self) -> None:
        part = self._part
        if part is not None and part.filename is None:
            self.fields[part.name] = part.value.decode("utf-8", "replace")
        self._close()

    def _close(self) -> None:
        if self._part is not None and self._part.target is not None:
            self._part.target.close()
        self._part = None


def flag(fields: dict[str, str], name: str) -> bool:
    """A field that is true or false; absent is false. Raises BadInput for anything else."""
    value = fields.get(name, "false").lower()
    if value not in ("true", "false"):
        raise BadInput(f"{name} is {fields[name]!r}; give true or false", param=name)
    return value == "true"
