"""`patchbay train`: a run folder from a config, resumable, with everything that says how it was made."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from transformers.trainer import TRAINER_STATE_NAME

from adapters.base import Base, describe_base, resolve_base
from adapters.errors import Conflict
from evaluation.output import check_folder
from training.clock import Clock
from training.config import TrainConfig
from training.data import Example, TrainingData, encode_examples, load_training_data
from training.loop import Curves, OnEval, build_trainer, stopping_at_interrupt
from training.model import add_adapter, count_parameters, load_model, load_tokenizer, lora_matrices, require_modules
from training.precision import has_fast_bfloat16
from training.products import save_products
from training.quantized import quantization_facts
from training.record import SCHEMA, machine, package_versions, peak_memory, read_record, write_record
from training.same import require_same_config, require_same_data


@dataclass(frozen=True)
class Prepared:
    """What a run needs before its first step, checked: nothing is written until all of this is there."""

    base: Base
    tokenizer: Any
    data: TrainingData
    train: list[Example]
    valid: list[Example]
    left_out: int


def train(config: TrainConfig, out: Path, on_eval: OnEval | None = None) -> dict[str, Any]:
    """Trains into `out` and returns the run's record; an interrupted run in `out` of the same config and data goes on.

    `on_eval` hears of each validation (step, loss); what it raises ends the training without a result.

    Raises:
        BadInput: the data, the base, `out` or a setting cannot be used; nothing has been written then.
        Conflict: `out` holds a finished run, a run of another config or of other data, or something else.
        KeyboardInterrupt: after a checkpoint was saved; the same command goes on from it.
    """
    before = _check_out(config, out)
    prepared = prepare(config)
    if before is not None:
        require_same_data(before["data"]["digests"], prepared.data.digests, out)
    model = load_model(prepared.base, config)
    if config.method != "full":
        model = add_adapter(model, config, prepared.base)
    out.mkdir(parents=True, exist_ok=True)
    record = _begin_record(config, prepared, model)
    write_record(out, record)  # first of all: a folder without it is not gone on with
    (out / "config.yaml").write_text(yaml.safe_dump(config.resolved(), sort_keys=False), encoding="utf-8")
    record |= _run(config, prepared, model, out, on_eval)
    if record["status"] == "interrupted":
        write_record(out, record)
        raise KeyboardInterrupt
    save_products(config, prepared.base, prepared.valid, model, out, record)
    write_record(out, record)  # only now: a finished run has its result
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return record


def _check_out(config: TrainConfig, out: Path) -> dict[str, Any] | None:
    """The record of the run that goes on in `out`, None where one begins."""
    check_folder(out)
    if not out.exists() or not any(out.iterdir()):
        return None
    before = read_record(out)
    if before is None:
        raise Conflict(f"{out} is not empty and holds no run; choose another --out", param="out")
    if before["status"] == "finished":
        raise Conflict(f"{out} holds a finished run; choose another --out, or remove the folder", param="out")
    require_same_config(before, config, out)
    return before


def prepare(config: TrainConfig) -> Prepared:
    """Base, tokenizer and encoded rows of a run. Raises BadInput where one of them cannot be used."""
    base = describe_base(resolve_base(config.base), config.base)
    require_modules(config, base)
    valid = Path(config.valid) if config.valid else None
    data = load_training_data(Path(config.data), valid, config.valid_share, config.seed)
    tokenizer = load_tokenizer(base)
    length = min(config.max_length or base.max_length, base.max_length)
    train_examples, left_out = encode_examples(data.train, tokenizer, length)
    valid_examples, _ = encode_examples(data.valid, tokenizer, length)
    return Prepared(base, tokenizer, data, train_examples, valid_examples, left_out)


def _begin_record(config: TrainConfig, prepared: Prepared, model: Any) -> dict[str, Any]:
    base = prepared.base
    return {
        "schema": SCHEMA,
        "kind": "run",
        "status": "running",
        "method": config.method,
        "config": config.resolved(),
        "seed": config.seed,
        "base": {"id": base.id, "digest": base.digest, "template_hash": base.template_hash},
        "data": {
            "digests": prepared.data.digests,
            "train_rows": len(prepared.train),
            "valid_rows": len(prepared.valid),
            "conversations": sum(bool(row.messages) for row in prepared.data.train),
            "valid_from": prepared.data.valid_from,
            "left_out_as_too_long": prepared.left_out,
        },
        "parameters": count_parameters(model),
        "lora_matrices": lora_matrices(model),
        "versions": package_versions(),
        "machine": machine(),
        "serve_as": "base" if config.method in ("full", "dora") else "adapter",
        **({"quantization": quantization_facts(model, config.base_kind)} if config.base_kind else {}),
    }


def _run(config: TrainConfig, prepared: Prepared, model: Any, out: Path, on_eval: OnEval | None) -> dict[str, Any]:
    curves, clock = Curves(out / "curves.jsonl", on_eval), Clock()
    trainer = build_trainer(config, model, out, prepared.train, prepared.valid, prepared.tokenizer.pad_token_id, curves)
    trainer.add_callback(clock)
    with stopping_at_interrupt(curves):
        trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    seconds, state = clock.seconds, trainer.state
    tokens = _tokens_per_epoch(prepared.train) * float(state.epoch or 0)
    evals = [entry for entry in state.log_history if "eval_loss" in entry]
    return {
        "status": "interrupted" if curves.stop_asked and state.global_step < state.max_steps else "finished",
        "seconds": round(seconds, 2),
        "steps": state.global_step,
        "best_step": state.best_global_step,
        "loss": {
            "train_last": next((e["loss"] for e in reversed(state.log_history) if "loss" in e), None),
            "valid_best": min((e["eval_loss"] for e in evals), default=None),
            "valid_last": evals[-1]["eval_loss"] if evals else None,
        },
        "tokens": round(tokens),
        "tokens_per_second": round(tokens / seconds, 1),
        "compute_dtype": "bfloat16" if trainer.args.bf16 else "float32",
        "fast_bfloat16": has_fast_bfloat16(),
        "peak_memory_bytes": peak_memory(),
    }


def _last_checkpoint(folder: Path) -> str | None:
    """The last that is whole: a process may be killed while it writes one, and Trainer's state is written last."""
    whole = [state.parent for state in folder.glob(f"checkpoint-*/{TRAINER_STATE_NAME}")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _tokens_per_epoch(examples: list[Example]) -> int:
    return sum(example["length"] for example in examples)
