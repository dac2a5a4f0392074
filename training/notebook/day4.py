"""Day 4: configurations that worked, hyperparameters tried, and the memory of full fine-tuning against LoRA."""

from functools import partial
from typing import Any

import yaml

from evaluation import plots
from training.notebook.language import Language
from training.notebook.memory import memory
from training.notebook.parts import Plot, Section, missing, plain, table
from training.notebook.records import Record, Records
from training.sweep.space import Value, as_number

_SWEEP = "sweep --data DATA --out SWEEP"


def section(records: Records, lang: Language) -> Section:
    """Runs, sweeps and memory."""
    parts: list[str | Plot] = [f"### {lang('day4.worked')}", _worked(records, lang)]
    if records.of("seeds"):
        parts += [lang("day4.seeds"), _seeds(records, lang)]
    parts.append(f"### {lang('day4.tried')}")
    for sweep in records.of("sweep"):
        parts += [*_sweep(sweep, lang), *_sweep_plots(sweep, lang)]
    if not records.of("sweep"):
        parts.append(table(_tried_header(lang), [[missing(_SWEEP), "-", "-", "-"]]))
    return Section(lang("day4.title"), [*parts, *memory(records, lang)])


def _worked(records: Records, lang: Language) -> str:
    names = ("run", "method", "rank", "alpha", "dropout", "lr", "steps", "batch", "seed", "valid_loss", "time", "speed")
    rows = [_run(run, lang) for run in records.finished]
    return table([lang(f"day4.{name}") for name in names], rows or [[missing("train --data DATA --out RUN"), *["-"] * 11]])


def _run(run: Record, lang: Language) -> list[str]:
    config, adapted = run["config"], run.get("lora_matrices")
    return [
        plain(run["path"]),
        run["method"],
        *(lang.number(config[name]) if adapted else "-" for name in ("rank", "alpha", "dropout")),
        lang.number(config["lr"]),
        lang.number(run["steps"]),
        lang.number(config["batch_size"]),
        str(run["seed"]),
        lang.number(run["loss"]["valid_best"]),
        lang.seconds(run["seconds"]),
        lang.number(run["tokens_per_second"]),
    ]


def _seeds(records: Records, lang: Language) -> str:
    """Several seeds of one configuration: how far results lie apart by chance."""
    rows = [
        [plain(record["path"]), record["method"], ", ".join(map(str, record["seeds"]))]
        + [_spread(record["figures"][name], lang) for name in ("valid_best", "seconds")]
        for record in records.of("seeds")
    ]
    return table([lang(f"day4.{name}") for name in ("run", "method", "seed", "valid_loss", "seconds")], rows)


def _spread(figure: dict[str, Any], lang: Language) -> str:
    return f"{lang.number(figure['mean'])} ± {lang.number(figure['deviation'], 2)}"


def _tried_header(lang: Language) -> list[str]:
    return [lang(f"day4.{name}") for name in ("hyperparameter", "values", "best_value", "importance")]


def _sweep(sweep: Record, lang: Language) -> list[str]:
    best = sweep["best"]
    counts = {state: sum(trial["state"] == state for trial in sweep["trials"]) for state in ("complete", "pruned")}
    about = lang(
        "day4.sweep",
        name=plain(sweep["path"]),
        search=sweep["search"],
        complete=counts["complete"],
        pruned=counts["pruned"],
        time=lang.seconds(sweep["seconds"]),
        loss=lang.number(best["valid_loss"]),
    )
    rows = [
        [
            name,
            "; ".join(_value(entry, lang) for entry in tried),
            f"**{_tried(best['params'][name], lang)}**",
            _importance(sweep, name, lang),
        ]
        for name, tried in sweep["tried"].items()
    ]
    settings = {key: value for key, value in best["config"].items() if value is not None}
    text = f"```yaml\n{yaml.safe_dump(settings, sort_keys=False).strip()}\n```"
    return [about, table(_tried_header(lang), rows), _test(sweep, lang), lang("day4.config"), text]


def _value(entry: dict[str, Any], lang: Language) -> str:
    loss = lang.number(entry["best"]) if entry["best"] is not None else lang("day4.pruned")
    return f"{_tried(entry['value'], lang)} → {loss}"


def _tried(value: Value, lang: Language) -> str:
    """A number, or a multiple of the rank as it was given ("2r")."""
    return value if isinstance(value, str) else lang.number(value)


def _importance(sweep: Record, name: str, lang: Language) -> str:
    return lang.percent(sweep["importance"].get(name)) if sweep["importance"] else "-"


def _test(sweep: Record, lang: Language) -> str:
    if not sweep["test"]:
        return lang("day4.unopened")
    shown = "; ".join(
        f"{name} {lang.number(s['value'])} [{lang.number(s['low'])}, {lang.number(s['high'])}], {lang('day3.before')} {lang.number(s['baseline'])}"
        for name, s in sweep["test"]["scores"].items()
    )
    return lang("day4.opened", n=sweep["test"]["n"], scores=shown)


def _sweep_plots(sweep: Record, lang: Language) -> list[Plot]:
    found = []
    if sweep["importance"]:
        title = lang("day4.importance_of", name=sweep["path"])
        names = list(sweep["importance"])
        draw = partial(plots.bars, names, [sweep["importance"][name] for name in names], x=lang("day4.importance"))
        found.append(Plot(f"importance-{sweep['path']}", title, draw))
    for name in sweep["tried"]:
        title = lang("day4.loss_by", name=name)
        points = [
            ("", as_number(trial["params"][name]), trial["valid_loss"])
            for trial in sweep["trials"]
            if trial["state"] == "complete"
        ]
        draw = partial(plots.scatter, points, x=name, y=lang("day4.valid_loss"), log=name != "dropout")
        found.append(Plot(f"sweep-{sweep['path']}-{name}", title, draw))
    return found
