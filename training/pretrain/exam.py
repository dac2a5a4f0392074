"""What the base is examined on while it trains: held-out perplexity, and copying on its own."""

import random
from functools import cache

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training.pretrain import exercises, mixture, records
from training.pretrain.documents import Document

_DOCUMENTS = 48
_FAMILIES: dict[str, mixture.Draw] = {
    "prose": mixture.held_out_prose,
    "repeat": exercises.repeat,
    "pick": exercises.pick,
    "lookup": records.lookup,
    "to_json": records.sentence_to_json,
    "to_sentence": records.record_to_sentence,
    "topic": exercises.naming,
}


@cache
def _documents(family: str) -> tuple[Document, ...]:
    rng = random.Random(f"exam {family}")  # a stream that no training step draws from
    return tuple(_FAMILIES[family](rng) for _ in range(_DOCUMENTS))


@torch.no_grad()
def examine(model: LlamaForCausalLM, tokenizer: Tokenizer) -> dict[str, dict[str, float]]:
    """Per family: perplexity of the trained tokens, and the share of documents whose every one is the greedy choice.

    Where the answer is determined by the prompt (repeat, pick, lookup) that share is the exact-match
    rate of greedy decoding, since a greedy decode differs exactly where one token is not the choice.
    """
    was_training = model.training
    model.eval()
    report = {family: _score(model, tokenizer, _documents(family)) for family in _FAMILIES}
    model.train(was_training)
    return report


def _score(model: LlamaForCausalLM, tokenizer: Tokenizer, documents: tuple[Document, ...]) -> dict[str, float]:
    nll, tokens, exact = 0.0, 0, 0
    limit = model.config.max_position_embeddings
    for document in documents:
        ids, labels = (part[:limit] for part in mixture.encode(document, tokenizer))
        target = torch.tensor(labels[1:])
        logits = model(input_ids=torch.tensor([ids[:-1]])).logits[0].float()
        kept = target != mixture.IGNORED
        losses = torch.nn.functional.cross_entropy(logits[kept], target[kept], reduction="sum")
        nll += float(losses)
        tokens += int(kept.sum())
        exact += int(bool((logits[kept].argmax(-1) == target[kept]).all()))
    return {"perplexity": float(torch.tensor(nll / tokens).exp()), "exact": exact / len(documents)}
