"""`patchbay loadtest`."""

import json
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loadtest(
    url: Annotated[str, typer.Option(envvar="PATCHBAY_URL", help="The service.")] = "http://127.0.0.1:8000",
    scenario: Annotated[str, typer.Option(help="base, one or many.")] = "many",
    key: Annotated[str | None, typer.Option(envvar="PATCHBAY_KEY", help="A key, if the service asks for one.")] = None,
    users: Annotated[int | None, typer.Option(min=1, help="How many ask at once.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="How long.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Allow a URL that is not this machine's.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the result here as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a running service under load and check every answer; exit code 1 when a limit is broken."""
    from tqdm import tqdm

    from loadtest.run import LoadTestError, run
    from loadtest.scenario import ScenarioError, load

    if urlsplit(url).hostname not in _LOOPBACK and not remote:
        _fail(f"{url} is not this machine; add --remote if you may put it under load")
    try:
        asked = load(scenario, users=users, seconds=seconds)
        with tqdm(
            total=asked.seconds, unit="s", desc=f"loadtest {scenario}", bar_format="{desc} {bar} {n:.0f}/{total:.0f} s"
        ) as bar:
            result = run(asked, url, lambda at: bar.update(min(at, asked.seconds) - bar.n), key)
    except (ScenarioError, LoadTestError) as error:
        _fail(str(error))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for name, f in {"all": result["total"], **result["models"]}.items():
            typer.echo(
                f"{name:<24} {f['requests']:>6} requests  {f['requests_per_second']:>7} /s  {f['tokens_per_second']:>8} tokens/s  "
                f"first token p50 {f['first_token_p50'] * 1000:.0f} ms p99 {f['first_token_p99'] * 1000:.0f} ms  "
                f"failed {f['failed']}  wrong adapter {f['wrong_adapter']}"
            )
        typer.echo(result["verdict"])
    if not result["passed"]:
        raise typer.Exit(1)


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
