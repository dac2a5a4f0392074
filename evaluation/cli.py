"""`patchbay evaluate`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    data: Annotated[Path, typer.Option(help="Data rows: .jsonl, .csv or .parquet.")],
    base: Annotated[str, typer.Option(help="A folder, a hub id, or 'embedded'.")] = "embedded",
    adapter: Annotated[Path | None, typer.Option(help="An adapter's folder, or a run folder; scored beside the base.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="perplexity, accuracy, exact_match, field_f1, bleu, bleu_lower, chrf, rouge_l; may be repeated. Without it, those that fit the rows."
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="Score this many rows, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw and of the intervals.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON, with every sample.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a base, or an adapter beside its base, on identical rows."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import asyncio

    from tqdm import tqdm

    from adapters.archive import adapter_files
    from adapters.base import describe_base, resolve_base
    from evaluation.evaluate import evaluate as run
    from evaluation.evaluate import plan
    from evaluation.rows import load_rows

    asked = plan(load_rows(data), metric or (), max_tokens=max_tokens, limit=limit, seed=seed)
    described = describe_base(resolve_base(base), base)
    folder = adapter_files(adapter)[0].parent if adapter else None
    from evaluation.local import LocalBase

    local = LocalBase(described, folder)
    model = local.model(adapter.name if adapter else None)
    with tqdm(total=asked.calls(2 if adapter else 1), unit="item", desc="evaluate") as bar:
        report = asyncio.run(
            run(model, local.model(None) if adapter else None, asked, on_progress=lambda done, _: bar.update(done - bar.n))
        )
    body = report.to_json()
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(body | {"samples": report.samples}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(body) if as_json else _table(body))


def _table(body: dict[str, Any]) -> str:
    lines = [f"{body['model']} on {body['n']} rows" + (f", beside {body['baseline']}" if body["baseline"] else "")]
    for name, s in body["scores"].items():
        line = f"  {name:<12} {_shown(s['value'])}  [{_shown(s['low'])}, {_shown(s['high'])}]"
        if s["difference"] is not None:
            line += f"  base {_shown(s['baseline'])}  difference {_shown(s['difference'])}  p {_shown(s['p'])}"
        lines.append(line)
    lines += [f"  {name.replace('_', ' ')}: {count}" for name, count in body["failures"].items() if count]
    return "\n".join(lines)


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"
