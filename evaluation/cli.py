"""`patchbay evaluate`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.errors import BadInput
from evaluation import here
from evaluation.json_file import write_json
from evaluation.output import check_file
from evaluation.quiet import be_quiet

_WORSE, _FAILED = 3, 2
# Options that mean nothing under --watch, each with what it does instead.
_UNWATCHED = {
    "adapter": "finds the adapters itself",
    "base": "scores each run beside the base it was trained on",
    "calibrate": "makes no A/A trials",
    "out": "keeps its reports in the history (--history)",
}


def evaluate(
    data: Annotated[Path | None, typer.Option(help="Data rows: .jsonl, .csv or .parquet.")] = None,
    base: Annotated[str | None, typer.Option(help="A folder, a hub id, or 'embedded' (the default).")] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter's folder, or a run folder; scored beside the base.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="perplexity, accuracy, exact_match, field_f1, bleu, bleu_lower, chrf, rouge_l; may be repeated. Without it, those that fit the rows."
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="Score this many rows, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw and of the intervals.")] = 1,
    calibrate: Annotated[
        int, typer.Option(min=0, help="A/A trials: how often two systems that are the same would be told apart on these rows.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON, with every sample.")] = None,
    watch: Annotated[
        Path | None,
        typer.Option(help="Score every finished run under this folder that was not yet; without --data on its own test rows."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="With --watch: look again after so many seconds, until interrupted.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="With --watch: where entries are added; evaluations.jsonl in the folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; with --watch, one entry a line.")] = False,
) -> None:
    """Score a base, or an adapter beside its base, on identical rows.

    With --watch the exit code is 3 when a run got worse than the one before it or the best so far, by the
    paired test; 2 when one could not be scored.
    """
    be_quiet()
    from evaluation.show import show

    if watch is not None:
        for name, given in (("adapter", adapter), ("base", base), ("calibrate", calibrate), ("out", out)):
            if given:
                raise BadInput(f"--watch {_UNWATCHED[name]}; leave --{name} out", param=name)
        from evaluation.history import NAME, History
        from evaluation.watch import Asked

        asked = Asked(data, tuple(metric or ()), max_tokens, limit, seed)
        raise typer.Exit(_watch(watch, History(history or watch / NAME), asked, every, as_json))
    if data is None or every is not None or history is not None:
        raise BadInput("give --data; --every and --history go with --watch", param="data")
    if out:
        check_file(out)
    from evaluation.evaluate import plan
    from evaluation.report import now
    from evaluation.rows import load_rows

    prepared = plan(load_rows(data), metric or (), max_tokens=max_tokens, limit=limit, seed=seed, trials=calibrate)
    report = here.run(*here.models(base or "embedded", adapter), prepared, "evaluate")
    body = report.to_json() | {"time": now()}
    if out:
        write_json(out, body | {"samples": report.samples})
    typer.echo(json.dumps(body) if as_json else show(body))


def _watch(root: Path, history: Any, asked: Any, every: float | None, as_json: bool) -> int:
    """Passes over the folder; the exit code. An interrupt between passes is the ordinary end of a watch."""
    from evaluation.show import show_entry
    from evaluation.watch import watch

    code = 0
    try:
        while True:
            for found in watch(root, history, asked, here.score):
                if isinstance(found, dict):
                    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else show_entry(found))
                    code = _WORSE if found["worse"] else code
                else:
                    typer.echo(f"{found[0].folder}: {found[1].message}", err=True)
                    code = code or _FAILED
            if every is None:
                return code
            time.sleep(every)
    except KeyboardInterrupt:
        if every is None:
            raise
        return code
