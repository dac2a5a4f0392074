"""`patchbay keys …`: who may call a service that is started with the same --keys FILE."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from service.keyfile import Key

app = typer.Typer(help="Add, list and revoke the keys of a service; it sees a change at once.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--keys", envvar="PATCHBAY_KEYS", help="The keys file, as given to patchbay serve.")]
Name = Annotated[str, typer.Argument(help="The key's name: what the audit trail calls its user.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    name: Name,
    keys: File,
    role: Annotated[
        Literal["admin", "inference"], typer.Option(help="inference asks for tokens; admin also changes what is served.")
    ] = "inference",
    adapter: Annotated[list[str] | None, typer.Option(help="An adapter it may use; may be repeated. Without it, all.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Requests for tokens in a minute.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Tokens read and written in a minute.")] = None,
    as_json: Json = False,
) -> None:
    """Add a key and print it, once: the file keeps its hash alone."""
    from service.keyfile import add_key

    key, text = add_key(keys, name, role, adapter or (), requests_per_minute, tokens_per_minute)
    if as_json:
        typer.echo(json.dumps(_shown(key) | {"key": text}))
        return
    typer.echo(f"{_line(key)}\nThis is the key; it is shown this once:", err=True)
    typer.echo(text)


@app.command("list")
def list_keys(keys: File, as_json: Json = False) -> None:
    """The keys, without what would let anyone in."""
    from service.keyfile import read_keys

    found = read_keys(keys)
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in found]))
    else:
        typer.echo("\n".join(map(_line, found)) or f"no keys yet; patchbay keys add NAME --keys {keys}")


@app.command()
def revoke(name: Name, keys: File) -> None:
    """Take a key away; a running service refuses it from its next request on."""
    from service.keyfile import revoke_key

    typer.echo(f"revoked {_line(revoke_key(keys, name))}")


def _shown(key: "Key") -> dict[str, object]:
    return key.model_dump(mode="json", exclude={"digest"})


def _line(key: "Key") -> str:
    limits = {"requests": key.requests_per_minute, "tokens": key.tokens_per_minute}
    said = [f"{value} {unit} a minute" for unit, value in limits.items() if value]
    return "  ".join([f"{key.name:<24} pb-{key.id}-…", f"{key.role:<9}", ", ".join(key.adapters or ("all adapters",)), *said])
