"""A data row and the rules it keeps; loading a file, bytes, or one split of a folder."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapters.errors import BadInput, NotFound
from evaluation.sources import SUFFIXES, Record, RowRefused, records_of

Need = Literal["any", "training"]
FIELDS = ("prompt", "completion", "references", "messages", "text")
ROLES = ("system", "user", "assistant")
SPLITS = ("train", "valid", "test")
SHOWN = 80


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class Row:
    """One item. It is of one of three kinds:

    - prompt with completion, references, or both;
    - messages, the last by the assistant (the completion) or, with references, by the user;
    - text.

    `line` is the physical line (JSONL, CSV) or the row number (Parquet), counted from 1.
    """

    line: int
    prompt: str | None = None
    completion: str | None = None
    references: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    text: str | None = None

    @property
    def question(self) -> str | list[dict[str, str]] | None:
        """What a model is asked: the prompt, or the messages before the answer; None for text."""
        if not self.messages:
            return self.prompt
        asked = self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages
        return [{"role": m.role, "content": m.content} for m in asked]

    @property
    def answer(self) -> str | None:
        """What a model is trained to say: the completion or the last assistant message."""
        if self.messages and self.messages[-1].role == "assistant":
            return self.messages[-1].content
        return self.completion

    @property
    def answers(self) -> tuple[str, ...]:
        """What an output is compared with: the references, else the one answer."""
        if self.references:
            return self.references
        return () if self.answer is None else (self.answer,)


def load_rows(source: Path | bytes, format: str | None = None, *, name: str | None = None, need: Need = "any") -> list[Row]:
    """Every row of a JSONL, CSV or Parquet file, or of its bytes.

    `format` is "jsonl", "csv" or "parquet"; without it the file's suffix decides. `name` is what
    messages call the data (default: the path). `need="training"` also refuses rows with nothing to
    learn (references but no completion). Raises BadInput naming the file, the line, what was found
    there and the way out; NotFound when there is no such file.
    """
    rows = list(iter_rows(source, format, name=name, need=need))
    if not rows:
        raise BadInput(
            f"{_name(source, name)} holds no rows. Give one JSON object a line, such as "
            '{"prompt": "...", "completion": "..."}.',
            param="data",
        )
    return rows


def iter_rows(source: Path | bytes, format: str | None = None, *, name: str | None = None, need: Need = "any") -> Iterator[Row]:
    """The same as load_rows, one row at a time, and an empty file yields nothing."""
    shown = _name(source, name)
    for row in read_rows(source, format, name=name, need=need):
        if isinstance(row, RowRefused):
            raise BadInput(f"{shown}, {row.where}: {row}", param="data") from row
        yield row


def read_rows(
    source: Path | bytes, format: str | None = None, *, name: str | None = None, need: Need = "any"
) -> Iterator[Row | RowRefused]:
    """Every row, and in its place what is wrong with one that cannot be used: for those who want all problems at once.

    Raises BadInput where the file as a whole cannot be read, NotFound when there is none.
    """
    shown = _name(source, name)
    if isinstance(source, Path):
        _require_file(source, shown)
    try:
        for record in records_of(source, format or _format(source, shown), FIELDS):
            yield record if isinstance(record, RowRefused) else _row_or_refusal(record, need)
    except RowRefused as refused:
        where = f"{shown}, {refused.where}" if refused.where else shown
        raise BadInput(f"{where}: {refused}", param="data") from refused
    except OSError as error:
        raise BadInput(f"{shown} cannot be read: {error.strerror or error}.", param="data") from error


def _row_or_refusal(record: Record, need: Need) -> Row | RowRefused:
    try:
        return row_of(record, need)
    except RowRefused as refused:
        return refused


def load_split(folder: Path, split: str, *, need: Need = "any") -> list[Row]:
    """The rows of folder/train.*, valid.* or test.*. Raises what find_split and load_rows raise."""
    return load_rows(find_split(folder, split), need=need)


def find_split(folder: Path, split: str) -> Path:
    """The one file of a split in a folder. Raises NotFound when there is none, BadInput for two."""
    if split not in SPLITS:
        raise BadInput(f"unknown split {split!r}; give one of {', '.join(SPLITS)}.", param="split")
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}.", param="data")
    found = [folder / f"{split}{suffix}" for suffix in SUFFIXES if (folder / f"{split}{suffix}").is_file()]
    if not found:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise NotFound(
            f"{folder} has no {split} split: expected {split}.jsonl, {split}.csv or {split}.parquet, found {there}.", param="data"
        )
    if len(found) > 1:
        raise BadInput(
            f"{folder} has more than one {split} split ({', '.join(p.name for p in found)}); keep one, or give the file itself.",
            param="data",
        )
    return found[0]


def rows_of(values: Iterable[Mapping[str, object]], need: Need = "any") -> list[Row]:
    """Rows given as parsed JSON objects (a request body). Raises BadInput as load_rows does."""
    rows = []
    for number, value in enumerate(values, start=1):
        try:
            rows.append(row_of(Record(f"row {number}", number, value), need))
        except RowRefused as refused:
            raise BadInput(f"rows, {refused.where}: {refused}", param="rows") from refused
    if not rows:
        raise BadInput("rows is empty; give at least one row.", param="rows")
    return rows


def row_of(record: Record, need: Need = "any") -> Row:
    """One checked row. Raises RowRefused with the reason and the way out."""
    value = record.value
    unknown = [key for key in value if key not in FIELDS]
    if unknown:
        raise RowRefused(f"unknown field {_show(unknown[0])}; a row has {', '.join(FIELDS)}.", record.where)
    try:
        row = Row(
            line=record.line,
            prompt=_text(value, "prompt"),
            completion=_text(value, "completion"),
            references=_references(value),
            messages=_messages(value),
            text=_text(value, "text"),
        )
        _check_kind(row, need)
    except RowRefused as refused:
        raise RowRefused(str(refused), record.where, refused.code) from refused
    return row


def _check_kind(row: Row, need: Need) -> None:
    kinds = [
        k
        for k, given in (("prompt", row.prompt is not None), ("messages", bool(row.messages)), ("text", row.text is not None))
        if given
    ]
    if len(kinds) > 1:
        raise RowRefused(f"has both {kinds[0]} and {kinds[1]}; a row is of one kind, so remove one.")
    if not kinds:
        lacking = "has completion but no prompt" if row.completion is not None else "has no prompt"
        code = "malformed" if row.completion is not None or row.references else "empty"
        raise RowRefused(f'{lacking}; give "prompt" and "completion", or "messages", or "text".', code=code)
    if row.prompt is None and row.completion is not None:
        raise RowRefused(f'has completion beside {kinds[0]}; "completion" goes with "prompt" only.')
    if row.text is not None and row.references:
        raise RowRefused('has references beside text; "references" go with "prompt" or "messages".')
    if row.text is None and not row.answers:
        raise RowRefused(_NO_ANSWER[kinds[0]])
    if need == "training" and row.text is None and row.answer is None:
        raise RowRefused(_NO_TARGET[kinds[0]])


_NO_ANSWER = {
    "prompt": 'has prompt but no completion; add "completion", or "references" for evaluation.',
    "messages": 'the last message is by "user"; end with an "assistant" message, or add "references" for evaluation.',
}
_NO_TARGET = {
    "prompt": 'has references but no completion, so there is nothing to train on; add "completion" (one row for each reference).',
    "messages": 'the last message is by "user", so there is nothing to train on; end with an "assistant" message.',
}


def _text(value: Mapping[str, object], field: str) -> str | None:
    found = value.get(field)
    if found is None:
        if field in value:
            raise RowRefused(f'"{field}" is null; give text, or leave the field out.')
        return None
    return _checked_text(found, f'"{field}"')


def _checked_text(found: object, what: str) -> str:
    if not isinstance(found, str):
        raise RowRefused(f"{what} is {_show(found)}, not text; put it in quotes.")
    if not found.strip():
        raise RowRefused(f"{what} is blank ({_show(found)}); fill it in or remove the row.", code="empty")
    try:
        found.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowRefused(
            f"{what} holds half a character ({_show(found[error.start])}, a lone surrogate) "
            f"at position {error.start}; save the file from its source again."
        ) from error
    return found


def _references(value: Mapping[str, object]) -> tuple[str, ...]:
    if "references" not in value:
        return ()
    found = value["references"]
    if not isinstance(found, list):
        raise RowRefused(f'"references" is {_show(found)}, not a list; give a list of texts.')
    if not found:
        raise RowRefused('"references" is an empty list; give at least one text.')
    return tuple(_checked_text(one, f'"references" number {n}') for n, one in enumerate(found, start=1))


def _messages(value: Mapping[str, object]) -> tuple[Message, ...]:
    if "messages" not in value:
        return ()
    found = value["messages"]
    if not isinstance(found, list):
        raise RowRefused(f'"messages" is {_show(found)}, not a list; give [{{"role": "user", "content": "..."}}, ...].')
    messages = tuple(_message(one, n) for n, one in enumerate(found, start=1))
    if all(m.role != "user" for m in messages):
        raise RowRefused('"messages" has no message by "user"; add the question.')
    if messages[-1].role == "system":
        raise RowRefused('the last message is by "system"; end with an "assistant" message.')
    return messages


def _message(one: object, number: int) -> Message:
    what = f'"messages" number {number}'
    if not isinstance(one, Mapping):
        raise RowRefused(f'{what} is {_show(one)}, not an object; give {{"role": "user", "content": "..."}}.')
    unknown = [key for key in one if key not in ("role", "content")]
    if unknown:
        raise RowRefused(f"{what} has the unknown field {_show(unknown[0])}; a message has role and content.")
    role = one.get("role")
    if role not in ROLES:
        raise RowRefused(f"{what} has the role {_show(role)}; give one of {', '.join(ROLES)}.")
    if role == "system" and number > 1:
        raise RowRefused(f'{what} is by "system"; only the first message may be.')
    return Message(str(role), _checked_text(one.get("content"), f"{what}, its content"))


def _require_file(path: Path, shown: str) -> None:
    if path.is_dir():
        raise BadInput(f"{shown} is a folder; give a file such as {path / 'test.jsonl'}.", param="data")
    if not path.exists():
        raise NotFound(f"there is no file {shown}; check the path.", param="data")


def _format(source: Path | bytes, shown: str) -> str:
    if isinstance(source, bytes):
        return "jsonl"
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"{shown} has the suffix {suffix!r}; give a file that ends in {', '.join(SUFFIXES)}.", param="data")
    return SUFFIXES[suffix]


def _name(source: Path | bytes, name: str | None) -> str:
    return name or (str(source) if isinstance(source, Path) else "the data")


def _show(value: object) -> str:
    try:
        shown = json.dumps(value, ensure_ascii=True, default=str)
    except ValueError:
        shown = repr(value)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
