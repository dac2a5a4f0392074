"""A language of the notebook: its phrases, and how it writes numbers."""

from pathlib import Path
from typing import Any

import yaml

from adapters.errors import BadInput

_FOLDER = Path(__file__).parent / "phrases"
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
# English marks, and what stands for them where the decimal mark is a comma.
_COMMA = str.maketrans({",": ".", ".": ","})


class Language:
    """Phrases by key ("day1.title"), filled with values; each language is one file in phrases/."""

    def __init__(self, name: str) -> None:
        """Raises BadInput for a language there is no file of."""
        if name not in LANGUAGES:
            raise BadInput(f"there is no language {name!r}; give one of {', '.join(LANGUAGES)}", param="lang")
        self.name = name
        self.phrases = _flat(yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: Any) -> str:
        """The phrase of a key; KeyError where the file lacks it."""
        return self.phrases[key].format(**values)

    def number(self, number: float | None, digits: int = 4) -> str:
        """So many significant digits, thousands apart; a dash for none."""
        if number is None:
            return "-"
        if abs(number) >= 10 ** (digits - 1) or number == int(number):
            return self._marked(f"{number:,.0f}")
        return self._marked(f"{number:.{digits}g}")

    def signed(self, number: float | None) -> str:
        """A difference, with its sign."""
        return "-" if number is None else ("+" if number > 0 else "") + self.number(number or 0.0)  # no sign for a zero

    def percent(self, share: float | None) -> str:
        """A share in per cent."""
        return "-" if share is None else f"{self.number(100 * share, 3)} %"

    def mebibytes(self, size: float | None) -> str:
        """Bytes in MiB."""
        return "-" if size is None else self.number(size / 2**20)

    def seconds(self, seconds: float | None) -> str:
        """A time, in the unit a person would say it in."""
        if seconds is None:
            return "-"
        if seconds < 1:
            return f"{self.number(1000 * seconds, 3)} ms"
        return f"{self.number(seconds, 3)} s" if seconds < 120 else f"{self.number(seconds / 60, 3)} min"

    def _marked(self, text: str) -> str:
        return text.translate(_COMMA) if self("decimal_mark") == "," else text


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return found
