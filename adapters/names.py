"""Names and digests that callers give: checked here before any of them becomes part of a path."""

import re

from adapters.errors import BadInput

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


def check_name(name: str, base_id: str | None = None) -> str:
    """The adapter name as given. Raises BadInput for one that cannot be used, and says what can."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise BadInput(
            f"{name!r} is no adapter name; use 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit",
            param="name",
        )
    if name in (DEFAULT, base_id):
        raise BadInput(
            f"{name!r} is taken: it is the id of {'the default route' if name == DEFAULT else 'the base'}", param="name"
        )
    return name


def check_prefix(text: str) -> str:
    """A version's digest, or the first six or more of its hex digits: returns the hex digits."""
    found = _PREFIX.fullmatch(text.lower())
    if not found:
        raise BadInput(f"{text!r} is no version; give sha256: and its hex digits, at least the first 6", param="version")
    return found.group(1)


def split_model(model: str) -> tuple[str, str | None]:
    """A model id as (adapter name, version prefix or None): `name` or `name@digest`."""
    name, at, version = model.partition("@")
    return name, version if at else None
