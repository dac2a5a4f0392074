"""The state of a sweep in SQLite, by optuna: what was tried, what waits, and what a killed process left half done."""

import fcntl
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from adapters.errors import Conflict
from training.same import require_same_data
from training.sweep.space import Params, Space, draw

NAME = "sweep.db"
_ASKED, _OPENED, _DONE = "asked", "test_opened", (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# Trials that run to their end before any is pruned, and evaluations that each trial has before it may be.
_UNPRUNED, _WARMUP = 4, 1


class Search:
    """The trials of one sweep. A trial that a killed process left is tried again, not counted twice."""

    def __init__(
        self, out: Path, asked: dict[str, Any], space: Space, combinations: list[Params], trials: int, seed: int, prune: bool
    ) -> None:
        """Opens or begins the study in `out`: over the combinations, or without any over so many draws. Raises Conflict when it holds another sweep, one of other data, or one whose test was opened."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.wanted = space, len(combinations) or trials
        pruner = optuna.pruners.MedianPruner(_UNPRUNED, n_warmup_steps=_WARMUP) if prune else optuna.pruners.NopPruner()
        self.study = optuna.create_study(
            study_name="sweep",
            storage=f"sqlite:///{(out / NAME).absolute()}",
            load_if_exists=True,
            pruner=pruner,
        )
        # A sampler begins with its draws anew in each process: after an interruption it would ask for what was tried before it.
        self.study.sampler = optuna.samplers.TPESampler(seed=seed + len(self.study.get_trials(deepcopy=False)))
        self._require_same(asked, out)
        if self.opened and len(self.done()) < self.wanted:
            raise Conflict(
                f"the test of {out} was opened after {len(self.done())} trials; more of them would be chosen on it. "
                "Give another --out",
                param="out",
            )
        for params in combinations:
            self.study.enqueue_trial(params, skip_if_exists=True)
        self._put_back()

    def _require_same(self, asked: dict[str, Any], out: Path) -> None:
        before = self.study.user_attrs.get(_ASKED)
        # Through JSON, as the database has it.
        now = json.loads(json.dumps(asked))
        if before is None:
            self.study.set_user_attr(_ASKED, now)
        elif before != now:
            require_same_data(before.get("data", {}), now["data"], out)
            changed = ", ".join(
                f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in now if before.get(key) != now[key]
            )
            raise Conflict(f"{out} holds another sweep ({changed}); give the same settings, or another --out", param="out")

    def _put_back(self) -> None:
        """Trials that were running when their process ended: their parameters wait again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            params = trial.params or trial.system_attrs.get("fixed_params")
            self.study.tell(trial.number, state=TrialState.FAIL)
            if params:
                self.study.enqueue_trial(params, user_attrs={"again": trial.number})

    def done(self) -> list[optuna.trial.FrozenTrial]:
        """Trials that came to an end: whole, pruned, or without a finite loss. Those that were put back are not among them."""
        ended = self.study.get_trials(deepcopy=False, states=_DONE)
        return [trial for trial in ended if trial.state != TrialState.FAIL or "loss" in trial.user_attrs]

    def next(self) -> tuple[optuna.Trial, Params] | None:
        """The next trial and its parameters; None when as many as were asked for are done."""
        if len(self.done()) >= self.wanted:
            return None
        trial = self.study.ask()
        return trial, draw(self.space, trial)

    def end(self, trial: optuna.Trial, loss: float | None, facts: dict[str, Any]) -> None:
        """A trial ended with a loss, or was pruned (None). What is not finite counts as failed."""
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        if loss is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif math.isfinite(loss):
            self.study.tell(trial, loss)
        else:
            trial.set_user_attr("loss", str(loss))
            self.study.tell(trial, state=TrialState.FAIL)

    @property
    def opened(self) -> bool:
        """Whether the test was looked at."""
        return bool(self.study.user_attrs.get(_OPENED))

    def open_test(self) -> None:
        """From now on nothing more is tried."""
        self.study.set_user_attr(_OPENED, True)


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Nobody else sweeps into this folder meanwhile. Raises Conflict when another process does."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another sweep is running in {out}; wait for it, or give another --out", param="out") from error
        yield
