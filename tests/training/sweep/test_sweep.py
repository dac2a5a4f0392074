"""A sweep tries each combination once whatever interrupts it, prunes what lags, and opens its test a single time."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

import evaluation.runs
from adapters.errors import BadInput, Conflict, NotFound
from evaluation.report import Plan, Report
from training.config import TrainConfig, load_config
from training.notebook.records import read_records
from training.sweep.run import Asked, OnEval, sweep
from training.sweep.space import Range, Values, grid, read_space, settings
from training.sweep.study import held


class Trainer:
    """Stands in for training: the loss is the distance from rank 8 and from a rate of 1e-3, told twice on the way."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.made: list[str] = []
        self.fail_at = fail_at

    def __call__(self, config: TrainConfig, out: Path, on_eval: OnEval) -> dict[str, Any]:
        if len(self.made) == self.fail_at:
            raise KeyboardInterrupt
        self.made.append(out.name)
        loss = abs(config.rank - 8) / 8 + 100 * abs(config.resolved_lr - 1e-3) + 0.1
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
        for step in (10, 20, 30):
            on_eval(step, loss * 40 / step)
        (out / "adapter").mkdir()
        record = {
            "kind": "run", "status": "finished", "config": config.resolved(), "loss": {"valid_best": loss}, "seconds": 1.5,
        }  # fmt: skip
        (out / "run.json").write_text(json.dumps(record))
        return record


class Scorer:
    """Counts how often the test was looked at."""

    def __init__(self) -> None:
        self.scored: list[str] = []

    def __call__(self, run: evaluation.runs.Run, prepared: Plan) -> Report:
        self.scored.append(run.folder.name)
        scores = {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0, "baseline": 0.1}}
        return Report({"n": len(prepared.rows), "scores": scores}, [], {})


SPACE = {"rank": "4,8,16", "lr": "1e-3,3e-3"}


def asked(tmp_path: Path, space: dict[str, str] | None = None, **changes: Any) -> Asked:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    for split in ("train", "test"):
        (data / f"{split}.jsonl").write_text("".join(f'{{"prompt": "{n}", "completion": " a"}}\n' for n in range(5)))
    config = TrainConfig(data=str(data), method=changes.pop("method", "lora"))
    told = {"search": "grid", "trials": 6, "prune": False, "test": data / "test.jsonl", "limit": None, "max_tokens": 8}
    return Asked(config=config, space=read_space(space or SPACE), **(told | changes))


def test_every_combination_is_tried_and_the_best_is_written(tmp_path: Path) -> None:
    trainer, scorer = Trainer(), Scorer()
    record = sweep(asked(tmp_path), tmp_path / "out", trainer, scorer)
    assert len(trainer.made) == len(set(trainer.made)) == 6
    assert record["best"]["params"] == {"rank": 8, "lr": 0.001}
    assert record["best"]["valid_loss"] == pytest.approx(0.1)
    assert [(e["value"], round(e["best"], 3)) for e in record["tried"]["rank"]] == [(4, 0.6), (8, 0.1), (16, 1.1)]
    assert set(record["importance"]) == {"rank", "lr"}
    assert scorer.scored == ["rank-8_lr-0.001"]
    assert record["test"]["scores"]["accuracy"]["value"] == 0.9
    config = load_config(tmp_path / "out" / "best.yaml", {})
    assert (config.rank, config.lr, config.resolved_alpha) == (8, 0.001, 16)
    assert json.loads((tmp_path / "out" / "sweep.json").read_text()) == record


def test_an_interrupted_sweep_goes_on_with_what_is_left(tmp_path: Path) -> None:
    trainer, scorer = Trainer(fail_at=2), Scorer()
    with pytest.raises(KeyboardInterrupt):
        sweep(asked(tmp_path), tmp_path / "out", trainer, scorer)
    assert not scorer.scored
    trainer.fail_at = None
    record = sweep(asked(tmp_path), tmp_path / "out", trainer, scorer)
    assert sorted(trainer.made) == sorted(set(trainer.made))
    assert len(record["trials"]) == len(trainer.made) == 6


