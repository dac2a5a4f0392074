"""`patchbay sweep`: trials by validation loss, then the best one beside its base on the test rows, once."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from pydantic import ValidationError
from tqdm import tqdm

from adapters.base import describe_base, resolve_base
from adapters.errors import BadInput, Conflict
from evaluation import here
from evaluation.evaluate import plan
from evaluation.json_file import write_json
from evaluation.output import check_folder
from evaluation.report import Plan, Report
from evaluation.rows import SPLITS, find_split, load_rows
from evaluation.runs import Run, finished_runs
from evaluation.sources import SUFFIXES
from training.config import ADAPTER_SETTINGS, TrainConfig, refused
from training.data import load_training_data
from training.loop import OnEval
from training.model import require_modules
from training.record import read_json, read_record
from training.sweep.record import RECORD, make_record
from training.sweep.space import Params, Space, ends, folder_name, grid, settings
from training.sweep.study import Search, held
from training.train import train

BEST, _TRIALS = "best.yaml", "trials"
Train = Callable[[TrainConfig, Path, OnEval], dict[str, Any]]
Score = Callable[[Run, Plan], Report]


@dataclass(frozen=True)
class Asked:
    """What varies around `config`, how it is searched, and how the test is scored at the end; `test` None leaves it closed."""

    config: TrainConfig
    space: Space
    search: str
    trials: int
    prune: bool
    test: Path | None
    limit: int | None
    max_tokens: int

    def to_json(self) -> dict[str, Any]:
        """What must be the same for a sweep to go on; how many trials may grow."""
        return {
            "search": self.search,
            "prune": self.prune,
            "space": {name: values.to_json() for name, values in self.space.items()},
            "config": self.config.model_dump(mode="json"),
        }


def test_rows(data: Path) -> Path | None:
    """The test split of a data folder, where there is one."""
    there = {path.stem for path in data.iterdir() if path.suffix in SUFFIXES} if data.is_dir() else set()
    return find_split(data, SPLITS[2]) if SPLITS[2] in there else None


def sweep(asked: Asked, out: Path, train: Train = train, score: Score = here.score) -> dict[str, Any]:
    """Runs what is left of the sweep in `out`; returns its record, which sweep.json holds, and writes best.yaml.

    Raises:
        BadInput: the space or a setting cannot be used. Conflict: `out` holds another sweep, or one whose test was opened.
        KeyboardInterrupt: the same command goes on with what is left.
    """
    combinations, digests = _check(asked, out)
    with held(out):
        search = Search(
            out, asked.to_json() | {"data": digests}, asked.space, combinations, asked.trials, asked.config.seed, asked.prune
        )
        with tqdm(total=search.wanted, initial=len(search.done()), unit="trial", desc="sweep") as bar:
            while (found := search.next()) is not None:
                _try(search, *found, asked, out, train)
                bar.update()
        return _finish(search, asked, out, score)


def _check(asked: Asked, out: Path) -> tuple[list[Params], dict[str, str]]:
    """Whatever can be known to be wrong before the first trial; the combinations of a grid, none for another search, and the data's digests."""
    if asked.config.method == "full" and set(ADAPTER_SETTINGS) & set(asked.space):
        raise BadInput("full fine-tuning has no rank, alpha or dropout; sweep --lr alone", param="method")
    check_folder(out)
    if out.exists() and any(out.iterdir()) and not (out / ".lock").exists():
        raise Conflict(f"{out} is not empty and holds no sweep; choose another --out", param="out")
    combinations = grid(asked.space) if asked.search == "grid" else []
    for params in combinations or ends(asked.space):
        trial_config(asked.config, params)
    config = asked.config
    require_modules(config, describe_base(resolve_base(config.base), config.base))
    valid = Path(config.valid) if config.valid else None
    return combinations, load_training_data(Path(config.data), valid, config.valid_share, config.seed).digests


def _try(search: Search, trial: optuna.Trial, params: Params, asked: Asked, out: Path, train: Train) -> None:
    config = trial_config(asked.config, params)
    folder = out / _TRIALS / folder_name(params)
    began = time.monotonic()

    def watch(step: int, loss: float) -> None:
        trial.report(loss, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    before = read_record(folder) if folder.exists() else None
    loss: float | None
    try:
        # A process killed between the end of a training and its entry here has left a whole run.
        record = before if before and before["status"] == "finished" else train(config, folder, watch)
        loss, seconds = record["loss"]["valid_best"], record["seconds"]
    except optuna.TrialPruned:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        loss, seconds = None, time.monotonic() - began
    search.end(trial, loss, {"seconds": round(seconds, 2), "run": folder.name})
    tqdm.write(f"{folder.name}: " + ("pruned" if loss is None else f"validation loss {loss:.4f}"))


def trial_config(config: TrainConfig, params: Params) -> TrainConfig:
    """The configuration of a trial. Raises BadInput for a value that training does not take."""
    try:
        return TrainConfig(**(config.model_dump() | settings(params, config.rank)))
    except ValidationError as error:
        raise refused(error, f"trial {folder_name(params)}: ") from error


def _finish(search: Search, asked: Asked, out: Path, score: Score) -> dict[str, Any]:
    record = make_record(search, asked.to_json(), lambda params: trial_config(asked.config, params).resolved())
    before = read_json(out / RECORD, "sweep") if (out / RECORD).is_file() else {}
    record["test"] = before.get("test")
    text = yaml.safe_dump({key: value for key, value in record["best"]["config"].items() if value is not None}, sort_keys=False)
    (out / BEST).write_text(text, encoding="utf-8")
    if asked.test is not None and record["test"] is None:
        prepared = plan(load_rows(asked.test), (), limit=asked.limit, max_tokens=asked.max_tokens, seed=asked.config.seed)
        best = next(run for run in finished_runs(out / _TRIALS) if run.folder.name == record["best"]["run"])
        search.open_test()
        record["test"] = score(best, prepared).to_json() | {"rows": asked.test.name}
    write_json(out / RECORD, record)
    return record
