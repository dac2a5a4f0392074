"""Records out of JSONL, CSV and Parquet, one at a time, each with the place it came from.

Shapes are checked here (is it text, an object, the right number of cells); what the fields mean is
checked in rows.py.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
BOM = b"\xef\xbb\xbf"
WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
LIST_COLUMNS = ("references", "messages")
SHOWN = 80
# A cell is as long as a line of JSONL may be, else a row could be written as a table and not read again. csv's own limit is
# 131,072 characters; this is the most that a C long holds anywhere.
_LONGEST_CELL = 2**31 - 1


class RowRefused(Exception):
    """Why a row, or a file, cannot be read. `where` is "line 3", "row 3" or empty; `code` is "malformed" or "empty"."""

    def __init__(self, message: str, where: str = "", code: str = "malformed") -> None:
        super().__init__(message)
        self.where, self.code = where, code

    @property
    def line(self) -> int | None:
        """The line or row number, where the refusal is of one row."""
        return int(self.where.split()[-1]) if self.where else None


@dataclass(frozen=True)
class Record:
    where: str
    line: int
    value: Mapping[str, object]


def records_of(source: Path | bytes, format: str, columns: Sequence[str]) -> Iterator[Record | RowRefused]:
    """The records of a file or of bytes, and in its place what is wrong with one that cannot be read.

    `columns` are the ones a table may have. Raises RowRefused where nothing more can be read (another
    encoding, a header of unknown columns), OSError when the file cannot be opened.
    """
    if format not in SUFFIXES.values():
        raise RowRefused(f"unknown format {format!r}; give jsonl, csv or parquet.")
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
        if format == "jsonl":
            yield from _jsonl(stream)
        elif format == "csv":
            yield from _csv(stream, columns)
        else:
            yield from _parquet(stream, columns)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Lines with their line ends, a byte order mark removed; a byte that is not UTF-8 stays as a surrogate escape."""
    for number, raw in enumerate(stream, start=1):
        if number == 1:
            if raw.startswith(WIDE_BOMS):
                raise RowRefused("is UTF-16; save it as UTF-8.", "line 1")
            raw = raw.removeprefix(BOM)
        yield number, raw.decode("utf-8", errors="surrogateescape")


def _require_utf8(text: str, where: str) -> None:
    """A JSON escape may write a lone surrogate, decoding leaves only those of bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode("utf-8")) + 1
        byte = ord(text[error.start]) - 0xDC00
        raise RowRefused(f"byte 0x{byte:02x} at position {place} is not UTF-8; save the file as UTF-8.", where) from error


def _jsonl(stream: BinaryIO) -> Iterator[Record | RowRefused]:
    for number, line in _lines(stream):
        if line.strip():
            try:
                yield _json_record(number, line)
            except RowRefused as refused:
                yield refused


def _json_record(number: int, line: str) -> Record:
    where = f"line {number}"
    _require_utf8(line, where)
    value = _parsed(line, where)
    if not isinstance(value, dict):
        raise RowRefused(
            f"is {_cut(line.strip())}, not a JSON object; give one object a line, "
            'such as {"prompt": "...", "completion": "..."}.',
            where,
        )
    return Record(where, number, value)


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _no_duplicates(pairs, where))
    except json.JSONDecodeError as error:
        raise RowRefused(
            f"is not JSON ({error.msg} at column {error.colno}): {_cut(text.strip())}; give one whole JSON object a line.", where
        ) from error
    except (RecursionError, ValueError) as error:
        # Nesting beyond Python's stack and numbers of thousands of digits: no row needs either.
        raise RowRefused(f"is JSON nested too deeply or with too long a number: {_cut(text.strip())}.", where) from error


def _no_duplicates(pairs: list[tuple[str, object]], where: str) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RowRefused(f"has the key {json.dumps(twice)} twice; keep one.", where)
    return value


def _csv(stream: BinaryIO, columns: Sequence[str]) -> Iterator[Record | RowRefused]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line for _, line in _lines(stream)), strict=True)
    header: list[str] | None = None
    while True:
        # A quoted cell may hold line ends: the record starts on the line after the last one.
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            refused = RowRefused(f'is not CSV ({error}); quote cells with " and double a quote inside, or use JSONL.', where)
            if header is None:
                raise refused from error
            yield refused
            continue
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            _check_header(header, columns, where)
            continue
        try:
            yield Record(where, int(where.split()[-1]), _cells(header, cells, where))
        except RowRefused as refused:
            yield refused


def _check_header(header: Sequence[str], columns: Sequence[str], where: str) -> None:
    unknown = [name for name in header if name not in columns]
    if unknown:
        raise RowRefused(
            f"the header has the column {_cut(json.dumps(unknown[0]))}; the first line names "
            f"the columns, separated by commas, out of {', '.join(columns)}.",
            where,
        )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise RowRefused(f"the header has the column {json.dumps(twice)} twice; keep one.", where)


def _cells(header: Sequence[str], cells: Sequence[str], where: str) -> dict[str, object]:
    """An empty cell is an absent field; list columns hold JSON."""
    if len(cells) != len(header):
        raise RowRefused(f"has {len(cells)} cells where the header has {len(header)}; quote cells that hold commas.", where)
    value: dict[str, object] = {}
    for cell in cells:
        _require_utf8(cell, where)
    for name, cell in zip(header, cells, strict=True):
        if cell and name in LIST_COLUMNS:
            try:
                value[name] = json.loads(cell)
            except (ValueError, RecursionError) as error:
                raise RowRefused(
                    f'the column {name} is {_cut(json.dumps(cell))}, not a JSON list; give for instance ["a", "b"].', where
                ) from error
        elif cell:
            value[name] = cell
    return value


def _parquet(stream: BinaryIO, columns: Sequence[str]) -> Iterator[Record | RowRefused]:
    # pyarrow costs a third of a second to import and only Parquet files need it.
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(stream)
        _check_header(file.schema_arrow.names, columns, "")
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in _plain(batch):
                number += 1
                if row is None:
                    yield RowRefused("holds text that is not UTF-8; write it as UTF-8.", f"row {number}")
                else:
                    yield Record(f"row {number}", number, _present(row))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RowRefused(f"is not a Parquet file that can be read ({_cut(reason)}); write it again, or use JSONL.") from error


def _plain(batch: Any) -> Iterator[dict[str, object] | None]:
    """The batch's rows; None for one whose text is not UTF-8, which fails the conversion of all beside it."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield None


def _present(row: Mapping[str, object]) -> dict[str, object]:
    """Parquet writes an absent field as null, inside messages too."""
    value = {name: cell for name, cell in row.items() if cell is not None}
    messages = value.get("messages")
    if isinstance(messages, Iterable) and not isinstance(messages, str):
        value["messages"] = [{k: v for k, v in m.items() if v is not None} if isinstance(m, Mapping) else m for m in messages]
    return value


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
