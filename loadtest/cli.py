"""`patchbay loadtest`."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loadtest(
    url: Annotated[str, typer.Option(envvar="PATCHBAY_URL", help="The service.")] = "http://127.0.0.1:8000",
    scenario: Annotated[str, typer.Option(help="Its name, or a .yaml file; docs/load-tests.md lists them.")] = "many",
    key: Annotated[str | None, typer.Option(envvar="PATCHBAY_KEY", help="A key, if the service asks for one.")] = None,
    adapter: Annotated[
        list[Path] | None, typer.Option(help="An adapter or run folder; the scenario's own adapters are made from these.")
    ] = None,
    users: Annotated[int | None, typer.Option(min=1, help="How many ask at once, in each traffic without a rate.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="How long.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Allow a URL that is not this machine's.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the result here as JSON, and beside it as a page with plots (.html).")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Compare two results instead of running anything.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a running service under load and check every answer; exit code 1 when a limit is broken."""
    from loadtest.errors import LoadTestError

    try:
        if compare:
            _compare(*compare, as_json)
            return
        if urlsplit(url).hostname not in _LOOPBACK and not remote:
            _fail(f"{url} is not this machine; add --remote if you may put it under load")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        result = _run(scenario, url, key, adapter or [], users, seconds)
    except LoadTestError as error:
        _fail(str(error))
    if out:
        _write(result, out)
    typer.echo(json.dumps(result)) if as_json else _show(result)
    if result["interrupted"]:
        raise typer.Exit(130)
    if not result["passed"]:
        raise typer.Exit(1)


def _run(
    scenario: str, url: str, key: str | None, adapters: list[Path], users: int | None, seconds: float | None
) -> dict[str, Any]:
    from tqdm import tqdm

    from loadtest.run import run
    from loadtest.scenario import load

    asked = load(scenario, users=users, seconds=seconds)
    with tqdm(total=asked.seconds, bar_format="{desc} {bar} {n:.0f}/{total:.0f} s") as bar:

        def tell(step: str, passed: float) -> None:
            bar.set_description_str(f"{asked.name}: {step}")
            bar.update(min(passed, asked.seconds) - bar.n)

        return run(asked, url, key, adapters, tell)


def _write(result: dict[str, Any], out: Path) -> None:
    from loadtest.page import page

    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".html").write_text(page(result), encoding="utf-8")


def _show(result: dict[str, Any]) -> None:
    beside = {"the base alone, before": result["base_alone"]} if "base_alone" in result else {}
    for name, f in {"all": result["total"], **result["models"], **beside}.items():
        typer.echo(
            f"{name:<24} {f['requests']:>6} requests  {f['requests_per_second']:>7} /s  {f['tokens_per_second']:>8} tokens/s  "
            f"first token p50 {f['first_token_p50'] * 1000:.0f} ms p99 {f['first_token_p99'] * 1000:.0f} ms  "
            f"failed {f['failed']}  wrong adapter {f['wrong_adapter'] + f['wrong_content']}"
        )
    for name, f in result["traffic"].items():
        if f["kind"] in ("upload", "switch", "unload", "evaluate"):
            typer.echo(
                f"{name:<24} {f['requests']:>6} times  p50 {f['answer_p50']:.3f} s p99 {f['answer_p99']:.3f} s  failed {f['failed']}"
            )
    for message, number in list(result["messages"].items())[:5]:
        typer.echo(f"  {number} x {message}")
    typer.echo(("interrupted, so far " if result["interrupted"] else "") + result["verdict"])


def _compare(first: Path, second: Path, as_json: bool) -> None:
    from loadtest.compare import compared, lines, read

    found = compared(read(first), read(second))
    typer.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
