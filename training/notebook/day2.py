"""Day 2: the mathematics of LoRA, as the runs' own matrices have it."""

from collections import defaultdict

from training.notebook.language import Language
from training.notebook.parts import Plot, Section, missing, plain, table
from training.notebook.records import Record, Records


def section(records: Records, lang: Language) -> Section:
    """The formula, the runs side by side, and one run's modules one by one."""
    runs = [run for run in records.of("run") if run.get("lora_matrices")]
    parts: list[str | Plot] = [lang("day2.intro")]
    header = [lang(f"day2.{name}") for name in ("run", "rank", "alpha", "scale", "trained", "total", "share")]
    if not runs:
        return Section(lang("day2.title"), [*parts, table(header, [[missing("train --data DATA --out RUN"), *["-"] * 6]])])
    parts.append(table(header, [_row(run, lang) for run in runs]))
    widest = max(runs, key=lambda run: len(run["lora_matrices"]))
    parts += [lang("day2.modules", run=plain(widest["path"])), _modules(widest, lang)]
    return Section(lang("day2.title"), parts)


def _row(run: Record, lang: Language) -> list[str]:
    config, parameters = run["config"], run["parameters"]
    root = config["method"] == "rslora"
    scale = config["alpha"] / (config["rank"] ** 0.5 if root else config["rank"])
    return [
        plain(run["path"]),
        lang.number(config["rank"]),
        lang.number(config["alpha"]),
        f"{lang.number(scale)} ({'α/√r' if root else 'α/r'})",
        lang.number(parameters["trainable"], 9),
        lang.number(parameters["total"], 12),
        lang.percent(parameters["trainable"] / parameters["total"]),
    ]


def _modules(run: Record, lang: Language) -> str:
    """One line for the modules of one name and shape, which a model has in every layer."""
    alike: dict[tuple[str, tuple[int, ...], tuple[int, ...]], int] = defaultdict(int)
    for name, shapes in run["lora_matrices"].items():
        alike[name.rsplit(".", 1)[-1], tuple(shapes["A"]), tuple(shapes["B"])] += 1
    rows = []
    for (name, a, b), count in alike.items():
        own, whole = a[0] * a[1] + b[0] * b[1], b[0] * a[1]
        numbers = (own, own * count)
        shape = f"{b[0]} × {a[1]}"
        rows.append(
            [plain(name), str(count), shape, f"{a[0]} × {a[1]}", f"{b[0]} × {b[1]}"]
            + [lang.number(n, 9) for n in numbers]
            + [lang.percent(own / whole)]
        )
    header = ("module", "count", "w", "a", "b", "own", "together", "of_w")
    return table([lang(f"day2.{name}") for name in header], rows)
