"""The demo's tasks: reproducible, and no test value that has to be copied stands in a training row."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.samples import SIZES, TASKS, write_samples

COPIED = {"extract": ("customer", "item", "town")}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, seed=7)
    return folder


def rows(folder: Path, task: str, split: str) -> list[dict[str, Any]]:
    lines = (folder / task / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("task", TASKS)
def test_splits_have_their_size_and_share_no_prompt(samples: Path, task: str) -> None:
    prompts = {split: [row["prompt"] for row in rows(samples, task, split)] for split in SIZES}
    assert {split: len(found) for split, found in prompts.items()} == SIZES
    everything = [prompt for found in prompts.values() for prompt in found]
    assert len(everything) == len(set(everything))


def test_values_to_extract_are_new_in_the_test_split(samples: Path) -> None:
    def values(split: str) -> set[str]:
        orders = (json.loads(row["completion"]) for row in rows(samples, "extract", split))
        return {order[key] for order in orders for key in COPIED["extract"]}

    assert values("test").isdisjoint(values("train"))


def test_names_to_describe_are_new_in_the_test_split(samples: Path) -> None:
    def names(split: str) -> set[str]:
        return {row["prompt"].split(" | ")[0] for row in rows(samples, "describe", split)}

    assert names("test").isdisjoint(names("train"))


def test_every_order_states_what_its_message_says(samples: Path) -> None:
    for row in rows(samples, "extract", "test"):
        order = json.loads(row["completion"])
        message = row["prompt"].lower()
        assert all(str(value).lower() in message for value in order.values())


def test_every_reference_names_the_product_price_and_maker(samples: Path) -> None:
    for row in rows(samples, "describe", "test"):
        fields = dict(part.split(": ", 1) for part in row["prompt"].removesuffix("\nText:").split(" | "))
        assert len(row["references"]) == 3
        for reference in row["references"]:
            assert all(fields[key] in reference for key in ("name", "price", "maker", "colour", "material"))


def test_the_same_seed_gives_the_same_files_and_another_seed_others(samples: Path, tmp_path: Path) -> None:
    write_samples(tmp_path / "again", seed=7)
    write_samples(tmp_path / "other", seed=8)
    first = (samples / "route" / "train.jsonl").read_bytes()
    assert (tmp_path / "again" / "route" / "train.jsonl").read_bytes() == first
    assert (tmp_path / "other" / "route" / "train.jsonl").read_bytes() != first
