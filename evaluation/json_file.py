"""Records as JSON files, each written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from evaluation.output import write_text


def write_json(path: Path, content: dict[str, Any], param: str = "out") -> None:
    """Writes an object for people to read too. Raises BadInput, as write_text does."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n", param)
