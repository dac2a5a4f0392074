"""Day 5: quantization, technique by technique, and which is best for what."""

from functools import partial
from typing import Any

from evaluation import plots
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, bullets, missing, plain, table
from training.notebook.records import Record, Records

_METHODS = ("int8", "nf4", "gptq")
_MEASURED = ("technique", "engine", "speed", "disk", "weights", "resident", "quality")
_TRADEOFF = "tradeoff --adapter RUN --data TEST --out DIR"


def section(records: Records, lang: Language) -> Section:
    """The bases that were written; what each costs and gains where it is served; the best for each use."""
    parts: list[str | Plot] = [lang("day5.intro"), _bases(records, lang), f"### {lang('day5.tradeoff')}"]
    for record in records.of("quantization"):
        parts += [
            _about(record, lang),
            _measured(record, lang),
            _plot(record, lang),
            bullets(_best(record, lang)),
            lang("day5.rule", **{name: lang.number(limit) for name, limit in record["limits"].items()}),
        ]
    if not records.of("quantization"):
        parts.append(table(_header(lang), [[name, missing(_TRADEOFF), *["-"] * 5] for name in _METHODS]))
    return Section(lang("day5.title"), parts)


def _bases(records: Records, lang: Language) -> str:
    made = [base for base in records.of("base") if base.get("weight_bytes")]
    rows = [_base(base, lang) for base in made]
    there = {base["method"] for base in made}
    rows += [
        [name, missing(f"quantize --base BASE --method {name} --out DIR"), "-", "-", "-"]
        for name in _METHODS
        if name not in there
    ]
    return table([lang(f"day5.{name}") for name in ("technique", "base", "disk_before", "disk_after", "smaller")], rows)


def _base(base: Record, lang: Language) -> list[str]:
    before, after = base["weight_bytes"]["before"], base["weight_bytes"]["after"]
    return [base["method"], plain(base["path"]), lang.mebibytes(before), lang.mebibytes(after), lang.percent(1 - after / before)]


def _about(record: Record, lang: Language) -> str:
    return lang("day5.about", base=plain(record["base"]["id"]), adapter=plain(record["adapter"]), n=record["n"])


def _header(lang: Language) -> list[str]:
    return [lang(f"day5.{name}") for name in _MEASURED]


def _measured(record: Record, lang: Language) -> str:
    return table(_header(lang), [_row(row, lang) for row in record["rows"]])


def _row(row: dict[str, Any], lang: Language) -> list[str]:
    speeds = [f"{n}: {lang.number(rate)} ({lang.number(row['speed_up'][n], 3)}×)" for n, rate in row["tokens_per_second"].items()]
    scores = [
        f"{name} {lang.number(score['value'])} ({lang.signed(-row['quality_loss'][name])})"
        for name, score in row["scores"].items()
    ]
    sizes = [lang.mebibytes(row[name]) for name in ("disk_bytes", "weights_bytes", "resident_bytes")]
    return [row["technique"], row["engine"], "<br>".join(speeds), *sizes, "<br>".join(scores)]


def _plot(record: Record, lang: Language) -> Plot:
    points = [
        (
            f"{row['technique']}, {row['engine'].split()[0]}",
            row["weights_bytes"] / 2**20,
            list(row["tokens_per_second"].values())[-1],
        )
        for row in record["rows"]
    ]
    draw = partial(plots.scatter, points, x=lang("day5.weights"), y=lang("day4.speed"))
    return Plot(f"tradeoff-{record['path']}", lang("day5.plot"), draw)


def _best(record: Record, lang: Language) -> list[str]:
    return [
        lang(
            "day5.best",
            use=lang(f"day5.{use}"),
            technique=best["technique"],
            engine=best["engine"],
            size=lang.mebibytes(best["weights_bytes"]),
            speed=lang.number(best["tokens_per_second"]),
        )
        for use, best in record["best"].items()
    ]
