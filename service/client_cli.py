"""`patchbay adapters …`: a client of a running service."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Upload, look at and switch the adapters of a running service.", no_args_is_help=True, add_completion=False
)

Url = Annotated[str, typer.Option(envvar="PATCHBAY_URL", help="The service.")]
Key = Annotated[str | None, typer.Option(envvar="PATCHBAY_KEY", help="A key, if the service asks for one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_URL = "http://127.0.0.1:8000"


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: the names that the service has; none where it does not answer."""
    from adapters.errors import PatchbayError

    try:
        found = _call(context.params.get("url") or _URL, context.params.get("key"), "GET", "/v1/adapters")
    except PatchbayError:
        return []
    return [adapter["name"] for adapter in found["data"] if adapter["name"].startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="The adapter's name.", autocompletion=_names)]


def _call(url: str, key: str | None, method: str, path: str, **kwargs: Any) -> Any:
    from service.client import Client

    return Client(url, key).call(method, path, **kwargs)


def _show(value: Any, as_json: bool, line: str) -> None:
    typer.echo(json.dumps(value) if as_json else line)


def _line(adapter: dict[str, Any]) -> str:
    marks = [word for word in ("default", "pinned", "resident") if adapter[word]]
    live = (adapter["live"] or "nothing live")[:19]
    return f"{adapter['name']:<24} {live:<20} {len(adapter['versions']):>3} version(s)  {' '.join(marks)}".rstrip()


def _path(name: str, rest: str = "") -> str:
    from urllib.parse import quote

    return f"/v1/adapters/{quote(name, safe='')}{rest}"


@app.command("list")
def list_adapters(url: Url = _URL, key: Key = None, as_json: Json = False) -> None:
    """All adapters."""
    found = _call(url, key, "GET", "/v1/adapters")
    _show(found, as_json, "\n".join(_line(a) for a in found["data"]) or "no adapters yet; patchbay adapters push DIR --name NAME")


@app.command()
def show(name: Name, url: Url = _URL, key: Key = None, as_json: Json = False) -> None:
    """One adapter: its versions, newest first, and what happened to it."""
    found = _call(url, key, "GET", _path(name))
    lines = [_line(found)]
    for v in found["versions"]:
        live = "live" if v["version"] == found["live"] else ""
        lines.append(
            f"  {v['version'][:19]}  rank {v['rank']:<4} {v['tensor_bytes']:>12,} bytes  {v['status']:<10} {v['created']}  {live}".rstrip()
        )
    lines += [
        f"  {e['at']}  {e['action']:<9} {(e['from'] or '-')[:19]} -> {(e['to'] or '-')[:19]}  by {e['actor']}"
        for e in found["events"]
    ]
    _show(found, as_json, "\n".join(lines))


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An adapter's folder, or a run folder.")],
    name: Annotated[str, typer.Option(help="The name to serve it under.")],
    live: Annotated[bool, typer.Option("--live", help="Promote it at once.")] = False,
    accept_base: Annotated[bool, typer.Option("--accept-base", help="Overrule the check of the base's name.")] = False,
    url: Url = _URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Upload an adapter. A name's first version goes live by itself."""
    from service.client import Client

    found = Client(url, key).push(folder, name, live=live, accept_base=accept_base)
    probe = found["probe"] or {}
    figures = (
        f", differs from PEFT by {probe['mean_difference']} nats a token" if probe.get("mean_difference") is not None else ""
    )
    state = "live" if found["live"] else "not live: patchbay adapters promote " + f"{name} {found['version'][:19]}"
    for warning in found["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    _show(found, as_json, f"{name}@{found['version'][:19]}  {found['status']}{figures}  {state}")


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Its digest, or how it begins.")],
    gate: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Evaluate it on these rows first, and go on only if it is better.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="With --gate: what decides, such as accuracy.")] = None,
    better_than: Annotated[str, typer.Option(help="With --gate: live (the version that serves now), or a number.")] = "live",
    max_tokens: Annotated[int, typer.Option(min=1, help="With --gate: the longest answer.")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="With --gate: so many rows, drawn at random.")] = None,
    url: Url = _URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Make a version what the name serves."""
    from service.client import Client

    body: dict[str, Any] = {"version": version}
    if gate is not None:
        from service.client_gate import require

        body |= require(Client(url, key), name, version, gate, metric, better_than, max_tokens, limit)
    found = _call(url, key, "PUT", _path(name, "/live"), json=body)
    _show(found, as_json, _line(found))


@app.command()
def rollback(name: Name, url: Url = _URL, key: Key = None, as_json: Json = False) -> None:
    """Go back to what the name served before."""
    from adapters.errors import Conflict

    previous = _call(url, key, "GET", _path(name))["previous"]
    if previous is None:
        raise Conflict(f"{name!r} has no version to go back to; promote one of its versions by its digest")
    found = _call(url, key, "PUT", _path(name, "/live"), json={"version": previous})
    _show(found, as_json, _line(found))


@app.command()
def delete(
    name: Name,
    version: Annotated[str | None, typer.Option(help="Only this version.")] = None,
    url: Url = _URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Delete an adapter, or one of its versions."""
    _call(url, key, "DELETE", _path(name, f"/versions/{version}" if version else ""))
    done = {"name": name, "version": version, "deleted": True}
    _show(done, as_json, f"deleted {name}" + (f"@{version}" if version else ""))


@app.command()
def default(
    name: Annotated[str | None, typer.Argument(help="The adapter; without it the route is shown.", autocompletion=_names)] = None,
    base: Annotated[bool, typer.Option("--base", help="Route to the base.")] = False,
    url: Url = _URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Show or set what the model id `default` means."""
    if name is None and not base:
        found = _call(url, key, "GET", "/v1/default")
    else:
        found = _call(url, key, "PUT", "/v1/default", json={"adapter": None if base else name})
    _show(found, as_json, f"default -> {found['adapter'] or 'the base'}")
