"""The week, step by step: each a command as a person would type it, and what it leaves behind."""

from dataclasses import dataclass
from pathlib import Path

from training.record import read_record

# Optimizer steps that are enough to learn each task.
STEPS = 160
_BATCH = ("--batch-size", "8")
# What is scored of each task, the longest answer, and how many test rows: a base without an adapter writes all it may.
_LABEL = ("--max-tokens", "8", "--limit", "60")
_TASKS = {
    "route": (("perplexity", "accuracy"), _LABEL),
    "extract": (("perplexity", "exact_match", "field_f1"), ("--max-tokens", "48", "--limit", "40")),
    "describe": (("bleu", "chrf", "rouge_l"), ("--max-tokens", "48", "--limit", "40")),
}
_METHODS = ("rslora", "dora", "qlora-4bit", "qlora-8bit", "full")
_FITTED = ("gptq", "w8a8")
_QUANTIZED = ("int8", "nf4", "gptq", "w8a8")
PROJECT_RUN = "service-desk"


@dataclass(frozen=True)
class Step:
    """A command of a day; `made` is there when it is done. `printed` keeps what it prints as `made`."""

    day: int
    words: tuple[str, ...]
    made: Path
    printed: bool = False

    @property
    def is_done(self) -> bool:
        """A run folder is there from its first step on, but done when its record says so."""
        if self.made.name != "run.json":
            return self.made.exists()
        record = read_record(self.made.parent)
        return record is not None and record["status"] == "finished"

    @property
    def command(self) -> str:
        """As a person would type it."""
        return " ".join(("patchbay", *self.words)) + (f" > {self.made}" if self.printed else "")


def steps(lab: Path, count: int = STEPS) -> list[Step]:
    """In the order in which each finds what it needs; days are those of the notebook.

    Each task is trained for `count` optimizer steps, and for fewer where only methods or settings are held side by side.
    """
    whole, short = str(count), str(max(5, 3 * count // 10))
    data, runs, methods, records = lab / "data", lab / "runs", lab / "methods", lab / "records"
    found = [Step(6, ("samples", "--out", str(data)), data)]
    found += [
        Step(6, ("data", "check", str(data / task), "--json"), records / f"data-{task}.json", printed=True) for task in _TASKS
    ]
    for task in _TASKS:
        found += [_train(3, data / task, runs / task, "--max-steps", whole), _evaluate(3, runs / task, task, data, records)]
    # Full fine-tuning is held against the first adapter (day 1), so it takes as many steps.
    found += [
        _train(2, data / "route", methods / name, "--method", name, "--max-steps", whole if name == "full" else short)
        for name in _METHODS
    ]
    found.append(_compare(data / "route", runs / "route", methods / "full", records / "compare.json"))
    sweep, project = lab / "sweep", runs / PROJECT_RUN
    found.append(_sweep(data / "route", sweep, short))
    best = ("train", "--config", str(sweep / "best.yaml"), "--max-steps", whole, "--out", str(project))
    found += [Step(7, best, project / "run.json"), _evaluate(7, project, "route", data, records)]
    memory, seeds = records / "memory.json", lab / "seeds" / "route"
    found.append(Step(4, ("memory", "--base", "embedded", "--out", str(memory)), memory))
    several = ("train", "--data", str(data / "route"), *_BATCH, "--max-steps", short, "--seeds", "1,2,3", "--out", str(seeds))
    found.append(Step(4, several, seeds / "seeds.json"))
    quantized = [(name, lab / "quantized" / name) for name in _QUANTIZED]
    under = ("--adapter", str(runs / "route"), "--calibration", str(data / "route" / "train.jsonl"))
    for name, made in quantized:
        found.append(Step(5, ("quantize", "--method", name, *(under if name in _FITTED else ()), "--out", str(made)), made))
    measured = ("tradeoff", "--adapter", str(runs / "route"), "--data", str(data / "route" / "test.jsonl"), "--limit", "60")
    found.append(Step(5, (*measured, "--out", str(lab / "quantized")), lab / "quantized" / "quantization.json"))
    history = lab / "watched" / "evaluations.jsonl"
    watch = ("evaluate", "--watch", str(runs), "--history", str(history), "--limit", "10", "--max-tokens", "24")
    return [*found, Step(6, watch, history)]


def _train(day: int, data: Path, out: Path, *options: str) -> Step:
    return Step(day, ("train", "--data", str(data), *_BATCH, *options, "--out", str(out)), out / "run.json")


def _evaluate(day: int, run: Path, task: str, data: Path, records: Path) -> Step:
    made = records / f"{run.name}.json"
    metrics, size = _TASKS[task]
    asked = [word for metric in metrics for word in ("--metric", metric)]
    rows = ("--data", str(data / task / "test.jsonl"), *size)
    return Step(day, ("evaluate", "--adapter", str(run), *rows, *asked, "--calibrate", "20", "--out", str(made)), made)


def _compare(data: Path, adapter: Path, full: Path, made: Path) -> Step:
    asked = ("--data", str(data), "--adapter", str(adapter), "--full", str(full), *_LABEL)
    return Step(1, ("compare", *asked, "--price-hour", "1", "--out", str(made)), made)


def _sweep(data: Path, out: Path, count: str) -> Step:
    space = ("--rank", "4,8,16", "--alpha", "1r,2r", "--dropout", "0,0.1", "--lr", "5e-4:5e-3")
    search = ("--search", "tpe", "--trials", "8")
    asked = ("--data", str(data), *space, *search, *_BATCH, "--max-steps", count, *_LABEL)
    return Step(4, ("sweep", *asked, "--out", str(out)), out / "sweep.json")
