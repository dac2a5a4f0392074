"""The commands that make things: train, quantize, report, samples, pretrain."""

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.errors import BadInput
from evaluation.quiet import be_quiet

Out = Annotated[Path, typer.Option(help="Folder to write; must not hold anything else.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON.")]
Seed = Annotated[int, typer.Option(min=0)]


def train(
    out: Out,
    data: Annotated[str | None, typer.Option(help="A data file, or a folder with train.* and perhaps valid.*.")] = None,
    base: Annotated[str | None, typer.Option(help="A folder, a hub id, or 'embedded' (the default).")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with the same settings; flags win over it.")] = None,
    method: Annotated[str | None, typer.Option(help="lora, rslora, dora, qlora-4bit, qlora-8bit or full.")] = None,
    valid: Annotated[str | None, typer.Option(help="Validation file; otherwise rows are held out.")] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank r (16).")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="LoRA alpha (2 r); the scale is alpha/r, or alpha/sqrt(r) for rslora.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="LoRA dropout (0).")] = None,
    target_modules: Annotated[str | None, typer.Option(help="Comma-separated layer names, or all-linear (the default).")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate (1e-3 for adapters, 8e-4 for full).")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data (3).")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimizer steps, instead of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step (16).")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of the steps spent warming up (0.05).")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine (default), linear or constant.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="AdamW's weight decay (0).")] = None,
    evals: Annotated[int | None, typer.Option(help="How often to score the validation rows (5).")] = None,
    max_length: Annotated[int | None, typer.Option(help="Rows longer than this many tokens are left out.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto (default), float32 or bfloat16: the dtype of the products.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random (1).")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Several seeds, such as 1,2,3: a run each in OUT/seed-N, and their mean and spread.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a LoRA adapter, or all weights, on your rows. An interrupted run goes on when started again."""
    flags: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("out", "config", "seeds", "as_json")}
    be_quiet()
    from training.config import load_config
    from training.train import train as run

    if seeds is not None:
        _train_seeds(load_config(config, flags), seeds, seed, out, as_json)
        return
    record = run(load_config(config, flags), out)
    if as_json:
        typer.echo(json.dumps(record))
        return
    trainable, total = record["parameters"]["trainable"], record["parameters"]["total"]
    typer.echo(
        f"{out / ('adapter' if record['serve_as'] == 'adapter' else 'model')}\n  {record['steps']} steps in {record['seconds']:.0f} s, validation loss {record['loss']['valid_best']:.3f} "
        f"(step {record['best_step']}), {trainable:,} of {total:,} parameters trained, "
        f"peak memory {record['peak_memory_bytes']['resident'] / 2**20:.0f} MiB"
    )
    if (facts := record.get("quantization")) is not None:
        typer.echo(
            f"  {facts['modules']} layers in {facts['kind']}, {facts['weight_bytes'] / 2**20:.1f} MiB instead of "
            f"{facts['bfloat16_bytes'] / 2**20:.1f} in 16 bits; the adapter is served on the original base, "
            f"{facts['probe_difference']['mean']:.3f} nats a token from here"
        )
    if "merge_difference" in record:
        typer.echo(
            f"  DoRA is not served as an adapter: patchbay serve --base {out / 'model'} serves it merged into the base, "
            f"{record['merge_difference']['mean']:.4f} nats a token from the adapter"
        )


def _train_seeds(config: Any, seeds: str, seed: int | None, out: Path, as_json: bool) -> None:
    from training.seeds import train_seeds

    if seed is not None or not re.fullmatch(r"\d{1,9}(,\d{1,9})*", seeds):
        raise BadInput(f"--seeds is {seeds!r}{' beside --seed' if seed is not None else ''}; give numbers, such as --seeds 1,2,3")
    summary = train_seeds(config, [int(one) for one in seeds.split(",")], out)
    if as_json:
        typer.echo(json.dumps(summary))
        return
    loss = summary["figures"]["valid_best"]
    spread = "" if loss["deviation"] is None else f", standard deviation {loss['deviation']:.4f}"
    listed = ", ".join(f"{value:.4f}" for value in loss["values"])
    typer.echo(f"{out}\n  validation loss {loss['mean']:.4f}{spread} over {len(summary['seeds'])} seeds ({listed})")


def merge(
    adapter: Annotated[Path, typer.Option(help="An adapter's folder, or a run folder.")],
    out: Out,
    base: Annotated[str, typer.Option(help="The base it was trained on: a folder, a hub id, or 'embedded'.")] = "embedded",
    as_json: Json = False,
) -> None:
    """Write a base with an adapter merged into its weights; measures what the merge loses."""
    be_quiet()
    from training.merge import merge as run

    note = run(base, adapter, out)
    if as_json:
        typer.echo(json.dumps(note))
        return
    lost, size = note["merge_difference"], note["weight_bytes"]["after"]
    typer.echo(
        f"{out}\n  {size / 2**20:.1f} MiB in {note['seconds']:.0f} s; {lost['mean']:.4f} nats a token from the adapter beside its base "
        f"(largest {lost['largest']:.3f}), where the adapter itself makes {lost['effect']:.3f}"
    )
    if "warning" in note:
        typer.echo(f"warning: {note['warning']}", err=True)


def memory(
    out: Annotated[Path, typer.Option(help="JSON file for the record.")],
    base: Annotated[str, typer.Option(help="A folder, a hub id, or 'embedded'.")] = "embedded",
    methods: Annotated[str, typer.Option(help="Comma-separated.")] = "full,lora,qlora-4bit,qlora-8bit",
    rank: Annotated[int, typer.Option(min=1, max=1024, help="LoRA rank r.")] = 16,
    rows: Annotated[int, typer.Option(min=1, max=4096, help="Rows a step.")] = 8,
    length: Annotated[int, typer.Option(min=8, help="Tokens a row; the second half are labels.")] = 256,
    as_json: Json = False,
) -> None:
    """Measure what a training step takes by part, each method in a fresh process, beside the formula; larger models computed."""
    be_quiet()
    from training.memory.compare import compare
    from training.memory.formula import Batch
    from training.memory.show import show

    record = compare(base, methods.split(","), rank, Batch(rows, length, rows * (length // 2)), out)
    typer.echo(json.dumps(record) if as_json else show(record))


def quantize(
    out: Out,
    base: Annotated[str, typer.Option(help="A folder, a hub id, or 'embedded'.")] = "embedded",
    method: Annotated[
        str,
        typer.Option(
            help="Served by vLLM: gptq (4-bit weights, 16-bit activations), w8a8 (8-bit both). Transformers alone: int8, nf4."
        ),
    ] = "gptq",
    calibration: Annotated[
        list[Path] | None, typer.Option(help="Data rows to fit the layers to; with --adapter, one for each of them.")
    ] = None,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(help="A run folder, or an adapter's: fit the layers to what they see under it. May be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a quantized copy of a base: gptq and w8a8 for the service, with adapters on it; int8 and nf4 (bitsandbytes) for transformers."""
    be_quiet()
    from training.quantize import quantize as run

    # The libraries that do the work log to stdout, which is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        note = run(base, out, method, calibration or (), adapter or ())
    if as_json:
        typer.echo(json.dumps(note))
        return
    before, after = note["weight_bytes"]["before"], note["weight_bytes"]["after"]
    typer.echo(f"{out}\n  {before / 2**20:.1f} MiB -> {after / 2**20:.1f} MiB in {note['seconds']:.0f} s")


def tradeoff(
    adapter: Annotated[Path, typer.Option(help="A run folder, or an adapter's: it is on every base when quality is taken.")],
    data: Annotated[Path, typer.Option(help="Rows to score, such as the task's test split.")],
    out: Annotated[Path, typer.Option(help="Folder for the quantized bases and the record; bases that are there are used.")],
    base: Annotated[str, typer.Option(help="A folder, a hub id, or 'embedded'.")] = "embedded",
    methods: Annotated[str, typer.Option(help="Comma-separated, of patchbay quantize.")] = "gptq,w8a8,int8,nf4",
    metric: Annotated[
        list[str] | None,
        typer.Option(help="As patchbay evaluate has them; may be repeated. Without it, those that fit the rows."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score this many rows, drawn by the seed.")] = 100,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Quantized bases against the original: speed, memory and quality with the adapter on, each on the engine that would serve it."""
    be_quiet()
    from training.tradeoff.asked import Asked
    from training.tradeoff.run import tradeoff as run
    from training.tradeoff.show import show

    with contextlib.redirect_stdout(sys.stderr):
        record = run(base, adapter, methods.split(","), Asked(data, tuple(metric or ()), limit, seed=seed), out)
    typer.echo(json.dumps(record) if as_json else show(record))


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs, sweeps and bases, JSON results, histories, a project file (YAML); or a folder that holds such."
        ),
    ],
    lang: Annotated[str, typer.Option(help="en or pt.")] = "en",
    out: Annotated[
        Path | None,
        typer.Option(help="Markdown file; the page is written beside it as .html. Without it the Markdown is printed."),
    ] = None,
) -> None:
    """Render the notebook of a week of experiments from records alone; a cell without a record names the command that fills it."""
    from training.notebook.language import Language
    from training.notebook.records import read_records
    from training.notebook.render import markdown, sections, write

    language = Language(lang)
    found = sections(read_records(runs), language)
    if out is None:
        typer.echo(markdown(found, language))
        return
    for path in write(found, language, out):
        typer.echo(str(path))


def samples(out: Annotated[Path, typer.Option(help="Folder to write the three tasks into.")], seed: Seed = 7) -> None:
    """Write the sample tasks: route (classification), extract (JSON), describe (sentences)."""
    from training.samples import write_samples

    for task, counts in write_samples(out, seed).items():
        typer.echo(f"{out / task}: " + ", ".join(f"{n} {split}" for split, n in counts.items()))


def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and the finished base.")],
    tokens: Annotated[int, typer.Option(min=1_000, help="Tokens to read.")] = 14_000_000,
    seed: Seed = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
) -> None:
    """Train the embedded base from nothing, by the committed recipe."""
    be_quiet()
    from training.pretrain.run import pretrain as run

    typer.echo(str(run(out, tokens=tokens, seed=seed, resume=resume)))
