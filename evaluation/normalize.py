"""The published normalizer: what counts as the same answer."""

import json
import unicodedata
from typing import Any

SIGNATURE = "nfkc+casefold+spaces"


def normalized(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space one blank, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def parsed(text: str) -> Any:
    """The JSON value that a text is, or None where it is none (`null` too: it answers nothing)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def fields(value: Any, path: str = "") -> set[tuple[str, str]]:
    """A JSON object as a set of (path, normalized value); list entries keep no order."""
    if isinstance(value, dict):
        return {pair for key, inner in value.items() for pair in fields(inner, f"{path}.{key}")}
    if isinstance(value, list):
        return {pair for inner in value for pair in fields(inner, f"{path}[]")}
    return {(path, normalized(value if isinstance(value, str) else json.dumps(value)))}
