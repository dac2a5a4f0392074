"""The pretraining stream: deterministic, masked where it must be, and honest about what is held out."""

import random

import numpy as np
import pytest
from tokenizers import Tokenizer

from training.pretrain import exercises, mixture, records
from training.pretrain.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rng = random.Random(0)
    text = ("".join(s.text for s in mixture.draw_document(rng, 1.0)) for _ in range(400))
    return train_tokenizer(text, vocabulary=800)


def test_a_batch_depends_on_seed_and_step_alone(tokenizer: Tokenizer) -> None:
    first = mixture.batch(tokenizer, seed=3, step=9, progress=0.5, rows=4, length=64)
    again = mixture.batch(tokenizer, seed=3, step=9, progress=0.5, rows=4, length=64)
    other = mixture.batch(tokenizer, seed=3, step=10, progress=0.5, rows=4, length=64)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == first[1].shape == (4, 64)


def test_only_trained_segments_and_the_end_have_labels(tokenizer: Tokenizer) -> None:
    document = exercises.repeat(random.Random(5))
    ids, labels = mixture.encode(document, tokenizer)
    trained = [i for i, label in zip(ids, labels, strict=True) if label != mixture.IGNORED]
    assert ids[0] == tokenizer.token_to_id(mixture.BOS)
    assert labels[-1] == tokenizer.token_to_id(mixture.EOS)
    assert tokenizer.decode(trained[:-1]) == document[-1].text


def test_held_out_prose_is_never_training_prose() -> None:
    rng = random.Random(1)
    held_out = {mixture.held_out_prose(rng)[0].text for _ in range(300)}
    trained = {mixture.training_prose(rng)[0].text for _ in range(300)}
    assert held_out.isdisjoint(trained)


@pytest.mark.parametrize("seed", range(20))
def test_a_sentence_says_every_field_of_its_record(seed: int) -> None:
    rng = random.Random(seed)
    kind = rng.choice(list(records.KINDS))
    record = records.draw_record(rng, kind)
    said = records.sentence(rng, kind, record)
    assert all(value in said for value in record.values())


def test_the_tokenizer_keeps_any_text_and_splits_digits(tokenizer: Tokenizer) -> None:
    for text in ("Zoë paid £1,234 – twice!", '{"a": [1, 2]}', "  spaced\n\tout ", "日本語"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text
    assert tokenizer.encode("4821", add_special_tokens=False).tokens == ["4", "8", "2", "1"]
