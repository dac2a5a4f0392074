"""`patchbay data check` and `patchbay data split`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Look at a data set before training on it, and split it.")

_BELOW = 3


def _bar(items: Iterable[Any], what: str) -> Iterable[Any]:
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(items, desc=what, unit_scale=True, leave=False, mininterval=0.5)
    return bar


@app.command()
def check(
    data: Annotated[list[Path], typer.Argument(help="A data file, a folder with train, valid or test, or several files.")],
    base: Annotated[
        str, typer.Option(help="Whose tokenizer counts and whose limit cuts: a folder, a hub id, or 'embedded'.")
    ] = "embedded",
    html: Annotated[Path | None, typer.Option(help="Write the report here too, as one HTML page with plots.")] = None,
    min_grade: Annotated[str | None, typer.Option(help="A to D: exit with 3 when the grade is below it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, with every problem.")] = False,
) -> None:
    """Size, problems by line, token lengths, duplicates, labels, overlap of the splits, domain words, and a grade.

    A row that cannot be used is reported, not an error: the exit code is 0 unless --min-grade asks for more.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from adapters.base import describe_base, resolve_base
    from adapters.errors import BadInput
    from evaluation.data.check import check as run
    from evaluation.data.grade import GRADES, at_least
    from evaluation.data.show import show
    from evaluation.output import check_file, write_text

    grades = [name for name, _ in GRADES]
    if min_grade is not None and min_grade not in grades:
        raise BadInput(f"--min-grade is {min_grade!r}; give one of {', '.join(grades)}", param="min_grade")
    if html:
        check_file(html, "html")
    described = describe_base(resolve_base(base), base)

    def load_tokenizer() -> Any:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(described.path, local_files_only=True)
        # Rows longer than the model are what is looked for here: the tokenizer need not warn of them.
        tokenizer.model_max_length = 1 << 30
        return tokenizer

    report = run(data, load_tokenizer, described.id, described.max_length, _bar)
    if html:
        from evaluation.data.page import page

        write_text(html, page(report), "html")
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else show(report))
    if min_grade is not None and not at_least(report["grade"]["grade"], min_grade):
        raise typer.Exit(_BELOW)


@app.command()
def split(
    file: Annotated[Path, typer.Argument(help="A data file: .jsonl, .csv or .parquet.")],
    out: Annotated[Path, typer.Option(help="Folder to write train, valid and test into; must not hold anything.")],
    valid: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the rows for validation.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the rows for the test.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
    group: Annotated[
        str, typer.Option(help="What stays in one split: near (default) or exact duplicates. Rows that ask the same always do.")
    ] = "near",
    stratify: Annotated[bool, typer.Option(help="Keep each label's share in every split, where the answers are labels.")] = True,
    format: Annotated[str | None, typer.Option(help="jsonl, csv or parquet; without it that of FILE.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Split a file by seed, so that duplicates never straddle and labels keep their shares."""
    from evaluation.data.split import Asked
    from evaluation.data.split import split as run

    record = run(file, out, Asked(valid, test, seed, group, stratify, format), _bar)
    if as_json:
        typer.echo(json.dumps(record, ensure_ascii=False))
        return
    for made in record["splits"].values():
        typer.echo(
            f"{out / made['file']}: {made['rows']:,} rows ({100 * made['share']:.1f} %, asked {100 * made['asked']:.1f} %)"
        )
    typer.echo(f"{record['groups']:,} groups, the largest of {record['largest_group']:,} rows, none in two splits")
