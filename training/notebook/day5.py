"""Day 5: quantization, technique by technique."""

from training.notebook.language import Language
from training.notebook.parts import Plot, Section, missing, plain, table
from training.notebook.records import Record, Records

_METHODS = ("int8", "nf4", "gptq")


def section(records: Records, lang: Language) -> Section:
    """The bases that were written, and a line for each technique that none was made with."""
    made = [base for base in records.of("base") if base.get("weight_bytes")]
    rows = [_row(base, lang) for base in made]
    there = {base["method"] for base in made}
    rows += [
        [name, *[missing(f"quantize --base BASE --method {name} --out DIR")], "-", "-", "-"]
        for name in _METHODS
        if name not in there
    ]
    header = [lang(f"day5.{name}") for name in ("technique", "base", "disk_before", "disk_after", "smaller")]
    parts: list[str | Plot] = [lang("day5.intro"), table(header, rows)]
    return Section(lang("day5.title"), parts)


def _row(base: Record, lang: Language) -> list[str]:
    before, after = base["weight_bytes"]["before"], base["weight_bytes"]["after"]
    return [base["method"], plain(base["path"]), lang.mebibytes(before), lang.mebibytes(after), lang.percent(1 - after / before)]
