"""What every base folder this project writes has: weights, the tokenizer, and a note of its origin."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adapters.base import RECORD, Base
from evaluation.output import require_free

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer, chat template and generation settings of a base as they stand."""
    for name in _TOKENIZER:
        if (source / name).is_file():
            shutil.copy(source / name, target / name)


def merged(adapted: Any) -> Any:
    """The net of a PEFT model with the adapter in its weights.

    An embedding that is also the output head parts from it where the adapter is on one of the two: what is right for the one
    would be wrong for the other, and PEFT adds the update to both.
    """
    net = adapted.get_base_model()
    ends = [net.get_input_embeddings(), net.get_output_embeddings()]
    embedding, head = (getattr(end, "base_layer", end) for end in ends)
    if embedding.weight is head.weight and any(hasattr(end, "base_layer") for end in ends):
        head.weight = torch.nn.Parameter(embedding.weight.detach().clone())
        net.config.tie_word_embeddings = False
    return adapted.merge_and_unload()


def write_weights(net: Any, source: Base, folder: Path) -> None:
    """Writes a model that was made from `source` as plain weights in its dtype, with its tokenizer.

    `net` may have been unpacked from fewer bits: what transformers remembers of that is left behind.
    """
    config = AutoConfig.from_pretrained(source.path, local_files_only=True)
    config.tie_word_embeddings = net.config.tie_word_embeddings
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    dtype = config.dtype or torch.bfloat16
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config, dtype=dtype)
    state = net.state_dict()
    whole.load_state_dict({name: state[name].to(dtype) for name in whole.state_dict()}, assign=True)
    whole.tie_weights()
    whole.save_pretrained(folder)
    copy_tokenizer(source.path, folder)


def weight_bytes(folder: Path) -> int:
    """Bytes of a base's weights on disk."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def write_note(folder: Path, note: dict[str, Any]) -> None:
    """Writes patchbay.json, which says what a base was made from."""
    (folder / RECORD).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write in beside `out`; it becomes `out` by one rename at the end, and is gone if anything fails."""
    require_free(out)
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
