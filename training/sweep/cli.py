"""`patchbay sweep`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.errors import BadInput
from evaluation.quiet import be_quiet


def sweep(
    out: Annotated[Path, typer.Option(help="Folder of the sweep; the same command goes on with one that was interrupted.")],
    data: Annotated[
        str | None, typer.Option(help="A data file, or a folder with train.* and perhaps valid.* and test.*.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="A folder, a hub id, or 'embedded' (the default).")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with whatever else patchbay train takes; flags win over it.")] = None,
    method: Annotated[str | None, typer.Option(help="A method of patchbay train (lora).")] = None,
    rank: Annotated[str | None, typer.Option(help="Values, such as 4,8,16; for tpe a range, such as 4:64.")] = None,
    alpha: Annotated[str | None, typer.Option(help="Values or a range; 1r,2r are multiples of the rank.")] = None,
    dropout: Annotated[str | None, typer.Option(help="Values, such as 0,0.1; for tpe a range.")] = None,
    lr: Annotated[str | None, typer.Option(help="Values, such as 3e-4,1e-3; for tpe a range, such as 1e-4:1e-2.")] = None,
    search: Annotated[
        str, typer.Option(help="grid: every combination. tpe: --trials draws by optuna's tree-structured estimator.")
    ] = "grid",
    trials: Annotated[int, typer.Option(min=2, help="Draws of a tpe search; may be raised until the test was opened.")] = 20,
    prune: Annotated[
        bool, typer.Option(help="End a trial whose validation loss is above the median of the others' at that step.")
    ] = True,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data of each trial (3).")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimizer steps of each trial, instead of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step (16).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the trials and of the draws (1).")] = None,
    test: Annotated[
        bool, typer.Option(help="Score the best trial beside its base on the data folder's test rows, once, at the end.")
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="So many test rows, drawn by the seed.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer in the test.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Search rank, alpha, dropout and learning rate; chosen by validation loss, the test opened once at the end.

    Writes sweep.json, best.yaml (for patchbay train --config), sweep.db (the state) and a run folder for each trial.
    """
    if search not in ("grid", "tpe"):
        raise BadInput(f"--search is {search!r}; give grid or tpe", param="search")
    be_quiet()
    from training.config import load_config
    from training.sweep.run import BEST, Asked, test_rows
    from training.sweep.run import sweep as run
    from training.sweep.space import read_space

    flags: dict[str, Any] = {
        "data": data, "base": base, "method": method, "epochs": epochs, "max_steps": max_steps, "batch_size": batch_size, "seed": seed,
    }  # fmt: skip
    space = read_space({"rank": rank, "alpha": alpha, "dropout": dropout, "lr": lr})
    around = load_config(config, flags)
    rows = test_rows(Path(around.data)) if test else None
    record = run(Asked(around, space, search, trials, prune, rows, limit, max_tokens), out)
    typer.echo(json.dumps(record) if as_json else _shown(record, out / BEST))


def _shown(record: dict[str, Any], best: Path) -> str:
    lines = [
        f"{len(record['trials'])} trials in {record['seconds']:.0f} s, the best with a validation loss of {record['best']['valid_loss']:.4f}"
    ]
    for name, tried in record["tried"].items():
        values = ", ".join(f"{e['value']} {'pruned' if e['best'] is None else format(e['best'], '.4f')}" for e in tried)
        share = f"  importance {record['importance'].get(name, 0):.0%}" if record["importance"] else ""
        lines.append(f"  {name:<8} best {record['best']['params'][name]}   ({values}){share}")
    for name, s in (record["test"] or {"scores": {}})["scores"].items():
        lines.append(f"  test     {name} {s['value']:.4g} [{s['low']:.4g}, {s['high']:.4g}], base {s['baseline']:.4g}")
    return "\n".join([*lines, f"patchbay train --config {best} --out RUN"])
