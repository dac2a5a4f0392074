"""`patchbay compare` on what `patchbay train` made: every approach, answers cut where they end."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import patchbay
from training.config import load_config
from training.train import train


@pytest.fixture(scope="module")
def record(tiny: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("compared")
    for method in ("lora", "full"):
        flags = {"base": str(tiny), "data": str(rows), "method": method, "max_steps": 2, "batch_size": 4, "evals": 1}
        train(load_config(None, flags | {"dtype": "float32"}), folder / method)
    words = [
        "compare",
        "--base",
        tiny,
        "--data",
        rows,
        "--split",
        "valid",
        "--adapter",
        folder / "lora",
        "--full",
        folder / "full",
    ]
    options = ["-k", 2, "--limit", 3, "--max-tokens", 8, "--metric", "rouge_l", "--price-hour", 2, "--out", folder / "c.json"]
    done = CliRunner().invoke(patchbay.app, [str(word) for word in [*words, *options]])
    assert done.exit_code == 0, done.output
    return dict(json.loads((folder / "c.json").read_text()))


def test_every_approach_answers_every_item(record: dict[str, Any]) -> None:
    assert [a["name"] for a in record["approaches"]] == ["zero_shot", "few_shot", "retrieval", "lora", "lora_retrieval", "full"]
    assert all(len(a["answers"]) == record["data"]["n"] == 3 for a in record["approaches"])
    assert all("\n\n" not in answer for a in record["approaches"] for answer in a["answers"])
    assert [a["model"] for a in record["approaches"]] == ["tiny", "tiny", "tiny", "lora", "lora", "full"]


def test_trainings_have_their_cost(record: dict[str, Any]) -> None:
    costs = {a["name"]: a["training"] for a in record["approaches"]}
    assert costs["zero_shot"] is None
    assert costs["lora"]["seconds"] > 0
    assert costs["lora"]["weight_bytes"] < costs["full"]["weight_bytes"]
    assert all(a["money"]["thousand_answers"] > 0 for a in record["approaches"])
