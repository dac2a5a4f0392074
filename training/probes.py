"""Probes: fixed prompts with the log-probabilities that PEFT gives them, so that a server can prove it serves this adapter."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import torch

from training.data import Example

_PROBES = 4
_LONGEST = 96


def write_probes(path: Path, model: Any, examples: list[Example], base_digest: str) -> None:
    """Writes the probes of an adapter: the first `_PROBES` validation rows, computed in float32 with and without it.

    `adapter_logprobs[i]` and `base_logprobs[i]` are the natural log-probability of token i + 1 given tokens 0..i.
    """
    probes = []
    for example in examples[:_PROBES]:
        ids = example["input_ids"][:_LONGEST]
        adapted = token_logprobs(model, ids)
        with model.disable_adapter():
            plain = token_logprobs(model, ids)
        probes.append({"prompt_token_ids": ids, "adapter_logprobs": adapted, "base_logprobs": plain})
    versions = {name: importlib.metadata.version(name) for name in ("peft", "torch", "transformers")}
    record = {"schema": 1, "base_digest": base_digest, "computed_by": {**versions, "dtype": "float32"}, "probes": probes}
    path.write_text(json.dumps(record), encoding="utf-8")


@torch.no_grad()
def token_logprobs(model: Any, ids: list[int]) -> list[float]:
    """Log-probability of each token after the first; as many as `ids` less one."""
    was_training = model.training
    model.eval()
    batch = torch.tensor([ids], device=model.device)
    logprobs = torch.log_softmax(model(input_ids=batch).logits[0].float(), dim=-1)
    model.train(was_training)
    chosen = logprobs[:-1].gather(1, batch[0, 1:, None])[:, 0]
    return [round(float(value), 6) for value in chosen]
