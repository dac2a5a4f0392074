"""Rows become examples: token ids, labels on the completion only, and the padding of a batch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from adapters.errors import BadInput
from evaluation.digest import file_digest
from evaluation.rows import Row, find_split, load_rows
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
        files = [find_split(data, "train")]
        if valid is None and any(path.stem == "valid" for path in data.iterdir()):
            valid = find_split(data, "valid")
    else:
        files = [data]
    train = load_rows(files[0], need="training")
    held = _validation_rows(valid) if valid else None
    digests = _digests([*files, *([valid] if valid else [])])
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


def _digests(files: Sequence[Path]) -> dict[str, str]:
    """By name, or by path where two folders' files have one name."""
    names = [path.name for path in files]
    return {path.name if names.count(path.name) == 1 else str(path): file_digest(path) for path in files}


def _validation_rows(path: Path) -> list[Row]:
    """Rows with something to score; where only references are given, the first stands for the answer."""
    rows = load_rows(path)
    return [replace(row, completion=_joined(row)) if row.answer is None and row.prompt else row for row in rows]


def _joined(row: Row) -> str:
    """The first reference as a completion: a blank parts it from the prompt, as training rows have it."""
    first = row.references[0]
    return first if (row.prompt or "").endswith((" ", "\n")) else f" {first}"


def encode_examples(rows: Sequence[Row], tokenizer: Any, max_length: int) -> tuple[list[Example], int]:
    """Examples with `input_ids`, `labels` and `length`; and how many rows were left out as too long.

    A row longer than `max_length` is left out rather than cut: a cut completion would teach the model
    never to stop. Raises BadInput when none is left.
    """
    examples: list[Example] = []
    for row in rows:
        encoded = encode_row(row, tokenizer)
        ids = list(encoded.ids)
        if len(ids) <= max_length:
            labels = [IGNORED] * len(encoded.prompt_ids) + list(encoded.completion_ids)
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
