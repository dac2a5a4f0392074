"""Data rows: JSONL, CSV and Parquet in, checked rows out; an error names the file, the line and the way out."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import BadInput

Message = dict[str, str]

FIELDS = ("prompt", "completion", "references", "messages", "text")
_ROLES = ("system", "user", "assistant", "tool")
_SHAPES = '{"prompt","completion"}, {"prompt","references":[...]}, {"messages":[...]} or {"text"}'
_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_SHOWN = 60


@dataclass(frozen=True)
class Row:
    """One checked row. Exactly one of `prompt`, `messages`, `text` is set; `line` is where it stood (from 1)."""

    line: int
    prompt: str | None = None
    completion: str | None = None
    references: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    text: str | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        """What counts as right: the references, else the completion, else the last assistant message."""
        if self.references:
            return self.references
        if self.completion is not None:
            return (self.completion,)
        return (self.messages[-1]["content"],) if self.messages else ()


def load_rows(path: Path) -> list[Row]:
    """All rows of a data file.

    Raises:
        BadInput: the file is missing, unreadable, of another format, empty, or has a row that is not as
            it should be; the message names the line.
    """
    if not path.is_file():
        raise BadInput(f"there is no data file at {path}; give a .jsonl, .csv or .parquet file", param="data")
    if path.suffix.lower() not in _SUFFIXES:
        raise BadInput(f"{path.name} ends in {path.suffix!r}; data files end in {', '.join(_SUFFIXES)}", param="data")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", param="data") from error
    return parse_rows(content, path.name)


def parse_rows(content: bytes, name: str) -> list[Row]:
    """Rows of a file's bytes; its format goes by the ending of `name`. Raises BadInput as load_rows does."""
    suffix = Path(name).suffix.lower()
    if suffix == ".parquet":
        records = _parquet(content, name)
    elif suffix == ".csv":
        records = _csv(_decode(content, name), name)
    else:
        records = _jsonl(_decode(content, name), name)
    return check_rows(records, name)


def check_rows(records: Iterable[tuple[int, Any]], name: str) -> list[Row]:
    """Rows from (line, object) pairs; `name` stands in the messages. Raises BadInput at the first bad one."""
    rows = [_row(record, line, name) for line, record in records]
    if not rows:
        raise BadInput(f"{name} holds no rows; each line is one of {_SHAPES}", param="data")
    return rows


def load_split(data: Path, split: str) -> list[Row] | None:
    """The rows of `data`/`split`.{jsonl,csv,parquet}, or None when the folder has no such file."""
    for suffix in _SUFFIXES:
        if (data / f"{split}{suffix}").is_file():
            return load_rows(data / f"{split}{suffix}")
    return None


def file_digest(path: Path) -> str:
    """`sha256:` and the hex digest of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{name}, line {line}: byte {content[error.start]:#x} is not UTF-8; save the file as UTF-8", param="data") from error


def _jsonl(text: str, name: str) -> Iterator[tuple[int, Any]]:
    for line, raw in enumerate(text.split("\n"), 1):
        if raw.strip():
            try:
                yield line, json.loads(raw, object_pairs_hook=_unique)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{name}, line {line}: not a JSON object ({error}): {_show(raw)}", param="data") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice")
    return record


def _csv(text: str, name: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for record in reader:
            if None in record or None in record.values():
                raise BadInput(f"{name}, line {reader.line_num}: the row has not as many cells as the header", param="data")
            yield reader.line_num, {key: _cell(key, value) for key, value in record.items() if value != ""}
    except csv.Error as error:
        raise BadInput(f"{name}, line {reader.line_num}: not CSV ({error})", param="data") from error


def _cell(key: str, value: str) -> Any:
    """Lists stand in a CSV cell as JSON."""
    if key in ("references", "messages"):
        try:
            return json.loads(value)
        except ValueError:
            return value  # the check of the row says what is wrong with it
    return value


def _parquet(content: bytes, name: str) -> Iterator[tuple[int, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"{name} is not a Parquet file: {error}", param="data") from error
    for line, record in enumerate(table.to_pylist(), 1):
        yield line, {key: value for key, value in record.items() if value is not None}


def _row(record: Any, line: int, name: str) -> Row:
    where = f"{name}, line {line}"
    if not isinstance(record, dict):
        raise BadInput(f"{where}: a row is an object with {_SHAPES}, got {_show(record)}", param="data")
    unknown = sorted(set(record) - set(FIELDS))
    if unknown:
        raise BadInput(f"{where}: unknown field {unknown[0]!r}; a row is {_SHAPES}", param="data")
    present = frozenset(record)
    if present in (frozenset({"prompt", "completion"}), frozenset({"prompt", "references"}), frozenset({"prompt", "completion", "references"})):
        return _prompt_row(record, line, where)
    if present == {"messages"}:
        return Row(line, messages=_messages(record["messages"], where))
    if present == {"text"}:
        return Row(line, text=_text(record, "text", where))
    lacking = _lacking(present)
    raise BadInput(f"{where}: {lacking}, got the fields {sorted(present)}; a row is {_SHAPES}", param="data")


def _lacking(present: frozenset[str]) -> str:
    if "prompt" in present:
        return 'the field "completion" (or "references") is missing'
    if "completion" in present or "references" in present:
        return 'the field "prompt" is missing'
    return "the fields do not make a row"


def _prompt_row(record: dict[str, Any], line: int, where: str) -> Row:
    references = record.get("references", [])
    if not isinstance(references, list) or not all(isinstance(r, str) and r.strip() for r in references):
        raise BadInput(f'{where}: "references" is a list of texts that are not empty, got {_show(references)}', param="data")
    if "references" in record and not references:
        raise BadInput(f'{where}: "references" is empty; give at least one', param="data")
    completion = _text(record, "completion", where) if "completion" in record else None
    return Row(line, prompt=_text(record, "prompt", where), completion=completion, references=tuple(references))


def _text(record: dict[str, Any], field: str, where: str) -> str:
    value = record[field]
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f'{where}: "{field}" is a text that is not empty, got {_show(value)}', param="data")
    return value


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadInput(f'{where}: "messages" is a list of {{"role","content"}}, got {_show(value)}', param="data")
    for message in value:
        if not isinstance(message, dict) or set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise BadInput(f'{where}: a message is {{"role","content"}}, got {_show(message)}', param="data")
        if message["role"] not in _ROLES:
            raise BadInput(f"{where}: the role is one of {', '.join(_ROLES)}, got {_show(message['role'])}", param="data")
    if value[-1]["role"] != "assistant":
        raise BadInput(f"{where}: the last message is the assistant's, got {_show(value[-1]['role'])}", param="data")
    if len(value) < 2:
        raise BadInput(f"{where}: before the assistant's message there is one to answer", param="data")
    return tuple(value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
