"""`patchbay compare`."""

import asyncio
import json
import os
import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.errors import BadInput
from evaluation.json_file import write_json
from evaluation.output import check_file
from evaluation.quiet import be_quiet


def compare(
    data: Annotated[Path, typer.Option(help="A folder with train and test rows; retrieval sees the training rows alone.")],
    base: Annotated[
        str, typer.Option(help="A folder, a hub id, or 'embedded'; with --url, whose tokenizer counts.")
    ] = "embedded",
    adapter: Annotated[
        Path | None, typer.Option(help="A run folder, or an adapter's; with --url the service is asked for the folder's name.")
    ] = None,
    full: Annotated[Path | None, typer.Option(help="A run folder of full fine-tuning.")] = None,
    k: Annotated[int, typer.Option("--examples", "-k", min=1, help="Examples in a prompt that has any.")] = 4,
    metric: Annotated[list[str] | None, typer.Option(help="As in patchbay evaluate; the first one decides.")] = None,
    split: Annotated[str, typer.Option(help="The rows that are asked: test or valid.")] = "test",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask this many rows, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw, the fixed examples and the intervals.")] = 1,
    price_hour: Annotated[float | None, typer.Option(min=0, help="Price of an hour of the machine.")] = None,
    price_prompt: Annotated[float | None, typer.Option(min=0, help="Price of a million prompt tokens.")] = None,
    price_completion: Annotated[float | None, typer.Option(min=0, help="Price of a million completion tokens.")] = None,
    currency: Annotated[str, typer.Option(help="What the prices are in.")] = "EUR",
    url: Annotated[str | None, typer.Option(help="Ask a running service instead of loading the models here.")] = None,
    key: Annotated[str | None, typer.Option(envvar="PATCHBAY_KEY", help="A key, if the service asks for one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the record here as JSON, with every answer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, without the answers.")] = False,
) -> None:
    """Zero-shot, few-shot, retrieval, LoRA, LoRA with retrieval and full fine-tuning on identical items, and when to use which."""
    if split not in ("test", "valid"):
        raise BadInput(f"--split is {split!r}; give test or valid", param="split")
    if out:
        check_file(out)
    be_quiet()
    from adapters.base import describe_base, resolve_base
    from evaluation.compare.cost import Prices
    from evaluation.compare.run import Asked, prepare
    from evaluation.compare.show import show
    from evaluation.digest import file_digest
    from evaluation.rows import find_split, load_rows

    files = find_split(data, split), find_split(data, "train")
    described = describe_base(resolve_base(base), base)
    asked = Asked(
        load_rows(files[0]), load_rows(files[1], need="training"), tuple(metric or ()), k, max_tokens, limit, seed,
        described.max_length, _counter(described),
    )  # fmt: skip
    prepare(asked)  # what cannot be compared is said before a model is loaded
    paid = (price_hour, price_prompt, price_completion)
    prices = Prices(currency, *(price or 0.0 for price in paid)) if any(price is not None for price in paid) else None
    record = asyncio.run(_run(asked, described, adapter, full, prices, url, key))
    record |= {
        "base": described.id,
        "asked_of": url or "this machine",
        "data": {"items": files[0].name, "n": record.pop("n"), "train_rows": record.pop("train_rows")}
        | {"digests": {path.name: file_digest(path) for path in files}},
        "machine": {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()},
    }
    if out:
        write_json(out, record)
    for approach in record["approaches"]:
        del approach["answers"]
    typer.echo(json.dumps(record) if as_json else show(record))


def _counter(base: Any) -> Any:
    """How many tokens a question has, by the base's tokenizer."""
    from transformers import AutoTokenizer

    from evaluation.tokens import encode_prompt

    tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    tokenizer.model_max_length = 1 << 30  # prompts that are too long are looked for here
    return lambda question: len(encode_prompt(question, tokenizer))


async def _run(
    asked: Any, base: Any, adapter: Path | None, full: Path | None, prices: Any, url: str | None, key: str | None
) -> dict[str, Any]:
    from tqdm import tqdm

    from evaluation.compare.approaches import possible
    from evaluation.compare.contestants import local, remote
    from evaluation.compare.remote import client
    from evaluation.compare.run import compare as run

    async with client(url or "http://127.0.0.1", key) as http:
        contestants = remote(base, adapter, full, http) if url else local(base, adapter, full)
        n = min(asked.limit or len(asked.items), len(asked.items))
        with tqdm(total=n * len(possible(contestants)), unit="answer", desc="compare") as bar:
            return await run(asked, contestants, prices, lambda: bar.update() and None)
