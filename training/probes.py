"""Probes: fixed prompts with the log-probabilities that PEFT gives them, so that a server can prove it serves this adapter."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from training.data import Example

_PROBES = 4
_LONGEST = 96


def write_probes(path: Path, model: Any, examples: Sequence[Example], base_digest: str) -> list[dict[str, Any]]:
    """Writes and returns the probes of an adapter: the first validation rows, computed in float32 with and without it.

    `adapter_logprobs[i]` and `base_logprobs[i]` are the natural log-probability of token i + 1 given tokens 0..i.
    """
    probes = [probe(model, example["input_ids"][:_LONGEST]) for example in examples[:_PROBES]]
    versions = {name: importlib.metadata.version(name) for name in ("peft", "torch", "transformers")}
    record = {"schema": 1, "base_digest": base_digest, "computed_by": {**versions, "dtype": "float32"}, "probes": probes}
    path.write_text(json.dumps(record), encoding="utf-8")
    return probes


def differences(model: Any, probes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How far a model's log-probabilities are from the probes' `adapter_logprobs`, in nats a token, mean and largest;
    `effect` is the mean difference that the adapter itself makes there."""
    gaps, effects = [], []
    for probe in probes:
        seen = token_logprobs(model, probe["prompt_token_ids"])
        gaps += [abs(a - b) for a, b in zip(seen, probe["adapter_logprobs"], strict=True)]
        effects += [abs(a - b) for a, b in zip(probe["adapter_logprobs"], probe["base_logprobs"], strict=True)]
    return {"mean": round(fmean(gaps), 6), "largest": round(max(gaps), 6), "effect": round(fmean(effects), 6)}


def probe(model: Any, ids: list[int]) -> dict[str, Any]:
    """One prompt with the log-probabilities of a PEFT model, with its adapter and without."""
    adapted = token_logprobs(model, ids)
    with model.disable_adapter():
        plain = token_logprobs(model, ids)
    return {"prompt_token_ids": ids, "adapter_logprobs": adapted, "base_logprobs": plain}


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
