"""Prose that every machine with Python has: the docstrings, comments and language reference of its library."""

import ast
import io
import re
import sysconfig
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

_SKIPPED_FOLDERS = {"site-packages", "test", "tests", "idle_test", "encodings", "__pycache__", "lib2to3"}
_SHORTEST = 60


def _sources() -> Iterator[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if not _SKIPPED_FOLDERS.intersection(path.relative_to(root).parts):
            yield path.read_text(encoding="utf-8", errors="replace")


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def _comments(source: str) -> Iterator[str]:
    """Neighbouring comment lines joined into one paragraph."""
    block: list[str] = []
    last = -2
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1:
            yield " ".join(block)
            block = []
        block.append(token.string.lstrip("#").strip())
        last = token.start[0]
    yield " ".join(block)


def _tidy(text: str) -> str:
    return re.sub(r"[ \t]+", " ", re.sub(r"[-=#*~_]{4,}", "", text)).strip()


@cache
def passages() -> tuple[str, ...]:
    """Every distinct passage of 60 characters or more, in a fixed order; about 3.5 MB in Python 3.11."""
    found: dict[str, None] = {}
    for source in _sources():
        try:
            tree = ast.parse(source)
        except SyntaxError:  # files kept broken on purpose, such as test data of the library's own tools
            continue
        for text in (*_docstrings(tree), *_comments(source)):
            found[_tidy(text)] = None
    for text in topics.values():
        for paragraph in str(text).split("\n\n"):
            found[_tidy(paragraph.replace("\n", " "))] = None
    return tuple(text for text in found if len(text) >= _SHORTEST)