def test_an_interrupted_search_draws_on_and_not_from_the_start(tmp_path: Path) -> None:
    trainer, tpe = Trainer(), {"rank": "4:64", "lr": "1e-4:1e-2"}
    for ends in (2, 4, None):
        trainer.fail_at = ends
        with pytest.raises(KeyboardInterrupt) if ends else nullcontext():
            record = sweep(asked(tmp_path, tpe, search="tpe", trials=6), tmp_path / "out", trainer, Scorer())
    assert len({json.dumps(trial["params"]) for trial in record["trials"]}) == len(record["trials"]) == 6


def test_a_whole_run_without_an_entry_is_not_trained_again(tmp_path: Path) -> None:
    """As a process leaves it that was killed after training."""

    class Killed(Trainer):
        def __call__(self, config: TrainConfig, out: Path, on_eval: OnEval) -> dict[str, Any]:
            super().__call__(config, out, on_eval)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(asked(tmp_path), tmp_path / "out", Killed(), Scorer())
    trainer = Trainer()
    record = sweep(asked(tmp_path), tmp_path / "out", trainer, Scorer())
    assert len(trainer.made) == 5
    assert len(record["trials"]) == 6


def test_the_test_is_opened_once_and_then_nothing_more_is_tried(tmp_path: Path) -> None:
    scorer = Scorer()
    tpe = {"rank": "4:16", "lr": "1e-4:1e-2"}
    first = sweep(asked(tmp_path, tpe, search="tpe", trials=4), tmp_path / "out", Trainer(), scorer)
    again = sweep(asked(tmp_path, tpe, search="tpe", trials=4), tmp_path / "out", Trainer(), scorer)
    assert again["test"] == first["test"]
    assert len(scorer.scored) == 1
    with pytest.raises(Conflict, match="was opened after 4 trials"):
        sweep(asked(tmp_path, tpe, search="tpe", trials=8), tmp_path / "out", Trainer(), scorer)


def test_more_trials_while_the_test_is_closed(tmp_path: Path) -> None:
    tpe = {"rank": "4:16", "lr": "1e-4:1e-2"}
    for trials in (3, 5):
        record = sweep(asked(tmp_path, tpe, search="tpe", trials=trials, test=None), tmp_path / "out", Trainer(), Scorer())
        assert len(record["trials"]) == trials
    assert record["test"] is None
    assert all(1e-4 <= trial["params"]["lr"] <= 1e-2 and 4 <= trial["params"]["rank"] <= 16 for trial in record["trials"])


def test_what_lags_is_pruned(tmp_path: Path) -> None:
    space = {"rank": "8,9,10,11,12,64"}
    record = sweep(asked(tmp_path, space, prune=True), tmp_path / "out", Trainer(), Scorer())
    states = {trial["params"]["rank"]: trial["state"] for trial in record["trials"]}
    assert states == {8: "complete", 9: "complete", 10: "complete", 11: "complete", 12: "pruned", 64: "pruned"}
    assert record["tried"]["rank"][-1] == {"value": 64, "trials": 1, "best": None}
    assert not (tmp_path / "out" / "trials" / "rank-64" / "checkpoints").exists()


def test_a_loss_that_is_no_number_fails_its_trial_alone(tmp_path: Path) -> None:
    class Diverging(Trainer):
        def __call__(self, config: TrainConfig, out: Path, on_eval: OnEval) -> dict[str, Any]:
            record = super().__call__(config, out, lambda step, loss: None)
            return record | {"loss": {"valid_best": float("nan")}} if config.rank == 4 else record

    record = sweep(asked(tmp_path, {"rank": "4,8"}), tmp_path / "out", Diverging(), Scorer())
    assert [trial["state"] for trial in record["trials"]] == ["failed", "complete"]
    assert record["importance"] is None
    with pytest.raises(BadInput, match="none of 1 trials"):
        sweep(asked(tmp_path, {"rank": "4"}), tmp_path / "other", Diverging(), Scorer())


