"""Day 6: the data set, the metrics, and the pipeline that applies them."""

import statistics
from datetime import datetime
from functools import partial
from typing import Any

from evaluation import plots
from evaluation.scores import METRICS
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, bullets, missing, plain, table
from training.notebook.records import Record, Records

_WORDS, _REASONS = 10, 5


def section(records: Records, lang: Language) -> Section:
    """Data, metrics, pipeline."""
    parts: list[str | Plot] = [f"### {lang('day6.data')}", _data(records, lang)]
    for check in records.of("data-check"):
        parts += [*_grade(check, lang), *_lengths(check, lang)]
    parts += [f"### {lang('day6.metrics')}", _metrics(records, lang)]
    parts += [f"### {lang('day6.pipeline')}", _pipeline(records, lang)]
    return Section(lang("day6.title"), parts)


def _data(records: Records, lang: Language) -> str:
    names = ("split", "size", "format", "tokens", "duplicates", "domain", "quality")
    rows = [_split(check, name, split, lang) for check in records.of("data-check") for name, split in check["splits"].items()]
    command = missing("data check DATA --json > check.json")
    return table([lang(f"day6.{name}") for name in names], rows or [[command, *["-"] * (len(names) - 1)]])


def _split(check: Record, name: str, split: dict[str, Any], lang: Language) -> list[str]:
    rows, tokens = split["rows"], split["tokens"]
    flawed = sum(rows[kind] for kind in ("malformed", "empty", "overlong"))
    counted = (
        lang("day6.tokens_of", total=lang.number(tokens["total"], 12), p50=tokens["p50"], most=tokens["max"])
        if tokens["total"]
        else "-"
    )
    return [
        f"{plain(check['path'])}: {name}",
        lang("day6.rows", n=lang.number(rows["usable"], 9), flawed=flawed),
        f"{split['format']}, {', '.join(split['kinds'])}",
        counted,
        f"{lang.percent(split['duplicates']['exact']['share'])} / {lang.percent(split['duplicates']['near']['share'])}",
        plain(", ".join(entry["word"] for entry in split["domain_words"][:_WORDS])) or "-",
        f"{check['grade']['grade']} ({lang.number(check['grade']['points'])}/100)",
    ]


def _grade(check: Record, lang: Language) -> list[str]:
    reasons = [f"{lang.number(entry['points'])}: {_reason(entry, lang)}" for entry in check["grade"]["reasons"][:_REASONS]]
    text = lang(
        "day6.grade", path=plain(check["path"]), grade=check["grade"]["grade"], points=lang.number(check["grade"]["points"])
    )
    return [text, bullets(reasons)] if reasons else [text]


def _reason(entry: dict[str, Any], lang: Language) -> str:
    values = {name: lang.percent(value) if name == "share" else plain(str(value)) for name, value in entry["values"].items()}
    return lang(f"day6.reasons.{entry['what']}", **values)


def _lengths(check: Record, lang: Language) -> list[Plot]:
    found = []
    for name, split in check["splits"].items():
        if histogram := split["tokens"]["histogram"]:
            title = lang("day6.plot", path=check["path"], split=name)
            limit = split["tokens"]["limit"]
            draw = partial(plots.histogram, histogram["edges"], histogram["counts"], x="tokens", y=lang("day3.rows"), limit=limit)
            found.append(Plot(f"tokens-{check['path']}-{name}", title, draw))
            break  # the first split, which is the one trained on, stands for all
    return found


def _metrics(records: Records, lang: Language) -> str:
    used = [name for record in records.of("evaluation") for name in record["scores"]]
    header = [lang(f"day6.{name}") for name in ("metric", "how", "better", "used")]
    rows = [
        [name, plain(metric.signature), lang("day6.higher" if metric.higher_is_better else "day6.lower"), str(used.count(name))]
        for name, metric in METRICS.items()
    ]
    return table(header, rows)


def _pipeline(records: Records, lang: Language) -> str:
    header = [lang(f"day6.{name}") for name in ("automation", "evaluations", "applied", "frequency", "worse")]
    rows = [_history(history, lang) for history in records.of("history")]
    return table(header, rows or [[missing("evaluate --watch RUNS"), *["-"] * 4]])


def _history(history: Record, lang: Language) -> list[str]:
    entries = history["entries"]
    times = sorted(datetime.fromisoformat(entry["time"]) for entry in entries)
    gaps = [(b - a).total_seconds() for a, b in zip(times, times[1:], strict=False)]
    return [
        "`patchbay evaluate --watch`",
        str(len(entries)),
        ", ".join(dict.fromkeys(name for entry in entries for name in entry["scores"])) or "-",
        lang("day6.every", time=lang.seconds(statistics.median(gaps))) if gaps else lang("day6.once"),
        str(sum(bool(entry["worse"]) for entry in entries)),
    ]
