"""A run's record: run.json says what made the artefact beside it. Its keys, which reports and sweeps read:

schema, kind ("run"), status ("running", "interrupted", "finished"), method, seed
config              every setting of training.config.TrainConfig that the method has, defaults filled in
base                id, digest, template_hash
data                digests by file, train_rows, valid_rows, conversations, valid_from, left_out_as_too_long
parameters          trainable, total
lora_matrices       by module: A [r, in], B [out, r], rank, parameters, share of in x out; magnitude [out] with DoRA
serve_as            "adapter" (adapter/ is uploaded) or "base" (model/ is served with --base: full and DoRA)
quantization        QLoRA alone: kind (nf4, int8), double_quantization, modules, classes (layers by class), parameters,
                    weight_bytes (with scales), bfloat16_bytes (the same layers in 16 bits), probes_on, and
                    probe_difference: mean, largest (nats a token between the quantized base with the adapter and the
                    original with it) and effect (what the adapter itself does)
merge_difference    DoRA alone: mean, largest, effect, between the adapter and the merged model/ as it was written
seconds, steps, best_step, tokens, tokens_per_second    of all steps, whatever processes took them
loss                train_last, valid_best, valid_last, nats a token
compute_dtype, fast_bfloat16, peak_memory_bytes (resident, device), versions, machine
"""

import importlib.metadata
import json
import os
import platform
import resource
from pathlib import Path
from typing import Any

import torch

from adapters.errors import BadInput
from evaluation.json_file import write_json

RECORD = "run.json"
SCHEMA = 1


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Writes run.json whole or not at all."""
    write_json(folder / RECORD, record)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run folder, or None where there is none. Raises BadInput as read_json does."""
    path = folder / RECORD
    return read_json(path, "run") if path.is_file() else None


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """A record of that kind, as it was written. Raises BadInput where something else has cut or changed the file since."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} is damaged: {error}; put it back as it was, or choose another --out", param="out") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise BadInput(f"{path} is no record of a {kind}; put it back as it was, or choose another --out", param="out")
    return content


def package_versions() -> dict[str, str]:
    """The versions that decide a result."""
    names = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers", "safetensors")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def machine() -> dict[str, Any]:
    """The machine in general terms."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count(), "gpu": gpu}


def peak_memory() -> dict[str, int]:
    """Bytes: the process's resident high-water mark, and the device's allocator's where there is a device."""
    peak = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if torch.cuda.is_available():
        peak["device"] = torch.cuda.max_memory_allocated()
    return peak
