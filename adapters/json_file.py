"""JSON that a stranger sent: read under a cap of size and depth, and only what can be written again as JSON."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from adapters.errors import Problem

# Far above what PEFT, transformers or `patchbay train` write, far below what any reader of nested data stumbles over.
MAX_DEPTH = 32


def read_json(path: Path, most: int) -> tuple[dict[str, Any], Problem | None]:
    """A JSON object from a file of at most `most` bytes, or what is wrong with it.

    Refused are numbers that are none (NaN, Infinity, 1e999), halves of characters, names that stand
    twice (readers differ in which one counts), and depth beyond `MAX_DEPTH`.
    """
    if not path.is_file():
        return {}, Problem("missing_file", "is missing; an adapter has it", path.name)
    if (size := path.stat().st_size) > most:
        return {}, Problem("file_too_large", f"has {size} bytes, at most {most} are read", path.name)
    try:
        content = json.loads(
            path.read_bytes().decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=unique
        )
        if _is_deep(content):
            raise RecursionError
        json.dumps(content, ensure_ascii=False).encode()  # fails for halves of characters
    except RecursionError:
        return {}, Problem("bad_json", f"is nested too deeply, more than {MAX_DEPTH} levels", path.name)
    except ValueError as error:
        return {}, Problem("bad_json", f"is not JSON: {error}", path.name)
    if not isinstance(content, dict):
        return {}, Problem("bad_json", f"holds a {type(content).__name__}, not an object", path.name)
    return content, None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which every name stands once. Raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _is_deep(content: Any) -> bool:
    """Whether lists and objects lie in each other more than MAX_DEPTH levels; a level at a time, without recursion."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(MAX_DEPTH):
        inside = (inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
    return bool(level)
