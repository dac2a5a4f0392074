"""probes.json: fixed prompts with the log-probabilities that the trainer's PEFT model gave them."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.archive import PROBES
from adapters.base import Base
from adapters.errors import Problem
from adapters.json_file import read_json
from adapters.limits import Limits


class Probe(BaseModel):
    """`adapter_logprobs[i]` is the natural log-probability of token i + 1 given tokens 0..i; as many as the ids less one."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    prompt_token_ids: list[int] = Field(min_length=2, max_length=4096)
    adapter_logprobs: list[float]
    base_logprobs: list[float]


class Probes(BaseModel):
    """The whole file, schema 1. `computed_by` holds package versions and the dtype."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: int = Field(alias="schema", ge=1, le=1)
    base_digest: str | None = None
    computed_by: dict[str, str] = {}
    probes: list[Probe] = Field(min_length=1, max_length=32)


def read_probes(folder: Path, base: Base, limits: Limits) -> tuple[Probes | None, list[Problem]]:
    """The probes of an adapter's folder, None where it brought none, and every problem with them."""
    if not (folder / PROBES).is_file():
        return None, []
    content, problem = read_json(folder / PROBES, limits.json_file)
    if problem:
        return None, [problem]
    try:
        probes = Probes.model_validate(content)
    except ValidationError as error:
        return None, [Problem("bad_probes", f"{_where(e['loc'])}: {e['msg']}", PROBES) for e in error.errors()[:5]]
    return probes, _lengths(probes, base)


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "probes"


def _lengths(probes: Probes, base: Base) -> list[Problem]:
    vocabulary = max((m.in_features for m in base.modules.values() if m.kind == "embedding"), default=2**31)
    problems = []
    for number, probe in enumerate(probes.probes):
        ids = probe.prompt_token_ids
        if len(probe.adapter_logprobs) != len(ids) - 1 or len(probe.base_logprobs) != len(ids) - 1:
            problems.append(
                Problem("bad_probes", f"probe {number} has {len(ids)} tokens but not {len(ids) - 1} log-probabilities", PROBES)
            )
        if len(ids) >= base.max_length:
            problems.append(
                Problem("bad_probes", f"probe {number} has {len(ids)} tokens, {base.id} takes {base.max_length}", PROBES)
            )
        if not all(0 <= token < vocabulary for token in ids):
            problems.append(
                Problem("bad_probes", f"probe {number} has a token outside {base.id}'s vocabulary of {vocabulary}", PROBES)
            )
    return problems
