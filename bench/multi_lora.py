"""Multi-LoRA: a server without LoRA, vLLM's own, and ours, interleaved in one run.

    python -m bench.multi_lora [--model embedded|large|8b|PATH] [--rounds 5] [--no-stock] [--out FILE.json] [--plot FILE.svg]

Every round does each job once on each engine, in an order drawn anew; a ratio is taken within a round, against the
engine without LoRA, and the median of the rounds is printed. One engine computes at a time. Adapters have ranks 8 to 64, and each
round begins with another of them; more of them than streams are not mixed.

With a GPU the engines run there, all of them in its memory (about 25 GB each with --model 8b); the products of adapters are then
vLLM's own, and what Patchbay adds to them is nothing: --no-stock leaves the engine without it out.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from adapters.base import resolve_base
from bench.machine import machine
from bench.models import adapters, has_weights, large, shape_8b
from service.engine.precision import serving_dtype
from service.settings import engine_environment

MIXES = (0, 1, 4, 8, 16)
WITHOUT, STOCK, OURS = "no LoRA", "vLLM's", "ours"


@dataclass(frozen=True)
class Job:
    """One kind of work: `streams` requests of `prompt` tokens, each generating `tokens`."""

    name: str
    streams: int
    prompt: int
    tokens: int


def jobs(fast: bool) -> list[Job]:
    """Prefill (one token generated) and decode; a large model on CPU gets shorter ones, for rounds of a few minutes."""
    length, tokens = (256, 64) if fast else (32, 12)
    return [Job("prefill", 16, length, 1)] + [Job(f"decode {n}", n, 8, tokens) for n in (1, 8, 16, 32)]


class Engine:
    """A worker process of one kind."""

    def __init__(self, kind: str, model: Path, dtype: str, folders: list[Path]) -> None:
        has_gpu = torch.cuda.is_available()
        environment = {**os.environ, **engine_environment(has_gpu), "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
        if kind == STOCK:
            environment["VLLM_PLUGINS"] = ""  # no plugin at all: vLLM as it comes
        given = {"model": str(model), "adapters": [str(folder) for folder in folders], "lora": kind != WITHOUT}
        given["engine"] = _options(model, dtype, has_gpu)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.engine_worker", json.dumps(given)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"an engine ended with code {self.process.wait()}; what it printed is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rate(self, job: Job, by_stream: list[int], seed: int) -> float:
        """Tokens a second; `by_stream` are numbers of adapters, none for the base only."""
        if self.process.stdin is None:
            raise SystemExit("the engine takes no jobs")
        asked = {"adapters": by_stream, "streams": job.streams, "prompt": job.prompt, "tokens": job.tokens, "seed": seed}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        return float(answer["tokens"]) / float(answer["seconds"])

    def close(self) -> None:
        """Ends the worker by closing its input."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(60)


def _options(model: Path, dtype: str, has_gpu: bool) -> dict[str, Any]:
    """vLLM's own, by name: several engines share the memory there is, and on CPU a step takes as many rows as in its server.

    Built by itself, as here, vLLM 0.32's engine takes twice as many.
    """
    room = {"kv_cache_memory_bytes": 2 << 30, "gpu_memory_utilization": 0.3}
    on_cpu = {"kv_cache_memory_bytes": 512 << 20, "max_num_batched_tokens": 2048}
    return {"dtype": dtype, "load_format": "auto" if has_weights(model) else "dummy", **(room if has_gpu else on_cpu)}


def measure(
    model: Path, dtype: str, folders: list[Path], stock: bool, rounds: int, work: list[Job]
) -> dict[str, dict[str, list[float]]]:
    """Rates by job and by "kind, mix", one for each round."""
    kinds = [WITHOUT, OURS] + ([STOCK] if stock else [])
    engines: dict[str, Engine] = {}
    try:
        for kind in tqdm(kinds, desc="engines", unit="engine"):
            engines[kind] = Engine(kind, model, dtype, folders)
        cells = {job.name: _cells(job, kinds) for job in work}
        rates: dict[str, dict[str, list[float]]] = {
            name: {f"{kind}, {mix}": [] for kind, mix in mixes} for name, mixes in cells.items()
        }
        order = random.Random(0)
        plan = [(turn, job) for turn in range(-1, rounds) for job in work]  # turn -1 warms up and is not counted
        for turn, job in tqdm(plan, desc="rounds", unit="job"):
            for kind, mix in order.sample(cells[job.name], len(cells[job.name])):
                rate = engines[kind].rate(job, _by_stream(job, mix, turn, len(folders)), order.randrange(1 << 30))
                if turn >= 0:
                    rates[job.name][f"{kind}, {mix}"].append(rate)
        return rates
    finally:
        for engine in engines.values():
            engine.close()


