"""The digest of a data file, as run records and reports name it."""

import hashlib
from pathlib import Path


def file_digest(path: Path) -> str:
    """`sha256:<64 hex>` of the file's bytes. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
