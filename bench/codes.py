"""Adapters that can be told apart by what they say: each answers any prompt with a word of its own, again and again.

An adapter of random weights on every linear layer, as a trained one costs; and in one layer's down_proj (which one goes
round with the adapter's number, so that no layer's slots go untested) one of its ranks carries the word: its row of A answers about 1
to whatever comes in, and its column of B turns that into a residual that outweighs everything else and points at the word's embedding.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from bench.models import LINEAR, random_tensors
from bench.traffic import prompt

# Length of the residual that carries the word; the embedded base's own are 1,500 long in the mean, 7,400 at most.
_LOUD = 300_000.0


@dataclass(frozen=True)
class Speaker:
    """What codes are made of. `steady`: a row for each layer's down_proj, that gives about 1 for any input; `words`: token and text."""

    steady: torch.Tensor
    embedding: torch.Tensor
    words: list[tuple[int, str]]


def write_codes(base: Path, folder: Path, count: int, ranks: Sequence[int] = (8, 16)) -> list[tuple[Path, str]]:
    """`count` adapter folders and the word of each, ranks taken in turn; written once, read again by later runs."""
    index = folder / f"codes-{count}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        speaker = _speaker(base)
        if len(speaker.words) < count:
            raise SystemExit(f"{base} has {len(speaker.words)} words for codes, {count} are asked for")
        shape = json.loads((base / "config.json").read_text(encoding="utf-8"))
        for number in tqdm(range(count), desc="adapters written", unit="adapter"):
            _write(folder / f"code-{number}", base.name, shape, ranks[number % len(ranks)], number, speaker)
        index.write_text(json.dumps([word for _, word in speaker.words[:count]]), encoding="utf-8")
    words = json.loads(index.read_text(encoding="utf-8"))
    return [(folder / f"code-{number}", word) for number, word in enumerate(words)]


def _write(target: Path, base: str, shape: dict[str, int], rank: int, number: int, speaker: Speaker) -> None:
    tensors = random_tensors(shape, rank, number, scale=0.002)
    layer = number % shape["num_hidden_layers"]
    key = f"base_model.model.model.layers.{layer}.mlp.down_proj"
    towards = speaker.embedding[speaker.words[number][0]]
    tensors[f"{key}.lora_A.weight"][0] = speaker.steady[layer]
    tensors[f"{key}.lora_B.weight"][:, 0] = _LOUD * towards / towards.norm()
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank, "target_modules": list(LINEAR),
        "base_model_name_or_path": base, "bias": "none",
    }  # fmt: skip
    (target / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def _speaker(base: Path) -> Speaker:
    """Measured on prompts: least squares for the steady rows, and the words whose embedding stands out from all others'.

    Random tokens alone are not enough: on sentences of words that some layers never saw so, the row gave 1 on average and -6 once.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    layers = model.model.layers
    seen: list[list[torch.Tensor]] = [[] for _ in layers]

    def keep(into: list[torch.Tensor], _: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        into.append(inputs[0].flatten(0, -2))

    for layer, into in zip(layers, seen, strict=True):
        layer.mlp.down_proj.register_forward_pre_hook(partial(keep, into))
    embedding = model.get_input_embeddings().weight.detach()
    words = _words(tokenizer, embedding, model.model.norm.weight.detach())
    drawn = random.Random(0)
    with torch.no_grad():
        for number in range(600):
            sentence = tokenizer(prompt(f"codes-{number}"))["input_ids"]
            noise = [drawn.randrange(16, len(tokenizer)) for _ in sentence]
            model(torch.tensor([(noise if number % 6 == 0 else sentence) + [drawn.choice(words)[0]] * 8]))
    steady = []
    for inputs in seen:
        x = torch.cat(inputs)
        ridge = 0.1 * x.pow(2).mean() * torch.eye(x.shape[1])
        steady.append(torch.linalg.solve(x.T @ x + ridge, x.sum(0)))
    return Speaker(torch.stack(steady), embedding, words)


def _words(tokenizer: Any, embedding: torch.Tensor, norm: torch.Tensor) -> list[tuple[int, str]]:
    """Tokens that are a word after a space, those first that win by most when the residual is their embedding."""
    logits = (embedding / embedding.norm(dim=1, keepdim=True) * norm) @ embedding.T
    own = logits.diagonal().clone()
    logits.fill_diagonal_(float("-inf"))
    lead = own - logits.max(dim=1).values
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    fit = [t for t, text in enumerate(texts) if text[:1] == " " and text[1:].isalpha() and len(text) > 3 and lead[t] > 0]
    fit.sort(key=lambda token: -float(lead[token]))
    return [(token, texts[token][1:]) for token in fit]
