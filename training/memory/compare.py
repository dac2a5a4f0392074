"""`patchbay memory`: full fine-tuning against LoRA and QLoRA on one base and batch, measured beside what the formula says."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import AutoConfig

from adapters.base import describe_base, resolve_base
from adapters.errors import BadInput, Conflict
from evaluation.json_file import write_json
from evaluation.output import check_file
from training.config import load_config
from training.fresh import in_fresh_process
from training.memory.formula import Batch, predict, predict_known, shape_of
from training.memory.measure import measure
from training.precision import compute_dtype
from training.record import machine, package_versions

METHODS = ("full", "lora", "qlora-4bit", "qlora-8bit")


def compare(base: str, methods: Sequence[str], rank: int, batch: Batch, out: Path) -> dict[str, Any]:
    """Measures each method in a fresh process and writes the record: kind "memory"; by method what was measured
    (training.memory.measure) and predicted (training.memory.formula), and the share saved against full fine-tuning of gradients
    and optimizer (`trained_state`), of all that is allocated at the peak, and of what the process grew by; and `computed`, the
    same formulas for larger models, which nothing here has measured.

    Raises:
        BadInput: an unknown method, or rows that the base does not take, or no place for `out`. Conflict: `out` is there.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise BadInput(f"unknown method {', '.join(unknown) or 'none'!r}; give some of {', '.join(METHODS)}", param="methods")
    if out.exists():
        raise Conflict(f"{out} is there already; choose another --out, or remove it", param="out")
    check_file(out)
    source = describe_base(resolve_base(base), base)
    if batch.length > source.max_length:
        raise BadInput(
            f"rows of {batch.length} tokens are more than the {source.max_length} that {source.id} takes", param="length"
        )
    shape = shape_of(AutoConfig.from_pretrained(source.path, local_files_only=True))
    width = compute_dtype("auto").itemsize
    found: dict[str, dict[str, Any]] = {}
    for method in tqdm(methods, desc="memory", unit="method"):
        adapter = {} if method == "full" else {"rank": rank}
        config = load_config(None, {"base": base, "data": "-", "method": method, "batch_size": batch.rows, **adapter})
        found[method] = {
            "measured": in_fresh_process(measure, config, batch),
            "predicted": predict(shape, method, rank, batch, width=width),
        }
    for figures in found.values():
        figures["saved"] = _saved(figures["measured"], found["full"]["measured"]) if "full" in found else None
    record = {
        "schema": 1,
        "kind": "memory",
        "base": {"id": source.id, "digest": source.digest, "parameters": shape.parameters},
        "rank": rank,
        "batch": asdict(batch),
        "methods": found,
        "computed": predict_known(tuple(methods), rank),
        "versions": package_versions(),
        "machine": machine(),
    }
    write_json(out, record)
    return record


def _saved(mine: dict[str, Any], full: dict[str, Any]) -> dict[str, float]:
    def share(one: float, other: float) -> float:
        return round(1 - one / other, 4)

    state = [figures["allocated"]["gradients"] + figures["allocated"]["optimizer"] for figures in (mine, full)]
    grown = [figures["resident"]["peak"] - figures["resident"]["before"] for figures in (mine, full)]
    return {
        "trained_state": share(state[0], state[1]),
        "allocated_peak": share(mine["allocated"]["peak"], full["allocated"]["peak"]),
        "resident_growth": share(grown[0], grown[1]),
    }
