"""The benchmark of training: both loops on the same rows, from the same weights, end at the same loss; on a tiny base."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from bench.training import OURS, TRL, measure
from training.base_folder import copy_tokenizer


@pytest.mark.filterwarnings("ignore")  # TRL's own, about its defaults
def test_both_loops_train_on_the_same_rows(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from adapters.base import resolve_base

    shape = LlamaConfig(
        vocab_size=6144, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, head_dim=32,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(shape).save_pretrained(tmp_path / "tiny")
    copy_tokenizer(resolve_base("embedded"), tmp_path / "tiny")
    asked = Namespace(base=str(tmp_path / "tiny"), rows=8, batch=4, rounds=1, method="full", bf16_steps=0)
    found = measure(asked, tmp_path)
    assert (found["steps"], len(found["ratios"])) == (2, 1)
    ours, theirs = (found["kinds"][kind] for kind in (OURS, TRL))
    assert found["ratios"][0] == pytest.approx(ours["tokens_per_second"][0] / theirs["tokens_per_second"][0])
    assert ours["loss"][0] == pytest.approx(theirs["loss"][0], rel=0.02)
