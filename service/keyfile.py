"""The keys file: who may call, each key as its hash alone. Written whole or not at all, and for its owner's eyes only.

A key is 256 random bits, so one SHA-256 is enough: there is nothing to guess that a slow hash would
slow down, and every request has to be hashed.
"""

import fcntl
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.errors import BadInput, Conflict, NotFound
from adapters.manifest import now
from adapters.names import check_name

Role = Literal["admin", "inference"]
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
_PREFIX = "pb-"
_TAKEN = ("local",)  # what the audit trail calls those who come without a key
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Key(BaseModel):
    """One key. `id` is its public part, by which it is found; `adapters` is None where it may use all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(pattern=_NAME.pattern)
    role: Role
    adapters: tuple[str, ...] | None = None
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    created: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what in ("id", "name"):
            if len({getattr(key, what) for key in self.keys}) < len(self.keys):
                raise ValueError(f"two keys have the same {what}")
        return self


def digest_of(text: str) -> str:
    """How a key is kept."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def id_of(text: str) -> str:
    """The public part of a key's text; of any other text something that is no key's."""
    return text[len(_PREFIX) : len(_PREFIX) + 8]


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in the file. Raises BadInput for one that is not there, cannot be read, or that others may write."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        way_out = f"; patchbay keys add NAME --keys {path} makes it" if isinstance(error, FileNotFoundError) else ""
        raise BadInput(f"{path}: {error.strerror}{way_out}", param="keys") from error
    if mode & _OTHERS_WRITE:
        raise BadInput(f"{path} may be written by others, who could add keys; chmod 600 {path}", param="keys")
    try:
        return _Content.model_validate_json(content).keys
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path} is no keys file: {where + ': ' if where else ''}{first['msg']}", param="keys") from error


def add_key(
    path: Path,
    name: str,
    role: Role,
    adapters: Sequence[str] = (),
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> tuple[Key, str]:
    """Adds a key to the file, made if it is not there: the key, and its text, which is nowhere else.

    Raises:
        BadInput: the name, or an adapter's, cannot be used.
        Conflict: there is a key of that name.
    """
    if not _NAME.match(name) or name in _TAKEN:
        raise BadInput(
            f"{name!r} is no name for a key; use 1 to 64 letters, digits, dots, dashes, underscores or @, "
            f"the first a letter or digit, and not {_TAKEN[0]!r}",
            param="name",
        )
    allowed = tuple(sorted({check_name(adapter) for adapter in adapters})) or None
    with _changing(path) as keys:
        if any(key.name == name for key in keys):
            raise Conflict(f"{path} has a key named {name!r}; revoke it first, or give another name", param="name")
        used = {key.id for key in keys}
        key_id = next(i for i in iter(lambda: secrets.token_hex(4), None) if i not in used)
        text = f"{_PREFIX}{key_id}-{secrets.token_urlsafe(32)}"
        key = Key(
            id=key_id,
            name=name,
            role=role,
            adapters=allowed,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            created=now(),
            digest=digest_of(text),
        )
        keys.append(key)
    return key, text


def revoke_key(path: Path, name: str) -> Key:
    """Takes a key out of the file. Raises NotFound."""
    read_keys(path)  # a file that is not there is said to be so, and not made
    with _changing(path) as keys:
        found = next((key for key in keys if key.name == name), None)
        if found is None:
            has = ", ".join(key.name for key in keys) or "none"
            raise NotFound(f"{path} has no key named {name!r}; it has {has}", param="name")
        keys.remove(found)
    return found


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The keys, to be changed; written back when the block ends well. One at a time changes a folder's keys files."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        keys = list(read_keys(path)) if path.exists() else []
        yield keys
        _write(path, _Content(keys=tuple(keys)))
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(path: Path, content: _Content) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content.model_dump_json(indent=1, by_alias=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
