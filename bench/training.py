"""Training speed: `patchbay train`'s loop beside TRL's SFTTrainer as it comes, on the same rows in turns.

    python -m bench.training [--base embedded] [--rows 320] [--batch 16] [--rounds 3] [--method lora|full] [--bf16-steps 3] [--out FILE.json]

Both train the same base on the same rows for one pass, in steps of the same rows, with the same LoRA, learning rate, schedule and
seed, from new; everything else of TRL is its default, but for two things that are to its advantage: products in float32 where that
is the faster dtype here (its default is bfloat16 everywhere; `--bf16-steps` takes so many steps with that default, once), and no
saving. A round has both, in an order drawn anew, and the ratio of tokens a second is taken within it, over the seconds from the
first step's begin to the last one's end. Tokens are those of the rows, never padding. The loss is that of the same held-out rows,
by the same function, after training.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from tqdm import tqdm
from transformers import TrainerCallback

from bench.machine import machine
from evaluation.quiet import be_quiet
from evaluation.rows import Row, load_split
from training.config import TrainConfig
from training.data import Collator, Example
from training.loop import Curves, build_trainer, label_loss
from training.model import add_adapter, load_model
from training.precision import compute_dtype
from training.samples import TASKS, write_samples
from training.train import Prepared, prepare

OURS, TRL, TRL_BF16 = "ours", "TRL", "TRL, bfloat16"


class Clock(TrainerCallback):
    """Seconds from the first step's begin to the last one's end."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts at the first."""
        self.began = self.began or time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Until the last."""
        self.ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Between the two."""
        return self.ended - self.began


def _mixed(folder: Path, rows: int) -> Path:
    """Rows of the three sample tasks in one folder, so that lengths differ as those of real data do."""
    write_samples(folder / "samples")
    drawn = random.Random(1)
    for split, count in (("train", rows), ("valid", 48)):
        # Training rows alone have completions in every task, so both splits are of them.
        lines = [line for task in TASKS for line in (folder / "samples" / task / "train.jsonl").read_text().splitlines()]
        chosen = drawn.sample(lines, count)
        (folder / f"{split}.jsonl").write_text("\n".join(chosen) + "\n")
    return folder


def _ours(config: TrainConfig, ready: Prepared, folder: Path) -> tuple[float, Any]:
    model = load_model(ready.base, config)
    if config.method != "full":
        model = add_adapter(model, config, ready.base)
    curves = Curves(folder / "curves.jsonl")
    trainer = build_trainer(config, model, folder, ready.train, ready.valid, ready.tokenizer.pad_token_id, curves)
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds, model


def _trl(config: TrainConfig, ready: Prepared, rows: list[Row], folder: Path, bf16: bool) -> tuple[float, Any]:
    from trl import SFTConfig, SFTTrainer

    steps = config.max_steps or 1
    arguments = SFTConfig(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=config.batch_size, learning_rate=config.resolved_lr,
        lr_scheduler_type=config.schedule, warmup_steps=round(config.warmup * steps), seed=config.seed, bf16=bf16,
        use_cpu=not torch.cuda.is_available(), save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    lora = LoraConfig(r=config.rank, lora_alpha=config.resolved_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    data = Dataset.from_list([{"prompt": row.prompt, "completion": row.completion} for row in rows])
    trainer = SFTTrainer(
        model=load_model(ready.base, config), args=arguments, train_dataset=data, processing_class=ready.tokenizer,
        peft_config=None if config.method == "full" else lora,
    )  # fmt: skip
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds, trainer.model


@torch.no_grad()
def _loss(model: Any, examples: list[Example], pad_id: int) -> float:
    model.eval()
    batch = {name: tensor.to(model.device) for name, tensor in Collator(pad_id)(examples).items()}
    return round(float(label_loss(model, batch)), 4)


def main() -> None:
    """Runs the rounds and prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=("lora", "full"), default="lora")
    parser.add_argument("--bf16-steps", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory() as name:
        found = measure(args, Path(name))
    print(f"{machine()}\n{found['rows']} rows, {found['tokens']} tokens, steps of {args.batch} rows, {args.method}")
    for kind, seen in found["kinds"].items():
        print(
            f"{kind:<16}{statistics.median(seen['tokens_per_second']):>10.0f} tokens/s   loss {statistics.median(seen['loss']):.4f}"
        )
    ratios = ", ".join(f"{ratio:.2f}" for ratio in found["ratios"])
    print(f"{OURS} / {TRL}: {statistics.median(found['ratios']):.2f} (rounds: {ratios})")
    if args.out:
        args.out.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n", encoding="utf-8")


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Tokens a second and losses by kind, one for each round, and the rounds' ratios."""
    data = _mixed(folder, args.rows)
    steps = args.rows // args.batch
    config = TrainConfig(base=args.base, data=str(data), method=args.method, max_steps=steps, batch_size=args.batch, evals=1)
    ready, rows = prepare(config), load_split(data, "train", need="training")
    tokens = sum(example["length"] for example in ready.train)
    kinds: dict[str, dict[str, list[float]]] = {kind: {"tokens_per_second": [], "loss": []} for kind in (OURS, TRL)}
    order = random.Random(0)
    is_bf16 = compute_dtype("auto") == torch.bfloat16
    for turn in tqdm(range(args.rounds), desc="rounds", unit="round"):
        for kind in order.sample((OURS, TRL), 2):
            place = folder / f"{kind}-{turn}"
            seconds, model = _ours(config, ready, place) if kind == OURS else _trl(config, ready, rows, place, is_bf16)
            kinds[kind]["tokens_per_second"].append(tokens / seconds)
            kinds[kind]["loss"].append(_loss(model, ready.valid, ready.tokenizer.pad_token_id))
    speeds = {kind: seen["tokens_per_second"] for kind, seen in kinds.items()}
    ratios = [one / other for one, other in zip(speeds[OURS], speeds[TRL], strict=True)]
    if args.bf16_steps and not is_bf16:
        few = config.model_copy(update={"max_steps": args.bf16_steps})
        seconds, model = _trl(few, ready, rows, folder / "bf16", True)
        rate = tokens * args.bf16_steps / steps / seconds
        kinds[TRL_BF16] = {"tokens_per_second": [rate], "loss": [_loss(model, ready.valid, ready.tokenizer.pad_token_id)]}
    return {"rows": args.rows, "tokens": tokens, "steps": steps, "method": args.method, "kinds": kinds, "ratios": ratios}


if __name__ == "__main__":
    main()
