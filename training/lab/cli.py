"""`patchbay lab`."""

from pathlib import Path
from typing import Annotated

import typer


def lab(
    out: Annotated[Path, typer.Option(help="Folder of the week; the same command goes on with one that was interrupted.")] = Path(
        "lab"
    ),
    lang: Annotated[str, typer.Option(help="Language of the notebook: en or pt.")] = "en",
    steps: Annotated[
        int, typer.Option(min=10, help="Optimizer steps of each task's training; comparisons of methods take a third.")
    ] = 160,
    project: Annotated[
        Path | None, typer.Option(help="What is to be told of the mini-project (YAML); without it, what the sample task is.")
    ] = None,
) -> None:
    """Run the whole week of experiments on the embedded base and sample data, and write the notebook.

    Every step is a command of its own, shown as it runs; what is done is not done again.
    """
    from training.lab.run import lab as run

    for path in run(out, lang, typer.echo, count=steps, project=project):
        typer.echo(str(path))