def _cells(job: Job, kinds: list[str]) -> list[tuple[str, int]]:
    return [(WITHOUT, 0)] + [(kind, mix) for kind in kinds if kind != WITHOUT for mix in MIXES if mix <= job.streams]


def _by_stream(job: Job, mix: int, first: int, count: int) -> list[int]:
    """Which of `count` adapters each stream asks for: `mix` of them in turn, from the `first` on."""
    return [(first + number % mix) % count for number in range(job.streams)] if mix else []


def _ratio(row: dict[str, list[float]], cell: str) -> float:
    """The median of a cell's ratios to the engine without LoRA, each within a round."""
    return statistics.median(a / b for a, b in zip(row[cell], row[f"{WITHOUT}, 0"], strict=True))


def _columns(rates: dict[str, dict[str, list[float]]]) -> list[str]:
    """Every cell of any work but the engine without LoRA."""
    return [cell for cell in max(rates.values(), key=len) if cell != f"{WITHOUT}, 0"]


def table(rates: dict[str, dict[str, list[float]]]) -> list[str]:
    """Markdown: the median rate without LoRA, and for every other cell the median of its ratios to it within a round."""
    cells = _columns(rates)
    lines = ["| work | no LoRA, tok/s | " + " | ".join(cells) + " |", "|---|---|" + "---|" * len(cells)]
    for name, row in rates.items():
        plain = row[f"{WITHOUT}, 0"]
        ratios = [f"{_ratio(row, cell):.2f}" if cell in row else "-" for cell in cells]
        lines.append(f"| {name} | {statistics.median(plain):.0f} | " + " | ".join(ratios) + " |")
    return lines


def plot(rates: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Bars of the same ratios, one group a job."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = _columns(rates)
    figure, axes = pyplot.subplots(figsize=(10, 4), layout="constrained")
    for number, cell in enumerate(cells):
        heights = [_ratio(row, cell) if cell in row else 0.0 for row in rates.values()]
        axes.bar([i + number * 0.8 / len(cells) for i in range(len(rates))], heights, 0.8 / len(cells), label=cell)
    axes.set_xticks([i + 0.4 for i in range(len(rates))], list(rates))
    axes.set_ylabel("throughput / engine without LoRA")
    axes.axhline(1.0, color="gray", linewidth=0.8)
    figure.legend(title="engine, adapters mixed", fontsize=7, loc="outside right upper")
    figure.savefig(path)


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="embedded",
        help="embedded, large (0.4B, random weights), 8b (8B, random weights; for a GPU) or a folder",
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: what `patchbay serve` takes on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-stock", action="store_true", help="leave out vLLM's own multi-LoRA, which takes most of the time")
    parser.add_argument("--work", action="append", help="only these jobs, by name")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "patchbay-bench", help="for the models made")
    parser.add_argument("--out", type=Path, help="every rate, as JSON")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.model == "8b" and not torch.cuda.is_available():
        raise SystemExit(
            "--model 8b takes 16 GB for each engine's weights, and torch sees no GPU here; --model large is for a CPU"
        )
    made = {"large": large, "8b": shape_8b}.get(args.model)
    model = made(args.folder) if made else resolve_base(args.model)
    fast = args.model == "embedded" or torch.cuda.is_available()
    work = [job for job in jobs(fast) if not args.work or job.name in args.work]
    dtype = args.dtype or serving_dtype()
    rates = measure(model, dtype, adapters(model, args.folder, max(MIXES)), not args.no_stock, args.rounds, work)
    print(
        f"{model.name} in {dtype}, {args.rounds} rounds; columns: engine, adapters mixed; ratios to the engine without LoRA\n{machine()}\n"
    )
    print("\n".join(table(rates)))
    if args.out:
        args.out.write_text(
            json.dumps({"model": model.name, "dtype": dtype, "machine": machine(), "rates": rates}), encoding="utf-8"
        )
    if args.plot:
        plot(rates, args.plot)


if __name__ == "__main__":
    main()
