"""`patchbay quantize`: a base in fewer bits, that the service serves with adapters on it.

`gptq` and `w8a8`: GPTQ (Frantar et al., 2022) through llm-compressor, the output head left as it is. `gptq`: 4-bit weights in
groups of 128 (or the widest that divides every layer), 16-bit activations. `w8a8`: 8-bit weights by output channel, activations
in 8 bits token by token, so that products run on integers. `int8` and `nf4`: bitsandbytes (training.quantized), nothing fitted;
transformers loads them, vLLM does not serve them.
"""

import importlib.metadata
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adapters.base import Base, describe_base, module_record, resolve_base
from adapters.errors import BadInput
from evaluation.output import require_free
from training.base_folder import copy_tokenizer, weight_bytes, whole_folder, write_note
from training.calibration import LENGTH, Texts, adapted, batches, texts_of
from training.quantized import KINDS, bitsandbytes_settings, quantization_facts
from training.record import peak_memory

SCHEMES = {"gptq": "W4A16", "w8a8": "W8A8", "int8": "LLM.int8()", "nf4": "NF4, double quantization"}
_LIBRARIES = {"gptq": ("llmcompressor", "compressed-tensors"), "w8a8": ("llmcompressor", "compressed-tensors")}
_GROUP = 128


def quantize(
    base: str, out: Path, method: str, calibration: Sequence[Path] = (), adapters: Sequence[Path] = ()
) -> dict[str, Any]:
    """Writes a quantized base into `out`; returns its note: origin, method, bytes before and after, seconds.

    `calibration` are files of rows whose text the layers are fitted to, each read under the adapter in the same place of
    `adapters`, if there are any (training.calibration).

    Raises:
        BadInput: the method is unknown, the base is quantized already, or the calibration data cannot be used.
        AdapterRefused: an adapter does not fit the base.
        Conflict: `out` is there already. Whatever fails, nothing is left in `out`.
    """
    if method not in SCHEMES:
        raise BadInput(f"unknown method {method!r}; give one of {', '.join(SCHEMES)}", param="method")
    require_free(out)
    source = describe_base(resolve_base(base), base)
    if source.quantization:
        raise BadInput(f"{source.id} is quantized already ({source.quantization}); give the base it was made from", param="base")
    if method in KINDS and (calibration or adapters):
        raise BadInput(
            f"{method} fits nothing to data; leave --calibration and --adapter out, or give --method gptq", param="calibration"
        )
    texts = [] if method in KINDS else texts_of(source, calibration, adapters)
    began = time.monotonic()
    with whole_folder(out.absolute()) as folder:
        settings = _load_in(source, method, folder) if method in KINDS else _calibrated(source, method, texts, folder)
        copy_tokenizer(source.path, folder)
        note = _note(source, folder, method, settings)
        note["seconds"] = round(time.monotonic() - began, 1)
        write_note(folder, note)
    return note


def _load_in(source: Base, kind: str, folder: Path) -> dict[str, Any]:
    """Writes the base as bitsandbytes holds it; what was quantized. The rest, and products of nf4, stay in the base's dtype."""
    dtype = AutoConfig.from_pretrained(source.path, local_files_only=True).dtype or torch.bfloat16
    settings = bitsandbytes_settings(kind, dtype)
    model = AutoModelForCausalLM.from_pretrained(source.path, dtype=dtype, quantization_config=settings, local_files_only=True)
    model.save_pretrained(folder)
    return quantization_facts(model, kind)


def _calibrated(source: Base, method: str, texts: Sequence[Texts], folder: Path) -> dict[str, Any]:
    """Writes the base as llm-compressor fits it to texts; the scheme and the texts."""
    scheme = _eight_bits() if method == "w8a8" else _four_bits(source)
    _fit(source, scheme, texts, folder)
    return {"texts": [part.to_json() for part in texts], **scheme}


def group_size(widths: set[int]) -> int:
    """The largest group up to 128 inputs that divides every layer's width."""
    return math.gcd(_GROUP, *widths)


def _four_bits(source: Base) -> dict[str, Any]:
    linear = {m.in_features for name, m in source.modules.items() if m.kind == "linear" and name != "lm_head"}
    group = group_size(linear)
    if group < 32:
        raise BadInput(
            f"{source.id} has layers of widths {sorted(linear)}; 4-bit groups need a common divisor of 32 or more", param="base"
        )
    return {"weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group}}


def _eight_bits() -> dict[str, Any]:
    number = {"num_bits": 8, "type": "int", "symmetric": True}
    return {
        "weights": {**number, "strategy": "channel"},
        "input_activations": {**number, "strategy": "token", "dynamic": True},
    }


def _fit(source: Base, scheme: dict[str, Any], texts: Sequence[Texts], folder: Path) -> None:
    """Writes the base's weights in that scheme, fitted to the texts."""
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    from llmcompressor import oneshot  # takes seconds to import
    from loguru import logger

    logger.remove()  # a line for each layer; its progress bars stay
    from llmcompressor.modifiers.gptq import GPTQModifier

    model = AutoModelForCausalLM.from_pretrained(source.path, dtype="auto", local_files_only=True)
    data = batches(texts)
    with adapted(model, texts) as added:
        recipe = GPTQModifier(config_groups={"group_0": {"targets": ["Linear"], **scheme}}, ignore=["lm_head", *added])
        oneshot(model=model, dataset=data, recipe=recipe, max_seq_length=LENGTH, num_calibration_samples=len(data))
    model.save_pretrained(folder, save_compressed=True)


def _note(source: Base, folder: Path, method: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "kind": "base",
        "method": method,
        "scheme": SCHEMES[method],
        "derived_from": {"id": source.id, "digest": source.digest},
        "modules": module_record(source.modules),
        "settings": settings,
        "weight_bytes": {"before": weight_bytes(source.path), "after": weight_bytes(folder)},
        "peak_memory_bytes": peak_memory(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in (*_LIBRARIES.get(method, ("bitsandbytes",)), "torch", "transformers")
        },
    }
