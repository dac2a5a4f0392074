"""A condition on a switch: a version goes live only if a measured score is better than a number, or than what is live."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.errors import Conflict
from adapters.evaluation_records import EvaluationRecords
from adapters.state import Adapter, Version
from evaluation.scores import METRICS

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Requirement(BaseModel):
    """`evaluation` must have scored the version; its `metric` must be better than a number, or than the live version's on the same rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation: str = Field(max_length=60)
    metric: str = Field(max_length=40)
    better_than: Literal["live"] | Number


class Gate:
    """Looks at evaluations that ran on the base with the digest `base`; a score on other weights proves nothing here."""

    def __init__(self, records: EvaluationRecords, base: str) -> None:
        self._records, self._base = records, base

    def check(self, asked: Requirement, adapter: Adapter, version: Version) -> dict[str, Any]:
        """What was compared, for the audit trail.

        Raises:
            NotFound: there is no such evaluation.
            Conflict: it proves nothing of this version, or the score is not better.
        """
        evaluation = self._records.get(asked.evaluation)
        value = self._value(evaluation, asked.metric, version)
        if isinstance(asked.better_than, float):
            than, whose = asked.better_than, "what was asked for"
        else:
            than, whose = self._live_value(evaluation, asked, adapter)
        higher = METRICS[asked.metric].higher_is_better
        if not (value > than if higher else value < than):
            raise _unmet(
                f"{asked.metric} is {value:g}, {whose} is {than:g}, and {'more' if higher else 'less'} is better; nothing was changed"
            )
        return {
            "evaluation": asked.evaluation,
            "metric": asked.metric,
            "value": value,
            "better_than": asked.better_than,
            "than": than,
        }

    def _value(self, evaluation: dict[str, Any], metric: str, version: Version) -> float:
        about = f"the evaluation {evaluation['id']}"
        if evaluation["status"] != "completed":
            raise _unmet(f"{about} is {evaluation['status']}; wait until it has completed")
        if evaluation["model"] != version.engine_name:
            raise _unmet(f"{about} is of {evaluation['model']}, not of {version.engine_name}")
        if evaluation.get("base", {}).get("digest") != self._base:
            raise _unmet(f"{about} ran on another base than the one that is served; run it again")
        return self._figure(evaluation, metric, "value")

    def _figure(self, evaluation: dict[str, Any], metric: str, which: str) -> float:
        figure = (evaluation["scores"].get(metric) or {}).get(which)
        if figure is None:
            holds = ", ".join(sorted(evaluation["scores"])) or "none"
            raise _unmet(f"the evaluation {evaluation['id']} has no {metric}; it has {holds}")
        return float(figure)

    def _live_value(self, evaluation: dict[str, Any], asked: Requirement, adapter: Adapter) -> tuple[float, str]:
        """The live version's score: the evaluation's baseline, or another evaluation of identical items."""
        live = adapter.live_version
        if live is None:
            raise _unmet(f"{adapter.name!r} has no live version to be better than; give a number")
        if evaluation["baseline"] == live.engine_name:
            return self._figure(evaluation, asked.metric, "baseline"), f"that of {live.engine_name}"
        for other in self._of(live, evaluation):
            if asked.metric in other["scores"]:
                return self._figure(other, asked.metric, "value"), f"that of {live.engine_name}"
        raise _unmet(
            f"nothing compares the two on the same rows: run the evaluation with the baseline {live.engine_name}, "
            "or another of it with the same rows and max_tokens"
        )

    def _of(self, live: Version, evaluation: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for other in self._records.all("completed", live.digest):
            same = all(other.get(key) == evaluation[key] for key in ("items", "base"))
            if same and other["model"] == live.engine_name and _tokens(other) == _tokens(evaluation):
                yield other


def _tokens(evaluation: dict[str, Any]) -> Any:
    return evaluation["request"]["max_tokens"]


def _unmet(message: str) -> Conflict:
    return Conflict(message, param="require", code="requirement_not_met")
