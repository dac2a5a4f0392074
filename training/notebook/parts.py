"""What a section of the notebook is made of: Markdown, tables among it, and plots."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from training.notebook.names import file_name

# What Markdown reads as a sign; an underscore inside a word is none.
_SPECIAL = re.compile(r"([\\`*{}\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_]))")


@dataclass(frozen=True)
class Plot:
    """A picture; `name` is what its file is called after, `draw` one of evaluation.plots with all it needs but the title."""

    name: str
    title: str
    draw: Callable[..., str]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{file_name(self.name)}.svg"

    @cached_property
    def svg(self) -> str:
        """An SVG that may stand inside a page; drawn when it is asked for, and once."""
        return self.draw(title=self.title)


@dataclass(frozen=True)
class Section:
    """A title, and below it Markdown and plots in their order."""

    title: str
    parts: list[str | Plot] = field(default_factory=list)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; cells are Markdown themselves."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def bullets(items: Sequence[str]) -> str:
    """A list of Markdown."""
    return "\n".join(f"- {item}" for item in items)


def plain(text: object, most: int = 300) -> str:
    """Text of a record as Markdown that shows it as it is, on one line, cut where it is long."""
    line = " ".join(str(text).split())
    return _SPECIAL.sub(r"\\\1", line if len(line) <= most else line[: most - 1] + "…")


def missing(command: str) -> str:
    """A cell that no record fills: the command that would."""
    return f"→ `patchbay {command}`"


def unsaid(field: str) -> str:
    """A cell that only a person can fill: the field of the project file that would."""
    return f"→ `{field}:` in `patchbay report … project.yaml`"
