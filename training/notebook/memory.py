"""Day 4's memory: full fine-tuning against LoRA and QLoRA, measured beside the formula, and larger models by the formula alone."""

from functools import partial
from typing import Any

from evaluation import plots
from training.notebook.language import Language
from training.notebook.parts import Plot, missing, plain, table
from training.notebook.records import Record, Records

_PARTS = ("weights", "gradients", "optimizer", "activations", "rest")
_SAVED = ("trained_state", "allocated_peak", "resident_growth")
_MEASURED = (*_PARTS, "peak", "resident")


def memory(records: Records, lang: Language) -> list[str | Plot]:
    """For each record what was measured, what is saved, the plot, and what was computed."""
    parts: list[str | Plot] = [f"### {lang('memory.title')}"]
    for record in records.of("memory"):
        parts += [
            _about(record, lang),
            _measured(record, lang),
            _plot(record, lang),
            lang("memory.computed"),
            _computed(record, lang),
        ]
    if not records.of("memory"):
        parts.append(table(_header(lang), [[missing("memory --base BASE --out F"), *["-"] * (len(_MEASURED) + len(_SAVED))]]))
    return parts


def _header(lang: Language) -> list[str]:
    return [lang("day4.method"), *(lang(f"memory.{name}") for name in (*_MEASURED, *_SAVED))]


def _about(record: Record, lang: Language) -> str:
    batch = record["batch"]
    return lang(
        "memory.about",
        base=plain(record["base"]["id"]),
        rank=record["rank"],
        rows=batch["rows"],
        length=batch["length"],
        labels=batch["labels"],
    )


def _measured(record: Record, lang: Language) -> str:
    rows = []
    for method, figures in record["methods"].items():
        parts, predicted = figures["measured"]["allocated"], figures["predicted"]
        saved = figures["saved"] if method != "full" else None
        rows.append(
            [method]
            + [_beside(parts[name], predicted.get(name), lang) for name in (*_PARTS, "peak")]
            + [lang.mebibytes(figures["measured"]["resident"]["peak"])]
            + [lang.percent(saved[name]) if saved else "-" for name in _SAVED]
        )
    return table(_header(lang), rows)


def _beside(measured: int, predicted: int | None, lang: Language) -> str:
    return lang.mebibytes(measured) if predicted is None else f"{lang.mebibytes(measured)} ({lang.mebibytes(predicted)})"


def _plot(record: Record, lang: Language) -> Plot:
    methods: dict[str, Any] = record["methods"]
    sizes = {
        lang(f"memory.{part}"): [figures["measured"]["allocated"][part] / 2**20 for figures in methods.values()]
        for part in _PARTS
    }
    return Plot(f"memory-{record['path']}", lang("memory.plot"), partial(plots.stacked, list(methods), sizes, x="MiB"))


def _computed(record: Record, lang: Language) -> str:
    names = ("weights", "gradients", "optimizer", "activations", "peak")
    rows = [
        [plain(entry["model"]), entry["method"], *(lang.number(entry["predicted"][name] / 2**30, 3) for name in names)]
        for entry in record["computed"]
    ]
    return table([lang("memory.model"), lang("day4.method"), *(f"{lang('memory.' + name)} (GiB)" for name in names)], rows)
