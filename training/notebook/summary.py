"""The summary: which techniques were exercised, ticked from the records."""

from collections.abc import Iterator

from training.notebook.language import Language
from training.notebook.parts import Section, missing, plain, table
from training.notebook.records import Record, Records

_TRAINING = ("lora", "rslora", "dora", "qlora-4bit", "qlora-8bit", "full")
_QUANTIZATION = ("int8", "nf4", "gptq", "w8a8")
_PROMPTING = ("zero_shot", "few_shot", "retrieval", "lora_retrieval")
# kind of record -> its phrase, and the command that writes one
_OTHER = {
    "seeds": ("seeds", "train --seeds 1,2,3 --data DATA --out RUNS"),
    "sweep": ("sweep", "sweep --data DATA --out SWEEP"),
    "compare": ("compare", "compare --data DATA --adapter RUN --out F"),
    "memory": ("memory", "memory --base BASE --out F"),
    "quantization": ("tradeoff", "tradeoff --adapter RUN --data TEST --out DIR"),
    "evaluation": ("evaluation", "evaluate --adapter RUN --data TEST --out F"),
    "history": ("history", "evaluate --watch RUNS"),
    "data-check": ("data_check", "data check DATA --json > F"),
    "loadtest": ("loadtest", "loadtest --out F"),
}


def section(records: Records, lang: Language) -> Section:
    """A line a technique: a tick and the records that show it, or the command that would."""
    rows = [
        [name, "☑" if names else "☐", ", ".join(names) or missing(command)] for name, names, command in _techniques(records, lang)
    ]
    header = [lang("summary.technique"), lang("summary.done"), lang("summary.shown_by")]
    return Section(
        lang("summary.title"),
        [lang("summary.intro", done=sum(row[1] == "☑" for row in rows), all=len(rows)), table(header, rows)],
    )


def _techniques(records: Records, lang: Language) -> Iterator[tuple[str, list[str], str]]:
    for method in _TRAINING:
        runs = [run for run in records.finished if run["method"] == method]
        yield lang("summary.training", method=method), _names(runs), f"train --method {method} --data DATA --out RUN"
    for method in _QUANTIZATION:
        bases = [base for base in records.of("base") if base["method"] == method]
        yield lang("summary.quantization", method=method), _names(bases), f"quantize --method {method} --base BASE --out DIR"
    for approach in _PROMPTING:
        found = [r for r in records.of("compare") if approach in {a["name"] for a in r["approaches"]}]
        yield lang(f"approach.{approach}"), _names(found), _OTHER["compare"][1]
    for kind, (phrase, command) in _OTHER.items():
        yield lang(f"summary.{phrase}"), _names(records.of(kind)), command


def _names(records: list[Record]) -> list[str]:
    return list(dict.fromkeys(plain(record["path"]) for record in records))
