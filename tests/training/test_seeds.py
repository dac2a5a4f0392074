"""Several seeds in one call: each a run of its own, the finished ones kept, and their spread."""

import pickle
import shutil
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from adapters.errors import BadInput, Conflict
from training.config import TrainConfig
from training.record import read_record
from training.seeds import train_seeds


def sent_and_called(work: Any, *given: Any) -> Any:
    """What another process would be sent and do, without the seconds it takes to start; tests of training.fresh start one."""
    work, given = pickle.loads(pickle.dumps((work, given)))
    return pickle.loads(pickle.dumps(work(*given)))


def test_seeds_are_runs_and_finished_ones_are_kept(
    tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.seeds.in_fresh_process", sent_and_called)
    data = shutil.copytree(rows, tmp_path / "data")
    config = TrainConfig(base=str(tiny), data=str(data), rank=4, max_steps=2, batch_size=4, evals=1, dtype="float32")
    first = train_seeds(config, [1], tmp_path)
    assert first["figures"]["valid_best"]["deviation"] is None
    written = (tmp_path / "seed-1" / "run.json").stat().st_mtime_ns
    both = train_seeds(config, [1, 2], tmp_path)
    assert (tmp_path / "seed-1" / "run.json").stat().st_mtime_ns == written
    losses = [read_record(tmp_path / name)["loss"]["valid_best"] for name in ("seed-1", "seed-2")]  # type: ignore[index]
    assert losses[0] != losses[1]
    assert both["figures"]["valid_best"]["values"] == losses
    assert both["figures"]["valid_best"]["deviation"] == pytest.approx(stdev(losses), abs=1e-5)
    with pytest.raises(Conflict, match="another config"):
        train_seeds(config.model_copy(update={"rank": 8}), [3, 2], tmp_path)
    (data / "train.jsonl").write_text((data / "train.jsonl").read_text().replace("Number 3:", "Number three:"))
    with pytest.raises(Conflict, match=r"seed-2 was begun with other data: train\.jsonl changed"):
        train_seeds(config, [3, 2], tmp_path)
    assert not (tmp_path / "seed-3").exists(), "nothing is trained before all is known to fit"


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_given_once_each(seeds: list[int], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give each once"):
        train_seeds(TrainConfig(data="x"), seeds, tmp_path)
