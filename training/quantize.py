"""`patchbay quantize`: a base in fewer bits, that the service serves with adapters on it.

GPTQ (Frantar et al., 2022) through llm-compressor: 4-bit weights, groups of 128 (or the widest that
divides every layer), the output head left as it is.
"""

import importlib.metadata
import math
import os
import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM

from adapters.base import Base, describe_base, module_record, resolve_base
from adapters.errors import BadInput
from evaluation.rows import Row, load_rows
from evaluation.tokens import encode_prompt, encode_row
from training.base_folder import copy_tokenizer, require_free, whole_folder, write_note
from training.model import load_tokenizer
from training.record import peak_memory

METHODS = ("gptq",)
_GROUP = 128
_SAMPLES = 256
_LENGTH = 512


def quantize(base: str, out: Path, method: str, calibration: Path | None) -> dict[str, Any]:
    """Writes a quantized base into `out`; returns its note: origin, method, bytes before and after, seconds.

    `calibration` holds data rows whose text the layers are fitted to; without it, the model's own README and
    the documentation of Python's standard library serve.

    Raises:
        BadInput: the method is unknown, the base is quantized already, or the calibration data cannot be used.
        Conflict: `out` is there already. Whatever fails, nothing is left in `out`.
    """
    if method not in METHODS:
        raise BadInput(f"unknown method {method!r}; give one of {', '.join(METHODS)}", param="method")
    require_free(out)
    source = describe_base(resolve_base(base), base)
    if source.quantization:
        raise BadInput(f"{source.id} is quantized already ({source.quantization}); give the base it was made from", param="base")
    rows = load_rows(calibration) if calibration else _plain_rows()
    tokenizer = load_tokenizer(source)
    ids = [list(_text_ids(row, tokenizer))[:_LENGTH] for row in rows[:_SAMPLES]]
    began = time.monotonic()
    with whole_folder(out.absolute()) as folder:
        group = _gptq(source, ids, folder)
        copy_tokenizer(source.path, folder)
        note = _note(
            source, folder, {"group_size": group, "calibration": str(calibration or "standard library"), "samples": len(ids)}
        )
        note["seconds"] = round(time.monotonic() - began, 1)
        write_note(folder, note)
    return note


def _text_ids(row: Row, tokenizer: Any) -> tuple[int, ...]:
    if row.text is None and row.answer is None:
        return encode_prompt(row.question or "", tokenizer)
    return encode_row(row, tokenizer).ids


def _plain_rows() -> list[Row]:
    """Docstrings of the standard library: text that every machine has."""
    import argparse
    import inspect
    import json
    import logging
    import pathlib
    import subprocess

    found = []
    for module in (argparse, json, logging, pathlib, subprocess):
        for _, member in inspect.getmembers(module, inspect.isclass):
            found += [text for _, part in inspect.getmembers(member) if (text := inspect.getdoc(part)) and len(text) > 80]
    return [Row(line=n, text=text) for n, text in enumerate(sorted(set(found)), start=1)]


def group_size(widths: set[int]) -> int:
    """The largest group up to 128 inputs that divides every layer's width."""
    return math.gcd(_GROUP, *widths)


def _gptq(source: Base, ids: list[list[int]], folder: Path) -> int:
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    from llmcompressor import oneshot  # takes seconds to import
    from loguru import logger

    logger.remove()  # a line for each layer; its progress bars stay
    from llmcompressor.modifiers.gptq import GPTQModifier

    linear = {m.in_features for name, m in source.modules.items() if m.kind == "linear" and name != "lm_head"}
    group = group_size(linear)
    if group < 32:
        raise BadInput(
            f"{source.id} has layers of widths {sorted(linear)}; 4-bit groups need a common divisor of 32 or more", param="base"
        )
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group}
    model = AutoModelForCausalLM.from_pretrained(source.path, dtype="auto", local_files_only=True)
    data = Dataset.from_list([{"input_ids": row, "attention_mask": [1] * len(row)} for row in ids])
    recipe = GPTQModifier(config_groups={"group_0": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"])
    oneshot(model=model, dataset=data, recipe=recipe, max_seq_length=_LENGTH, num_calibration_samples=len(ids))
    model.save_pretrained(folder, save_compressed=True)
    return group


def _note(source: Base, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    before = sum(path.stat().st_size for path in source.path.glob("*.safetensors"))
    after = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return {
        "schema": 1,
        "kind": "base",
        "method": "gptq",
        "scheme": "W4A16",
        "derived_from": {"id": source.id, "digest": source.digest},
        "modules": module_record(source.modules),
        "settings": settings,
        "weight_bytes": {"before": before, "after": after},
        "peak_memory_bytes": peak_memory(),
        "versions": {
            name: importlib.metadata.version(name) for name in ("llmcompressor", "compressed-tensors", "torch", "transformers")
        },
    }
