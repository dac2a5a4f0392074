"""Where a command writes: whether it can is known before the work, not after it."""

import os
from pathlib import Path

from adapters.errors import BadInput


def require_folder(out: Path) -> None:
    """Raises BadInput when `out` neither is a folder that may be written to nor can become one."""
    whole = out.absolute()
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise BadInput(f"{out} cannot be a folder: {there} is not one; choose another --out", param="out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"{out} cannot be written: {there} is not yours to write to; choose another --out", param="out")
