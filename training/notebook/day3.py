"""Day 3: the base that was used, and each adapter beside it on rows that training never saw."""

import re
from functools import partial
from pathlib import Path

from adapters.base import EMBEDDED, resolve_base
from evaluation import plots
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, missing, plain, table, unsaid
from training.notebook.records import Record, Records

_ASKED = ("perplexity", "accuracy", "bleu")


def section(records: Records, lang: Language) -> Section:
    """The base; before, after and improvement by metric; the curves of training."""
    parts: list[str | Plot] = [f"### {lang('day3.base')}", _bases(records, lang)]
    parts += [f"### {lang('day3.before_after')}", lang("day3.how"), _scores(records, lang)]
    parts += [plot for name in _metrics(records) if (plot := _intervals(records, name, lang))]
    parts += [plot for run in records.finished if (plot := _curves(run, lang))]
    return Section(lang("day3.title"), parts)


def _bases(records: Records, lang: Language) -> str:
    header = [lang(f"day3.{name}") for name in ("name", "size", "domain", "digest")]
    rows = {}
    for run in records.of("run"):
        base = run["base"]
        # A full fine-tuning's total is the base's own; an adapter's holds the adapter too.
        size = run["parameters"]["total"] - (run["parameters"]["trainable"] if run.get("lora_matrices") else 0)
        shown = lang("day3.parameters", n=lang.number(size, 12))
        rows[base["digest"]] = [plain(base["id"]), shown, _domain(run, records), f"`{base['digest'][:19]}`"]
    return table(header, list(rows.values()) or [[missing("train --data DATA --out RUN"), "-", "-", "-"]])


def _domain(run: Record, records: Records) -> str:
    """As a person's project file says, else as the base's own card does."""
    for project in records.of("project"):
        if project["base_domain"]:
            return plain(project["base_domain"])
    name = run["config"]["base"]
    # Never by a hub id: a report asks nobody.
    card = resolve_base(name) / "README.md" if name == EMBEDDED or (Path(name) / "config.json").is_file() else Path(name)
    found = re.search(r"^\| domain \| (.+) \|$", card.read_text(encoding="utf-8"), re.MULTILINE) if card.is_file() else None
    return plain(found[1]) if found else unsaid("base_domain")


def _paired(records: Records) -> list[Record]:
    return [record for record in records.of("evaluation") if record["baseline"]]


def _metrics(records: Records) -> list[str]:
    there = [name for record in _paired(records) for name in record["scores"]]
    return list(dict.fromkeys([*(name for name in _ASKED if name in there), *there]))


def _scores(records: Records, lang: Language) -> str:
    names = ("adapter", "metric", "rows", "before", "after", "interval", "improvement", "p", "verdict")
    rows = [
        _row(record, metric, lang) for metric in _metrics(records) for record in _paired(records) if metric in record["scores"]
    ]
    for metric in _ASKED:
        if metric not in _metrics(records):
            rows.append([missing(f"evaluate --adapter RUN --data TEST --metric {metric} --out F"), metric, *["-"] * 7])
    return table([lang(f"day3.{name}") for name in names], rows)


def _row(record: Record, metric: str, lang: Language) -> list[str]:
    s = record["scores"][metric]
    difference = lang.signed(s["difference"])
    if "difference_low" in s:
        difference += f" [{lang.signed(s['difference_low'])}, {lang.signed(s['difference_high'])}]"
    verdict = record.get("verdicts", {}).get(metric)
    return [
        plain(record["path"]),
        metric,
        str(record["n"]),
        lang.number(s["baseline"]),
        lang.number(s["value"]),
        f"{lang.number(s['low'])} – {lang.number(s['high'])}",
        difference,
        lang.number(s["p"], 3),
        lang(f"verdict.{verdict.replace(' ', '_')}") if verdict else "-",
    ]


def _intervals(records: Records, metric: str, lang: Language) -> Plot | None:
    found = [(record, record["scores"][metric]) for record in _paired(records) if metric in record["scores"]]
    points = [(record["path"], s["value"], s["low"], s["high"]) for record, s in found if None not in (s["value"], s["low"])]
    if not points:
        return None
    title = lang("day3.plot", metric=metric)
    before = [s["baseline"] for _, s in found if None not in (s["value"], s["low"])]
    draw = partial(plots.intervals, points, x=metric, before=before, names=(lang("day3.before"), lang("day3.after")))
    return Plot(f"before-after-{metric}", title, draw)


def _curves(run: Record, lang: Language) -> Plot | None:
    if not run.get("curves"):
        return None
    title = lang("day3.curves", run=run["path"])
    lines = {
        lang(f"day3.{key}"): [(entry["step"], entry[key]) for entry in run["curves"] if key in entry]
        for key in ("loss", "eval_loss")
    }
    draw = partial(plots.curves, {name: line for name, line in lines.items() if line}, x=lang("day3.step"), y=lang("day3.nats"))
    return Plot(f"curves-{run['path']}", title, draw)
