"""What a sweep found: each trial, the best with each value, how much each hyperparameter matters, the best of all."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from adapters.errors import BadInput
from training.record import machine, package_versions
from training.sweep.space import Params, as_number
from training.sweep.study import Search

RECORD, SCHEMA = "sweep.json", 1
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
# Below this a share of importance says nothing.
_FEWEST = 4
_TOP = 0.25


def make_record(search: Search, asked: dict[str, Any], resolve: Callable[[Params], dict[str, Any]]) -> dict[str, Any]:
    """The record without its test; `resolve` gives a trial's whole configuration.

    Raises BadInput when no trial came to a finite loss.
    """
    done = search.done()
    complete = [trial for trial in done if trial.state == TrialState.COMPLETE]
    if not complete:
        raise BadInput(f"none of {len(done)} trials came to a finite loss; lower the learning rates", param="lr")
    best = min(complete, key=lambda trial: trial.values[0])
    return {
        "schema": SCHEMA,
        "kind": "sweep",
        "search": asked["search"],
        "space": asked["space"],
        "base": asked["config"]["base"],
        "data": asked["config"]["data"],
        "method": asked["config"]["method"],
        "chosen_by": "validation loss",
        "trials": [_trial(trial) for trial in done],
        "tried": {name: _tried(name, done) for name in asked["space"]},
        "importance": importance(search.study) if len(complete) >= _FEWEST else None,
        "importance_by": f"PED-ANOVA, the best {_TOP:.0%} of the trials against all (Watanabe et al., 2023)",
        "best": _trial(best) | {"config": resolve(best.params)},
        "seconds": round(sum(trial.user_attrs["seconds"] for trial in done), 1),
        "versions": package_versions() | {"optuna": optuna.__version__},
        "machine": machine(),
    }


def importance(study: optuna.Study) -> dict[str, float]:
    """Shares by hyperparameter, largest first."""
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=_TOP))
    return {name: round(share, 4) for name, share in found.items()}


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    reports = sorted(trial.intermediate_values.items())
    loss = trial.values[0] if trial.state == TrialState.COMPLETE else reports[-1][1] if reports else None
    return {
        "number": trial.number,
        "params": trial.params,
        "state": _STATES[trial.state],
        "valid_loss": loss,
        "curve": [list(report) for report in reports],
        "seconds": trial.user_attrs["seconds"],
        "run": trial.user_attrs["run"],
    }


def _tried(name: str, done: list[FrozenTrial]) -> list[dict[str, Any]]:
    """Each value with the best loss that a trial reached with it; None where all with it were pruned."""
    by_value: dict[Any, list[FrozenTrial]] = {}
    for trial in sorted(done, key=lambda trial: as_number(trial.params[name])):
        by_value.setdefault(trial.params[name], []).append(trial)
    return [
        {
            "value": value,
            "trials": len(trials),
            "best": min((t.values[0] for t in trials if t.state == TrialState.COMPLETE), default=None),
        }
        for value, trials in by_value.items()
    ]