def test_another_sweep_is_not_mixed_in(tmp_path: Path) -> None:
    sweep(asked(tmp_path), tmp_path / "out", Trainer(), Scorer())
    with pytest.raises(Conflict, match=r"space was .*4, 8, 16.* is .*4, 8\]"):
        sweep(asked(tmp_path, {"rank": "4,8", "lr": "1e-3,3e-3"}), tmp_path / "out", Trainer(), Scorer())
    before = (tmp_path / "data" / "train.jsonl").read_text()
    same = asked(tmp_path)
    (tmp_path / "data" / "train.jsonl").write_text(before + before)
    with pytest.raises(Conflict, match=r"other data: train\.jsonl changed"):
        sweep(same, tmp_path / "out", Trainer(), Scorer())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict, match="holds no sweep"):
        sweep(asked(tmp_path), tmp_path / "full", Trainer(), Scorer())
    with held(tmp_path / "out"), pytest.raises(Conflict, match="another sweep is running"):
        sweep(asked(tmp_path), tmp_path / "out", Trainer(), Scorer())


def test_spaces() -> None:
    space = read_space({"rank": "4,8", "alpha": "1r,32", "dropout": None, "lr": "1e-4:1e-2"})
    assert space == {"rank": Values((4, 8)), "alpha": Values(("1r", 32.0)), "lr": Range(1e-4, 1e-2, whole=False)}
    assert settings({"rank": 8, "alpha": "2r"}, 16) == {"rank": 8, "alpha": 16.0}
    assert settings({"alpha": "2r"}, 16) == {"alpha": 32.0}
    assert grid(read_space({"rank": "4,8", "lr": "1e-3"})) == [{"rank": 4, "lr": 1e-3}, {"rank": 8, "lr": 1e-3}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "nothing varies"),
        ({"rank": "4.5"}, "whole numbers"),
        ({"rank": "4,inf"}, "whole numbers"),
        ({"rank": "nan"}, "whole numbers"),
        ({"rank": "4,x"}, "--rank is '4,x'"),
        ({"lr": "1e-2:1e-4"}, "the lower first"),
        ({"lr": "r"}, "--lr is 'r'"),
    ],
)
def test_spaces_that_cannot_be_read(given: dict[str, str | None], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_space(given)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"rank": "-2,4"}, "trial rank--2: rank: Input should be greater than or equal to 1, got -2"),
        ({"lr": "nan,1e-3"}, "trial lr-nan: lr: Input should be less than 1, got nan"),
        ({"alpha": "0r,1r"}, "trial alpha-0r: alpha: Input should be greater than 0, got 0.0"),
    ],
)
def test_a_value_that_training_does_not_take_is_named_on_one_line(space: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as found:
        sweep(asked(tmp_path, space), tmp_path / "out", Trainer(), Scorer())
    assert found.value.message == says


def test_what_cannot_be_swept_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a grid needs values"):
        sweep(asked(tmp_path, {"lr": "1e-4:1e-2"}), tmp_path / "a", Trainer(), Scorer())
    with pytest.raises(BadInput, match="full fine-tuning has no rank"):
        sweep(asked(tmp_path, method="full"), tmp_path / "b", Trainer(), Scorer())
    with pytest.raises(BadInput, match="lr-5"):
        sweep(asked(tmp_path, {"lr": "5"}), tmp_path / "c", Trainer(), Scorer())
    with pytest.raises(BadInput, match="lr-5"):
        sweep(asked(tmp_path, {"lr": "1e-3:5"}, search="tpe"), tmp_path / "d", Trainer(), Scorer())
    gone = asked(tmp_path)
    (tmp_path / "data" / "train.jsonl").unlink()
    with pytest.raises(NotFound, match="no train split"):
        sweep(gone, tmp_path / "e", Trainer(), Scorer())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_real_sweep_of_a_tiny_base(tiny: Path, rows: Path, tmp_path: Path) -> None:
    config = TrainConfig(base=str(tiny), data=str(rows), max_steps=4, batch_size=4, evals=2, rank=4, dtype="float32")
    told = Asked(config, read_space({"lr": "1e-6,1e-2"}), "grid", 2, True, None, None, 8)
    record = sweep(told, tmp_path / "out")
    assert record["best"]["params"] == {"lr": 1e-2}
    assert [len(trial["curve"]) for trial in record["trials"]] == [2, 2]
    found = read_records([tmp_path / "out"])
    assert found.last("sweep")["best"]["config"]["lr"] == 1e-2  # type: ignore[index]
    assert not found.of("run"), "trials are the sweep's own"
    assert yaml.safe_load((tmp_path / "out" / "best.yaml").read_text())["lr"] == 1e-2
