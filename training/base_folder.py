"""What every base folder this project writes has beside its weights: the tokenizer, and a note of its origin."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.base import RECORD
from adapters.errors import Conflict

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer, chat template and generation settings of a base as they stand."""
    for name in _TOKENIZER:
        if (source / name).is_file():
            shutil.copy(source / name, target / name)


def write_note(folder: Path, note: dict[str, Any]) -> None:
    """Writes patchbay.json, which says what a base was made from."""
    (folder / RECORD).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def require_free(out: Path) -> None:
    """Raises Conflict when `out` is there and not an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} is there already and not empty; choose another --out, or remove it", param="out")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write in beside `out`; it becomes `out` by one rename at the end, and is gone if anything fails."""
    require_free(out)
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
