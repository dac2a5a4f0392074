"""`patchbay status`: a running service at a glance, live in a terminal, once elsewhere."""

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from service.client import Client
    from service.status import Look

_WINDOW = 30.0
_BAR = 30
_WIDE = 120  # where there is no terminal, there is no width to keep to


def status(
    url: Annotated[str, typer.Option(envvar="PATCHBAY_URL", help="The service.")] = "http://127.0.0.1:8000",
    key: Annotated[str | None, typer.Option(envvar="PATCHBAY_KEY", help="A key, if the service asks for one.")] = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print it once and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it once as JSON.")] = False,
) -> None:
    """Watch a running service: adapters, requests, latency, memory. Ctrl-C ends it."""
    from rich.console import Console

    from service.client import Client

    client, console = Client(url, key), Console()
    if not console.is_terminal:
        console.width = _WIDE
    if not (once or as_json) and console.is_terminal:
        _watch(client, console, every)
        return
    from service import status as figures

    found = figures.status(figures.look(client), None)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        console.print(_view(url, found))


def _watch(client: "Client", console: Any, every: float) -> None:
    """Redraws until Ctrl-C. A service that does not answer is shown as such, and asked again."""
    from rich.live import Live
    from rich.text import Text

    from adapters.errors import PatchbayError
    from service import status as figures

    looks: deque[Look] = deque()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    looks.append(figures.look(client))
                    while looks[-1].at - looks[0].at > _WINDOW:
                        looks.popleft()
                    view = _view(client.url, figures.status(looks[-1], looks[0] if len(looks) > 1 else None))
                except PatchbayError as error:
                    looks.clear()
                    view = Text(error.message, style="red")
                live.update(view, refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        return


def _view(url: str, found: dict[str, Any]) -> "RenderableType":
    from rich.console import Group

    return Group(_head(url, found), "", _models(found), "", _memory(found["memory"]))


def _head(url: str, found: dict[str, Any]) -> "RenderableType":
    from rich.text import Text

    engine = ("ready", "green") if found["ready"] else (f"engine {found['engine']}", "red")
    window = f"over {found['window_seconds']:.0f} s" if found["window_seconds"] else "since it began"
    restarts = f", {found['restarts']} restart(s)" if found["restarts"] else ""
    return Text.assemble(("Patchbay", "bold"), f"  {url}  {found['base']}  ", engine, (f"{restarts}  ·  {window}", "dim"))


def _models(found: dict[str, Any]) -> "RenderableType":
    from rich import box
    from rich.table import Table

    caption = "first, answer: 95th percentile of the time to the first token, and to the last"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, collapse_padding=True, caption=caption, caption_justify="left")
    for name in ("model", "live"):
        table.add_column(name, no_wrap=True)
    for name in ("requests", "req/s", "tok/s", "first", "answer", "memory"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    table.add_column("", no_wrap=True)
    for model in found["models"]:
        table.add_row(model["name"], (model["live"] or "").removeprefix("sha256:")[:12], *_cells(model), " ".join(model["marks"]))
    if len(found["models"]) > 1:
        table.add_section()
        table.add_row("all", "", *_cells({"bytes": found["memory"].get("adapters"), **found}), "")
    return table


def _cells(figures: dict[str, Any]) -> list[str]:
    rates = [_rate(figures[name]) for name in ("requests_per_second", "tokens_per_second")]
    times = [_seconds(figures[name]) for name in ("first_token_p95", "latency_p95")]
    return [f"{figures['requests']:,}", *rates, *times, _bytes(figures["bytes"])]


def _memory(parts: dict[str, int]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    most = max(parts.values(), default=0) or 1
    for part, size in parts.items():
        table.add_row(part.replace("_", " "), _bytes(size), Text("█" * round(_BAR * size / most), style="cyan"))
    return table


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _bytes(size: int | None) -> str:
    if size is None:
        return "-"
    scaled, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while scaled >= 1024 and len(units) > 1:
        scaled /= 1024
        units.pop(0)
    return f"{scaled:.0f} {units[0]}" if units[0] == "B" or scaled >= 100 else f"{scaled:.1f} {units[0]}"
