"""`patchbay merge`: an adapter's update added into the base's weights, as a base of its own, and what that loses.

The merged weights are rounded to the base's dtype. A base in fewer bits has to be unpacked for it: the sum does not lie on
its grid, so the merged base is as large as one in 16 bits, and differs from the quantized base with the adapter beside it
wherever that base rounds its inputs too.
"""

import time
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from adapters.archive import CONFIG, RUN, adapter_files
from adapters.base import Base, describe_base, module_record, resolve_base
from adapters.check import check_adapter
from adapters.errors import AdapterRefused, BadInput
from adapters.json_file import read_json
from adapters.limits import LOCAL
from adapters.manifest import file_refs, version_digest
from adapters.origin import check_origin
from adapters.probes import read_probes
from evaluation.local import load_net
from evaluation.output import require_free
from training.base_folder import merged, weight_bytes, whole_folder, write_note, write_weights
from training.model import load_tokenizer
from training.probes import differences, probe

_TEXTS = (
    "The name of the place is",
    "Order 4821: two green chairs for Maria Lopez, to be sent on Friday.",
    "Please tell me what the weather will be like tomorrow in",
)


def merge(base: str, adapter: Path, out: Path) -> dict[str, Any]:
    """Writes a base of `base` and `adapter` into `out`; returns its note.

    `note["merge_difference"]` is measured on the adapter's probes, or on fixed texts where it brought none: mean and largest
    difference in nats a token between the base with the adapter beside it and the merged base as it was written.
    `note["warning"]` says what a quantized base gives up.

    Raises:
        AdapterRefused: the adapter does not fit the base. BadInput: the base cannot be unpacked here.
        Conflict: `out` is there already. Whatever fails, nothing is left in `out`.
    """
    require_free(out)
    source = describe_base(resolve_base(base), base)
    folder = adapter_files(adapter)[0].parent
    prompts = _checked(folder, source)
    began = time.monotonic()
    net, probes = _merged(source, folder, prompts)
    with whole_folder(out.absolute()) as partial:
        write_weights(net, source, partial)
        whole = AutoModelForCausalLM.from_pretrained(partial, dtype=torch.float32, local_files_only=True)
        note = _note(source, folder, partial) | {"merge_difference": differences(whole, probes)}
        note["seconds"] = round(time.monotonic() - began, 1)
        write_note(partial, note)
    return note


def _checked(folder: Path, source: Base) -> list[list[int]]:
    """Token ids of the adapter's probes, once it is known to fit the base. DoRA fits too: what a server cannot swap can be merged."""
    config, _ = read_json(folder / CONFIG, LOCAL.config_file)
    found, problems = read_probes(folder, source, LOCAL)
    if config.get("use_dora") is True:
        problems += check_origin(source, None, found, _run(folder))
        if problems:
            raise AdapterRefused(tuple(problems))
    else:
        found = check_adapter(folder, "merged", source, LOCAL).probes
    if found is not None:
        return [entry.prompt_token_ids for entry in found.probes]
    tokenizer = load_tokenizer(source)
    return [list(tokenizer(text)["input_ids"]) for text in _TEXTS]


def _run(folder: Path) -> dict[str, Any]:
    """The record that came with the adapter, empty where there is none."""
    return read_json(folder / RUN, LOCAL.json_file)[0]


def _merged(source: Base, folder: Path, prompts: list[list[int]]) -> tuple[Any, list[dict[str, Any]]]:
    """The net with the adapter in its weights, and what base and adapter gave before, side by side."""
    try:
        net = load_net(source)
    except (ImportError, ValueError) as error:
        raise BadInput(f"{source.id} ({source.quantization}) cannot be unpacked here: {error}", param="base") from error
    if source.quantization is None:
        net = net.float()
    try:
        adapted = PeftModel.from_pretrained(net, str(folder)).eval()
    except (RuntimeError, ValueError, KeyError) as error:
        raise BadInput(f"{folder} does not fit {source.id}: {error}", param="adapter") from error
    probes = [probe(adapted, ids) for ids in prompts]
    if source.quantization == "bitsandbytes":
        # Merging into packed weights would round the sum to their grid again.
        adapted = PeftModel.from_pretrained(adapted.unload().dequantize().float(), str(folder)).eval()
    return merged(adapted), probes


def _note(source: Base, folder: Path, made: Path) -> dict[str, Any]:
    before, after = weight_bytes(source.path), weight_bytes(made)
    name = folder.parent.name if folder.name == "adapter" else folder.name
    adapter = {"name": name, "method": _run(folder).get("method"), "digest": version_digest(file_refs(folder))}
    note = {
        "schema": 1,
        "kind": "base",
        "method": "merge",
        "derived_from": {"id": source.id, "digest": source.digest},
        "adapter": adapter,
        "modules": module_record(source.modules),
        "weight_bytes": {"before": before, "after": after},
    }
    if source.quantization:
        note["warning"] = (
            f"{source.id} is quantized ({source.quantization}): merging unpacks it, from {before / 2**20:.1f} MiB to {after / 2**20:.1f}, "
            f"and keeps its rounding; merge into {next(iter(source.origins), 'the base it was made from')} instead, "
            "or serve the adapter beside the quantized base"
        )
    return note
