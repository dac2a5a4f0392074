"""`patchbay tradeoff`: each technique quantized, measured where it would be served, and compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from adapters.archive import adapter_files
from adapters.base import describe_base, resolve_base
from adapters.errors import BadInput, Conflict
from evaluation.digest import file_digest
from evaluation.json_file import write_json
from evaluation.output import check_file
from evaluation.rows import load_rows
from training.base_folder import weight_bytes
from training.fresh import in_fresh_process
from training.quantize import SCHEMES, quantize
from training.quantized import KINDS
from training.record import machine, package_versions
from training.tradeoff.asked import Asked
from training.tradeoff.choose import LIMITS, RULE, choose, compared
from training.tradeoff.local import measure_local
from training.tradeoff.served import measure_served

RECORD = "quantization.json"
ORIGINAL = "original"


def tradeoff(base: str, adapter: Path, methods: Sequence[str], asked: Asked, out: Path) -> dict[str, Any]:
    """Quantizes `base` into out/METHOD (where it is not there yet), measures each with the adapter on, and writes out/quantization.json.

    The record, kind "quantization": base, adapter, data, n; `rows`, one for each technique and engine: technique ("original" or a
    method), engine, folder, disk_bytes, weights_bytes and resident_bytes in memory, tokens_per_second and speed_up by streams at
    once, scores (by metric as evaluations have them: value with the adapter, baseline without), quality_loss by metric; `best` by
    use (prototyping, production, fast_inference); `rule` and its `limits`. The original is measured on each engine that a technique needs.

    Raises:
        BadInput: a method, the data, the adapter or `out` cannot be used. Conflict: `out` holds a record already.
    """
    unknown = [name for name in methods if name not in SCHEMES]
    if unknown or not methods:
        raise BadInput(f"unknown method {', '.join(unknown) or 'none'!r}; give some of {', '.join(SCHEMES)}", param="methods")
    if (out / RECORD).exists():
        raise Conflict(f"{out / RECORD} is there already; choose another --out, or remove it", param="out")
    check_file(out / RECORD)
    source = describe_base(resolve_base(base), base)
    adapter_files(adapter)
    if any(row.text is not None for row in load_rows(asked.data)):
        raise BadInput(f"{asked.data} has rows of text; give prompts with answers, such as a test split", param="data")
    folders = {ORIGINAL: source.path, **{name: _quantized(base, name, out / name) for name in methods}}
    plan = [(name, _is_local(name)) for name in methods]
    plan = [(ORIGINAL, local) for local in sorted({local for _, local in plan})] + plan
    rows = []
    for name, local in tqdm(plan, desc="tradeoff", unit="base"):
        given = base if name == ORIGINAL else str(folders[name])
        figures = in_fresh_process(measure_local, given, adapter, asked) if local else measure_served(given, adapter, asked)
        rows.append({"technique": name, "folder": str(folders[name]), "disk_bytes": weight_bytes(folders[name]), **figures})
    rows = compared(rows)
    record = {
        "schema": 1,
        "kind": "quantization",
        "base": {"id": source.id, "digest": source.digest},
        "adapter": adapter.name,
        "data": {"name": asked.data.name, "digest": file_digest(asked.data)},
        "n": rows[0]["n"],
        "speed": {"tokens": asked.tokens, "streams": list(asked.streams), "turns": asked.turns},
        "rows": rows,
        "rule": RULE,
        "limits": LIMITS,
        "best": choose(rows),
        "versions": package_versions(),
        "machine": machine(),
    }
    write_json(out / RECORD, record)
    return record


def _is_local(method: str) -> bool:
    """Whether transformers is what runs it: vLLM serves nothing of bitsandbytes."""
    return method in KINDS


def _quantized(base: str, method: str, folder: Path) -> Path:
    if not folder.exists():
        in_fresh_process(quantize, base, folder, method)
    return folder
