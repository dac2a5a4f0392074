"""Day 7: the mini-project. What a person knows comes from the project file, everything measured from records."""

from collections.abc import Callable
from typing import Any

from adapters.errors import BadInput
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, bullets, missing, plain, table, unsaid
from training.notebook.records import Record, Records

_SHOWN = 3
_EVALUATE = "evaluate --adapter RUN --data TEST --out F"


def section(records: Records, lang: Language) -> Section:
    """One table of the project, then examples of both ends."""
    project = records.last("project") or {}
    run = _run(project, records)
    evaluation = _evaluation(run, records)
    rows = [[lang(f"day7.{name}"), cell] for name, cell in _cells(project, run, evaluation, lang)]
    parts: list[str | Plot] = [table([lang("day7.what"), lang("day7.said")], rows)]
    for key, title in (("works_well", "day7.works_well"), ("limits", "day7.fails")):
        parts += [f"### {lang(title)}", _cases(evaluation, key, lang)]
    return Section(lang("day7.title"), parts)


def _run(project: Record, records: Records) -> Record | None:
    """The run that the project names, else the last that was evaluated, else the last.

    Raises BadInput for a name that none of the runs has.
    """
    if not records.finished:
        return None
    runs = {run["path"]: run for run in records.finished}
    name = project.get("run")
    if name is None:
        evaluated = [runs[record["scored"]] for record in _evaluations(records) if record["scored"] in runs]
        return (evaluated or records.finished)[-1]
    if name not in runs:
        raise BadInput(f"the project is about the run {name!r}, and the finished runs are {', '.join(runs)}", param="runs")
    return runs[name]


def _evaluations(records: Records) -> list[Record]:
    """Those beside a base, the last one last; an earlier version's, which tell no time, first."""
    return sorted(
        (record for record in records.of("evaluation") if record["baseline"]), key=lambda record: record.get("time", "")
    )


def _evaluation(run: Record | None, records: Records) -> Record | None:
    """The run's own last evaluation; one with examples rather than a watched one, which has none."""
    own = [record for record in _evaluations(records) if run and record["scored"] == run["path"]]
    found = [record for record in own if record.get("cases")] or own
    return found[-1] if found else None


def _cells(project: Record, run: Record | None, evaluation: Record | None, lang: Language) -> list[tuple[str, str]]:
    def said(field: str, shown: Callable[[Any], str] = lambda value: plain(value, 2000)) -> str:
        return shown(project[field]) if project.get(field) else unsaid(field)

    def several(values: list[str]) -> str:
        return "<br>".join(f"{n}. {plain(value, 2000)}" for n, value in enumerate(values, start=1))

    def met(challenges: list[dict[str, str]]) -> str:
        return several([f"{c['challenge']} → {c['met']}" for c in challenges])

    train = missing("train --data DATA --out RUN")
    return [
        ("name", said("title")),
        ("functions", said("functions", several)),
        ("case", said("case")),
        ("problem", said("problem")),
        ("solution", said("solution")),
        ("challenges", said("challenges", met)),
        ("base", plain(run["base"]["id"]) if run else train),
        ("method", f"{run['method']}, {plain(run['path'])}" if run else train),
        ("improvement", _improvement(evaluation, lang)),
        ("training_time", lang.seconds(run["seconds"]) if run else train),
        ("demo", plain(project["demo"], 2000) if project.get("demo") else _demo(evaluation)),
        ("limits", said("limits", several)),
        ("next_steps", said("next_steps", several)),
    ]


def _improvement(evaluation: Record | None, lang: Language) -> str:
    if evaluation is None:
        return missing(_EVALUATE)
    return "<br>".join(
        f"{name}: {lang.number(s['baseline'])} → {lang.number(s['value'])} ({lang.signed(s['difference'])}, p {lang.number(s['p'], 3)})"
        for name, s in evaluation["scores"].items()
    )


def _demo(evaluation: Record | None) -> str:
    """The first example that works well: what was asked, and what base and adapter said."""
    names = _looked_at(evaluation)
    if evaluation is None or not names:
        return missing(_EVALUATE)
    case = next((case for name in names for case in evaluation["cases"][name]["works_well"]), None)
    if case is None:
        return "-"
    return f"{plain(_asked(case))} → {plain(case['baseline_output'])} → **{plain(case['output'])}**"


def _looked_at(evaluation: Record | None) -> list[str]:
    """Metrics that compare answers and have examples, in their order."""
    cases = evaluation.get("cases", {}) if evaluation else {}
    return [name for name in cases if name != "perplexity"]


def _cases(evaluation: Record | None, key: str, lang: Language) -> str:
    names = _looked_at(evaluation)
    if evaluation is None or not names:
        return missing(_EVALUATE)
    found = evaluation["cases"][names[0]][key][:_SHOWN]
    lines = [
        lang(
            "day7.example",
            asked=plain(_asked(case)),
            gave=plain(case["output"]),
            wanted=plain(case["references"][0]),
            base=plain(case["baseline_output"]),
        )
        for case in found
    ]
    return bullets(lines) if lines else lang("day7.no_example")


def _asked(case: dict[str, Any]) -> str:
    return str(case["prompt"] if isinstance(case["prompt"], str) else case["prompt"][-1]["content"])
