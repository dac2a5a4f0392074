"""Pages that need nothing but themselves: templates in which everything is text unless it says that it is markup."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, filters: dict[str, Any], **values: Any) -> str:
    """HTML of a template. A name that is not among `values` is an error, not a blank."""
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters
    return environment.get_template(template.name).render(**values)
