"""The `patchbay` command: one table of commands, each part imported only when its command is asked for."""

import importlib
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from adapters.errors import PatchbayError

# name on the command line -> module:function or module:Typer app. The modules are light: what is
# heavy (torch, vllm, locust) they import when the command runs.
COMMANDS = {
    "serve": "service.cli:serve",
    "keys": "service.keys_cli:app",
    "adapters": "service.client_cli:app",
    "status": "service.status_cli:status",
    "train": "training.cli:train",
    "merge": "training.cli:merge",
    "memory": "training.cli:memory",
    "quantize": "training.cli:quantize",
    "tradeoff": "training.cli:tradeoff",
    "sweep": "training.sweep.cli:sweep",
    "evaluate": "evaluation.cli:evaluate",
    "compare": "evaluation.compare.cli:compare",
    "data": "evaluation.data.cli:app",
    "loadtest": "loadtest.cli:loadtest",
    "report": "training.cli:report",
    "lab": "training.lab.cli:lab",
    "samples": "training.cli:samples",
    "pretrain": "training.cli:pretrain",
}


class LazyGroup(TyperGroup):
    """A group that knows its commands' names and loads a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table: the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            single = typer.Typer(add_completion=False)
            single.command(name=cmd_name)(found)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("patchbay"))
        raise typer.Exit


@app.callback()
def patchbay(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Train LoRA adapters, serve many of them on one base, and measure what each is worth."""


def main() -> None:
    """Runs the command line; an error of ours becomes one line on stderr and exit code 2, an interrupt code 130."""
    try:
        app(prog_name="patchbay")
    except PatchbayError as error:
        _say_error(error.message)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise SystemExit(130) from None


def _say_error(message: str) -> None:
    """Red on a terminal that shows colours; rich knows which does, NO_COLOR among it."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(f"error: {message}", style="red"))


if __name__ == "__main__":
    main()
