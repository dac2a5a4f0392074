"""What a quantized base is fitted to: texts, each read under the adapter that it is for, if there is one.

GPTQ makes a layer's output for the inputs that it is shown the same as before. Under an adapter a layer's inputs are others than
without it: a base that shall serve adapters is fitted to what its layers see with them.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.utils.data import DataLoader

from adapters.archive import adapter_files
from adapters.base import Base
from adapters.check import check_adapter
from adapters.errors import BadInput
from adapters.limits import LOCAL
from evaluation.rows import Row, load_rows
from evaluation.tokens import encode_prompt, encode_row
from training.model import load_tokenizer

SAMPLES = 256
LENGTH = 512


@dataclass(frozen=True)
class Texts:
    """Token ids of at most SAMPLES texts of at most LENGTH tokens, where they are from, and the folder of their adapter's files."""

    source: str
    ids: list[list[int]]
    adapter: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Where they are from, and how many."""
        return {"calibration": self.source, "samples": len(self.ids)} | ({"adapter": str(self.adapter)} if self.adapter else {})


def texts_of(base: Base, files: Sequence[Path], adapters: Sequence[Path], seed: int = 1) -> list[Texts]:
    """The rows of each file, drawn by the seed, for the adapter in the same place.

    Without any file: the documentation of Python's standard library, text that every machine has.

    Raises:
        BadInput: not as many files as adapters, or more than one and no adapter.
        AdapterRefused: a folder is no adapter's, or one that does not fit the base.
    """
    if len(files) != (len(adapters) or min(len(files), 1)):
        raise BadInput(
            f"{len(files)} files to calibrate with and {len(adapters)} adapters; give each --adapter a --calibration of its own, "
            "in the same order, such as the rows that it was trained on",
            param="calibration",
        )
    folders: list[Path | None] = [_checked(adapter, base) for adapter in adapters]
    tokenizer = load_tokenizer(base)
    sources = [(str(file), load_rows(file)) for file in files] or [("standard library", _plain_rows())]
    made = []
    for (name, rows), folder in zip(sources, folders or [None], strict=True):
        drawn = random.Random(seed).sample(rows, min(SAMPLES, len(rows)))
        made.append(Texts(name, [list(_text_ids(row, tokenizer))[:LENGTH] for row in drawn], folder))
    return made


def _checked(adapter: Path, base: Base) -> Path:
    folder = adapter_files(adapter)[0].parent
    check_adapter(folder, "calibration", base, LOCAL)
    return folder


def _text_ids(row: Row, tokenizer: Any) -> tuple[int, ...]:
    if row.text is None and row.answer is None:
        return encode_prompt(row.question or "", tokenizer)
    return encode_row(row, tokenizer).ids


def _plain_rows() -> list[Row]:
    """Docstrings of the standard library."""
    import argparse
    import inspect
    import json
    import logging
    import pathlib
    import subprocess

    found = []
    for module in (argparse, json, logging, pathlib, subprocess):
        for _, member in inspect.getmembers(module, inspect.isclass):
            found += [text for _, part in inspect.getmembers(member) if (text := inspect.getdoc(part)) and len(text) > 80]
    return [Row(line=n, text=text) for n, text in enumerate(sorted(set(found)), start=1)]


def batches(texts: Sequence[Texts]) -> "DataLoader[Any]":
    """One text of each in every batch, about as long as one another and all cut to the shortest: no padding, which layers would be fitted to."""
    ordered = [sorted(part.ids, key=len) for part in texts]
    made = []
    for number in range(max(map(len, ordered))):
        rows = [ids[number * len(ids) // max(map(len, ordered))] for ids in ordered]
        cut = torch.tensor([row[: min(map(len, rows))] for row in rows])
        made.append({"input_ids": cut, "attention_mask": torch.ones_like(cut)})
    return DataLoader(made, batch_size=None)  # type: ignore[arg-type]  # a list is what it takes


@contextlib.contextmanager
def adapted(model: Any, texts: Sequence[Texts]) -> Iterator[list[str]]:
    """The model with the texts' adapters on its layers for the time being; the names of the modules that this adds.

    The first text of a batch goes through the first adapter, and so on.
    """
    folders = [part.adapter for part in texts if part.adapter is not None]
    if not folders:
        yield []
        return
    names = [str(number) for number in range(len(folders))]
    wrapped = PeftModel.from_pretrained(model, str(folders[0]), adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        wrapped.load_adapter(str(folder), adapter_name=name)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}

    def choose(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"adapter_names": names}

    for layer in layers.values():
        layer.register_forward_pre_hook(choose, with_kwargs=True)
    wrapped.eval()
    try:
        yield [name for name, _ in model.named_modules() if name in layers or ".lora_" in name]
    finally:
        wrapped.unload()
