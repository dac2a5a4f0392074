"""A run folder that is there: what goes on, and what is counted."""

import time
from pathlib import Path
from typing import Any

import pytest

from training.config import TrainConfig, load_config
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
