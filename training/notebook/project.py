"""What no record can know of a mini-project: a small YAML file that a person writes."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.errors import BadInput


class Challenge(BaseModel):
    """What was hard, and how it was met."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    challenge: str
    met: str


class Project(BaseModel):
    """The mini-project in words; `run` is the name of the run that it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["project"]
    title: str | None = None
    run: str | None = None
    functions: tuple[str, ...] = ()
    case: str | None = None
    problem: str | None = None
    solution: str | None = None
    challenges: tuple[Challenge, ...] = ()
    base_domain: str | None = None
    demo: str | None = None
    limits: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


def read_project(path: Path) -> dict[str, Any]:
    """The file as a record. Raises BadInput for a field that a project does not have, or of another type."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return Project(**content).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Project.model_fields)
        raise BadInput(f"{path}, {where}: {first['msg']}; a project has {known}", param="runs") from error
