"""The pretraining stream: which documents, how often, and the batches made of them.

A batch is a function of (seed, step) alone, so a resumed run reads exactly what an uninterrupted
one would have read.
"""

import random
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.pretrain import exercises, prose, records
from training.pretrain.documents import Document, plain

IGNORED = -100
"""The label of a token that takes no part in the loss (PyTorch's own convention)."""

BOS, EOS = "<s>", "</s>"
_HELD_OUT_EVERY = 50
_CHAT_SHARE = 0.2
_EARLY_SHARE = 0.12

Draw = Callable[[random.Random], Document]


@cache
def _passages(held_out: bool) -> tuple[str, ...]:
    return tuple(p for i, p in enumerate(prose.passages()) if (i % _HELD_OUT_EVERY == 0) == held_out)


def training_prose(rng: random.Random) -> Document:
    """A passage of the library's prose, never a held-out one."""
    return plain(rng.choice(_passages(False)))


def held_out_prose(rng: random.Random) -> Document:
    """One of the passages (every fiftieth) that training never reads."""
    return plain(rng.choice(_passages(True)))


# Weights are shares of documents. Copying comes first and never stops: an adapter can teach a model
# what to say, but not to copy, so the base has to bring that.
_EARLY: dict[Draw, float] = {
    exercises.repeat: 8.0,
    exercises.pick: 2.0,
    records.relisting: 2.0,
    records.lookup: 1.0,
    training_prose: 1.0,
}
_MAIN: dict[Draw, float] = {
    training_prose: 2.5,
    records.record_to_sentence: 4.0,
    records.sentence_to_json: 3.0,
    records.lookup: 2.5,
    records.relisting: 1.0,
    exercises.repeat: 1.5,
    exercises.pick: 1.0,
    exercises.reorder: 0.5,
    exercises.talk: 2.0,
    exercises.naming: 1.5,
}
_TASKS = (records.record_to_sentence, records.sentence_to_json, exercises.pick)


def draw_document(rng: random.Random, progress: float) -> Document:
    """One document; `progress` (0 to 1) chooses between the early and the main mixture."""
    weights = _EARLY if progress < _EARLY_SHARE else _MAIN
    draw = rng.choices(list(weights), list(weights.values()))[0]
    document = draw(rng)
    if draw in _TASKS and rng.random() < _CHAT_SHARE:
        return exercises.chat(document)
    return document


def encode(document: Document, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids and labels of a document, from the beginning-of-text token to the end-of-text token."""
    ids, labels = [_special(tokenizer, BOS)], [IGNORED]
    for segment in document:
        piece = tokenizer.encode(segment.text, add_special_tokens=False).ids
        ids += piece
        labels += piece if segment.trained else [IGNORED] * len(piece)
    end = _special(tokenizer, EOS)
    return [*ids, end], [*labels, end]


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no {token!r}; it was not made by training.pretrain.tokenizer")
    return int(found)


def batch(
    tokenizer: Tokenizer, seed: int, step: int, progress: float, rows: int, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and labels, each of shape (rows, length): documents laid end to end, cut at the row's end."""
    rng = random.Random(f"{seed}/{step}")
    ids = np.empty((rows, length), dtype=np.int64)
    labels = np.empty((rows, length), dtype=np.int64)
    for row in range(rows):
        flat_ids: list[int] = []
        flat_labels: list[int] = []
        while len(flat_ids) < length:
            more_ids, more_labels = encode(draw_document(rng, progress), tokenizer)
            flat_ids += more_ids
            flat_labels += more_labels
        ids[row], labels[row] = flat_ids[:length], flat_labels[:length]
    return ids, labels


def tokenizer_text(seed: int, documents: int) -> Iterator[str]:
    """The text the tokenizer is trained on: all training prose once and `documents` generated documents."""
    yield from _passages(False)
    rng = random.Random(f"{seed}/tokenizer")
    for _ in range(documents):
        yield "".join(segment.text for segment in draw_document(rng, 1.0))
