"""`patchbay adapters promote --gate`: the evaluation that decides, run first."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer

from adapters.errors import BadInput
from service.client import Client


def require(
    client: Client,
    name: str,
    version: str,
    data: Path,
    metric: str | None,
    better_than: str,
    max_tokens: int,
    limit: int | None,
) -> dict[str, Any]:
    """The exact version, and what is required of it, once it was evaluated on `data` beside the live one.

    Raises:
        BadInput: no metric, or neither `live` nor a number; or the evaluation failed.
    """
    from tqdm import tqdm

    from evaluation.scores import METRICS

    if metric not in METRICS:
        raise BadInput(f"--metric is {metric!r}; with --gate, give the one that decides: {', '.join(METRICS)}", param="metric")
    than = better_than if better_than == "live" else _number(better_than)
    model = _exact(client, f"{name}@{version}")
    live = _exact(client, name) if than == "live" else model
    request = {"model": model, "metrics": [metric], "max_tokens": max_tokens, "limit": limit, "file": client.add_file(data)}
    # Without a baseline of its own, an evaluation compares with the base.
    request |= {"baseline": live} if live != model else {}
    with tqdm(unit="item", desc="evaluate") as bar:
        done = client.evaluate(request, lambda done, total: _show(bar, done, total))
    figures = done["scores"][metric]
    typer.echo(f"{metric} {figures['value']}, {done['baseline']} {figures['baseline']}, p {figures['p']}", err=True)
    asked = {"evaluation": done["id"], "metric": metric, "better_than": than}
    return {"version": model.partition("@")[2], "require": asked}


def _exact(client: Client, model: str) -> str:
    """`name@sha256:…` of what a model id means now."""
    return str(client.call("GET", f"/v1/models/{quote(model, safe='')}")["root"])


def _show(bar: Any, done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"--better-than is {text!r}; give live or a number", param="better_than") from None
