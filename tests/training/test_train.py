"""A run folder that is there: what goes on, and what is counted."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Conflict
from training.config import TrainConfig, load_config
from training.data import load_training_data
from training.train import train


class Killed(Exception):
    """Ends a training without a word, as SIGKILL does."""


def asked(tiny: Path, rows: Path, **changes: Any) -> TrainConfig:
    flags = {"base": str(tiny), "data": str(rows), "rank": 4, "max_steps": 4, "evals": 2, "batch_size": 4, "dtype": "float32"}
    return load_config(None, flags | changes)


def killed_at(step: int) -> Any:
    """An `on_eval` that ends the training at a validation, before its checkpoint."""

    def on_eval(now: int, loss: float) -> None:
        if now == step:
            raise Killed

    return on_eval


def test_seconds_are_those_of_every_process(tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, late = time.monotonic, [0.0]
    monkeypatch.setattr("training.clock.time.monotonic", lambda: now() + late[0])

    def on_eval(step: int, loss: float) -> None:
        late[0] += 1000
        killed_at(4)(step, loss)

    with pytest.raises(Killed):
        train(asked(tiny, rows), tmp_path / "run", on_eval)
    record = train(asked(tiny, rows), tmp_path / "run")
    assert 1000 < record["seconds"] < 2000, "those until the checkpoint at step 2 count, those of lost steps do not"
    assert record["tokens_per_second"] == pytest.approx(record["tokens"] / record["seconds"], abs=0.1)


def test_the_curves_have_each_step_once(tiny: Path, rows: Path, tmp_path: Path) -> None:
    """Steps that a kill threw away are done again; it may have been in the middle of a line."""
    curves = tmp_path / "run" / "curves.jsonl"
    with pytest.raises(Killed):
        train(asked(tiny, rows), tmp_path / "run", killed_at(4))
    assert any(json.loads(line)["step"] > 2 for line in curves.read_text().splitlines())
    with curves.open("a") as file:
        file.write('{"step": 2, "ti')
    train(asked(tiny, rows), tmp_path / "run")
    entries = [json.loads(line) for line in curves.read_text().splitlines()]
    assert [entry["step"] for entry in entries if "eval_loss" in entry] == [2, 4]
    steps = [entry["step"] for entry in entries if "loss" in entry]
    assert steps == sorted(set(steps))


def test_a_checkpoint_that_was_being_written_is_passed_over(tiny: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(asked(tiny, rows), tmp_path / "run", killed_at(4))
    (tmp_path / "run" / "checkpoints" / "checkpoint-4").mkdir()
    assert train(asked(tiny, rows), tmp_path / "run")["steps"] == 4


def test_a_run_goes_on_with_its_own_data_alone(tiny: Path, rows: Path, tmp_path: Path) -> None:
    data = shutil.copytree(rows, tmp_path / "data")
    with pytest.raises(Killed):
        train(asked(tiny, data), tmp_path / "run", killed_at(4))
    with (data / "valid.jsonl").open("a") as file:
        file.write('{"prompt": "Number 40:", "completion": " the 40 comes after 39"}\n')
    with pytest.raises(Conflict, match=r"other data: valid\.jsonl changed.*another --out"):
        train(asked(tiny, data), tmp_path / "run")
    shutil.copytree(rows, data, dirs_exist_ok=True)
    assert train(asked(tiny, data), tmp_path / "run")["steps"] == 4


def test_two_files_of_one_name_have_a_digest_each(rows: Path, tmp_path: Path) -> None:
    other = shutil.copy(rows / "valid.jsonl", tmp_path / "train.jsonl")
    digests = load_training_data(rows, other, 0.1, 1).digests
    assert set(digests) == {str(rows / "train.jsonl"), str(other)}
