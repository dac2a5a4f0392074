"""What a finished training leaves: an adapter, a base, or for DoRA both, each there whole or not at all."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from adapters.base import Base, module_record
from training.base_folder import merged, write_note, write_weights
from training.config import TrainConfig
from training.data import Example
from training.model import save_adapter
from training.probes import differences, write_probes
from training.record import write_record

Record = dict[str, Any]


def save_products(config: TrainConfig, base: Base, valid: Sequence[Example], model: Any, out: Path, record: Record) -> None:
    """Writes adapter/ or model/ beside the record, and adds to the record what was measured of them.

    DoRA scales each output by a learned magnitude, which no server swaps per request: it is written as an adapter for
    PEFT's users, and merged into a base, which is what is served. What the merge moved the adapter's probes by is recorded.
    """
    if config.method == "full":
        _save_base(base, model, out, record)
        return
    with _renamed(out / "adapter") as folder:
        save_adapter(model, base, folder)
        probes = _write_probes(config, base, valid, model, folder, record)
        write_record(folder, record)
    if config.method == "dora":
        _save_base(base, merged(model), out, record)
        whole = AutoModelForCausalLM.from_pretrained(out / "model", dtype=torch.float32, local_files_only=True)
        record["merge_difference"] = differences(whole, probes)


def _write_probes(
    config: TrainConfig, base: Base, valid: Sequence[Example], model: Any, folder: Path, record: Record
) -> list[dict[str, Any]]:
    """Probes say what a server of the base has to compute. QLoRA's adapter was trained beside quantized weights and is
    served on the original ones, so its probes are computed on those; how far the two are apart is recorded."""
    if config.base_kind is None:
        return write_probes(folder / "probes.json", model, valid, base.digest)
    original = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32, local_files_only=True)
    probes = write_probes(folder / "probes.json", PeftModel.from_pretrained(original, folder), valid, base.digest)
    record["quantization"] |= {"probes_on": "the original base, float32", "probe_difference": differences(model, probes)}
    return probes


def _save_base(base: Base, model: Any, out: Path, record: Record) -> None:
    with _renamed(out / "model") as folder:
        write_weights(model, base, folder)
        origin = {"id": base.id, "digest": base.digest}
        note = {"schema": 1, "kind": "base", "method": record["method"], "derived_from": origin}
        write_note(folder, note | {"modules": module_record(base.modules), "run": record})


@contextmanager
def _renamed(final: Path) -> Iterator[Path]:
    """A folder to write in, under another name until it is whole."""
    partial = final.with_name(f".{final.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    yield partial
    shutil.rmtree(final, ignore_errors=True)  # of a run killed between this and its record
    partial.rename(final)
