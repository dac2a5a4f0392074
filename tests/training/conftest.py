"""A base so small that training it takes a second, and a few rows for it."""

import json
from pathlib import Path

import pytest

from adapters.base import resolve_base


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of 64 with the embedded base's tokenizer, random and in bfloat16."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.base_folder import copy_tokenizer

    folder = tmp_path_factory.mktemp("bases") / "tiny"
    shape = LlamaConfig(
        vocab_size=6144, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(shape).to(torch.bfloat16).save_pretrained(folder)
    copy_tokenizer(resolve_base("embedded"), folder)
    return folder


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 training rows and 6 to validate on."""
    folder = tmp_path_factory.mktemp("rows")
    for split, numbers in (("train", range(24)), ("valid", range(24, 30))):
        lines = [json.dumps({"prompt": f"Number {n}:", "completion": f" the {n} comes after {n - 1}"}) for n in numbers]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
