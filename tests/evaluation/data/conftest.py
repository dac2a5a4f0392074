"""A tokenizer of a few lines: one token a word, so that lengths can be counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class WordTokenizer:
    """One token for each word; a text with special tokens begins with one more. Messages without a user's turn are refused."""

    eos_token_id = 0

    def __call__(self, text: Any, *, add_special_tokens: bool = True) -> Any:
        texts = [text] if isinstance(text, str) else text
        ids = [[1] * add_special_tokens + [2 + len(word) for word in one.split()] for one in texts]
        return {"input_ids": ids[0] if isinstance(text, str) else ids}

    def apply_chat_template(self, conversation: Any, *, tokenize: bool = True, add_generation_prompt: bool = False) -> Any:
        if conversation[0]["role"] == "system":
            raise ValueError("no system messages here")
        return " ".join(f"<{m['role']}> {m['content']}" for m in conversation) + " <assistant>"


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as JSONL; a text stands in its line as it is."""

    def write(name: str, *rows: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
