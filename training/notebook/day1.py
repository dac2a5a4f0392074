"""Day 1: approaches compared by time, cost, quality and use."""

from functools import partial
from typing import Any

from evaluation import plots
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, bullets, missing, table
from training.notebook.records import Record, Records

_COMMAND = "compare --data DATA --adapter RUN --full RUN --out compare.json"
_APPROACHES = ("zero_shot", "few_shot", "retrieval", "lora", "lora_retrieval", "full")


def section(records: Records, lang: Language) -> Section:
    """One table a comparison; without one, the approaches there are and the command."""
    found = records.of("compare")
    parts: list[str | Plot] = [lang("day1.intro")]
    for record in found:
        parts += [_about(record, lang), _table(record, lang), _plot(record, lang), *_choices(record, lang)]
    if not found:
        parts.append(table(_header(lang, lang("word.quality")), [[lang(f"approach.{a}"), *_EMPTY] for a in _APPROACHES]))
    return Section(lang("day1.title"), parts)


_EMPTY = [missing(_COMMAND)] + ["-"] * 5


def _header(lang: Language, quality: str) -> list[str]:
    names = ("training_time", "cost", "prompt_tokens", "latency")
    return [lang("word.approach"), *(lang(f"day1.{name}") for name in names), quality, lang("day1.use")]


def _about(record: Record, lang: Language) -> str:
    settings = record["settings"]
    return lang(
        "day1.about",
        n=record["data"]["n"],
        data=record["data"]["items"],
        base=record["base"],
        k=settings["k"],
        tokens=settings["max_tokens"],
    )


def _table(record: Record, lang: Language) -> str:
    uses: dict[str, list[str]] = {}
    for choice in record["choices"]:
        uses.setdefault(choice["approach"], []).append(lang(f"use.{choice['use']}"))
    rows = [_row(approach, record, uses.get(approach["name"], []), lang) for approach in record["approaches"]]
    there = {approach["name"] for approach in record["approaches"]}
    rows += [[lang(f"approach.{name}"), *_EMPTY] for name in _APPROACHES if name not in there]
    return table(_header(lang, f"{record['primary']} [{lang('word.interval')}]"), rows)


def _row(approach: dict[str, Any], record: Record, uses: list[str], lang: Language) -> list[str]:
    score = approach["scores"][record["primary"]]
    training = approach["training"]
    return [
        lang(f"approach.{approach['name']}"),
        lang.seconds(training["seconds"]) if training else lang("word.none"),
        _cost(approach, record, lang),
        lang.number(approach["prompt_tokens"], 3),
        lang.seconds(approach["latency"]["p50_seconds"]),
        f"{lang.number(score['value'])} [{lang.number(score['low'])}, {lang.number(score['high'])}]",
        "; ".join(uses) or "-",
    ]


def _cost(approach: dict[str, Any], record: Record, lang: Language) -> str:
    """Of a thousand answers: in money where prices were given, else in machine time."""
    money = approach["money"]
    if money is None:
        return lang.seconds(approach["serving"]["seconds_per_thousand"])
    return f"{lang.number(money['thousand_answers'], 3)} {record['prices']['currency']} + {lang.number(money['training'], 3)}"


def _plot(record: Record, lang: Language) -> Plot:
    points = [
        (lang(f"approach.{a['name']}"), score["value"], score["low"], score["high"])
        for a in record["approaches"]
        for score in [a["scores"][record["primary"]]]
    ]
    title = lang("day1.plot", metric=record["primary"])
    return Plot(f"approaches-{record['path']}", title, partial(plots.intervals, points, x=record["primary"]))


def _choices(record: Record, lang: Language) -> list[str]:
    lines = [
        f"**{lang('use.' + choice['use'])}**: {lang('approach.' + choice['approach'])}. {lang('use.' + choice['use'] + '_rule')}"
        for choice in record["choices"]
    ]
    lines += [
        lang(
            "day1.break_even" if even["answers"] is not None else "day1.break_even_unknown",
            trained=lang(f"approach.{even['approach']}"),
            over=lang(f"approach.{even['over']}"),
            answers=lang.number(even["answers"]),
        )
        for even in record["break_even"]
    ]
    return [lang("day1.rule"), bullets(lines)]
