"""Rows become examples: token ids, labels on the completion only, and the padding of a batch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adapters.errors import BadInput
from evaluation.rows import Row, file_digest, load_rows, load_split
from evaluation.tokens import encode_row

IGNORED = -100
Example = dict[str, Any]


@dataclass(frozen=True)
class TrainingData:
    """The two splits, where they came from, and how many rows were too long to be used whole."""

    train: list[Row]
    valid: list[Row]
    digests: dict[str, str]
    valid_from: str


def load_training_data(data: Path, valid: Path | None, share: float, seed: int) -> TrainingData:
    """Training and validation rows: from a folder's train and valid files, from two files, or by holding rows out.

    Raises:
        BadInput: no data, or too few rows to hold any out.
    """
    if data.is_dir():
        train = load_split(data, "train")
        if train is None:
            raise BadInput(f"{data} has no train.jsonl, train.csv or train.parquet", param="data")
        digests = {path.name: file_digest(path) for path in sorted(data.iterdir()) if path.stem in ("train", "valid")}
        held = load_rows(valid) if valid else load_split(data, "valid")
    else:
        train = load_rows(data)
        digests = {data.name: file_digest(data)}
        held = load_rows(valid) if valid else None
    if valid:
        digests[valid.name] = file_digest(valid)
    if held is not None:
        return TrainingData(train, held, digests, "a file")
    count = max(1, round(share * len(train)))
    if len(train) < 2:
        raise BadInput(f"{data} has one row; training needs at least two, or a validation file (--valid)", param="data")
    order = list(range(len(train)))
    random.Random(seed).shuffle(order)
    chosen = set(order[:count])
    return TrainingData(
        [row for i, row in enumerate(train) if i not in chosen],
        [row for i, row in enumerate(train) if i in chosen],
        digests,
        f"{count} rows held out of {data.name} by seed {seed}",
    )


def encode_examples(rows: Sequence[Row], tokenizer: Any, max_length: int) -> tuple[list[Example], int]:
    """Examples with `input_ids`, `labels` and `length`; and how many rows were left out as too long.

    A row longer than `max_length` is left out rather than cut: a cut completion would teach the model
    never to stop. Raises BadInput when none is left.
    """
    examples: list[Example] = []
    for row in rows:
        encoded = encode_row(row, tokenizer)
        ids = encoded.prompt + encoded.completion
        if len(ids) <= max_length:
            labels = [IGNORED] * len(encoded.prompt) + encoded.completion
            examples.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    if not examples:
        raise BadInput(
            f"each of the {len(rows)} rows is longer than {max_length} tokens; shorten them or raise --max-length", param="data"
        )
    return examples, len(rows) - len(examples)


class Collator:
    """Pads a batch to its longest row; every tensor is (rows, longest)."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """The batch's `input_ids`, `attention_mask` and `labels`."""
        longest = max(len(example["input_ids"]) for example in examples)

        def pad(name: str, value: int) -> torch.Tensor:
            return torch.tensor([example[name] + [value] * (longest - len(example[name])) for example in examples])

        mask = torch.tensor([[1] * len(e["input_ids"]) + [0] * (longest - len(e["input_ids"])) for e in examples])
        return {"input_ids": pad("input_ids", self.pad_id), "attention_mask": mask, "labels": pad("labels", IGNORED)}
