"""What the routes answer, as the service's own description shows it; FastAPI holds each answer to its shape."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from adapters.manifest import Manifest

T = TypeVar("T")


class Shape(BaseModel):
    """Further fields may come; those named here stay."""

    model_config = ConfigDict(extra="allow")


class Problem(Shape):
    """One reason to refuse an adapter; `where` is a file or a tensor."""

    code: str
    message: str
    where: str | None


class ErrorDetail(Shape):
    """What went wrong; a refused adapter lists every problem."""

    message: str
    type: str
    param: str | None
    code: str
    problems: list[Problem] | None = None


class Error(Shape):
    """Every error's body, OpenAI's."""

    error: ErrorDetail


class Listing(Shape, Generic[T]):
    """A list, OpenAI's."""

    object: Literal["list"]
    data: list[T]


class Health(Shape):
    """Whether the service lives, and how its engine is."""

    status: Literal["ok", "failed"]
    engine: str
    ready: bool
    failure: str | None


class Ready(Shape):
    """Requests for tokens are answered."""

    status: Literal["ready"]
    base: str


class BaseInfo(Shape):
    """The base that is served."""

    id: str
    digest: str
    quantization: str | None
    max_length: int


class LimitsInfo(Shape):
    """What an adapter may be here, and how many share a batch."""

    max_slots: int
    max_rank: int


class VersionInfo(Shape):
    """What runs here."""

    version: str
    base: BaseInfo
    limits: LimitsInfo


class ModelCard(Shape):
    """A model id and what it means: `root` is the base, or one version of an adapter."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int


class VersionLine(Shape):
    """A version, in short."""

    version: str
    status: str
    rank: int
    tensor_bytes: int
    resident: bool
    created: str


class AdapterShown(Shape):
    """A name, what it serves, and its versions, newest first."""

    object: Literal["adapter"]
    name: str
    live: str | None
    previous: str | None
    pinned: bool
    default: bool
    resident: bool
    created: str
    versions: list[VersionLine]


class Event(Shape):
    """A line of the audit trail; `from` and `to` are versions, or adapters for the default route."""

    at: str
    actor: str
    action: str
    name: str | None
    detail: Any = None


class AdapterWithEvents(AdapterShown):
    """A name with what happened to it, newest first."""

    events: list[Event]


class Uploaded(Manifest):
    """The version that came of an upload."""

    live: bool


class Score(Shape):
    """A metric's value in one evaluation, `against` what it was compared with."""

    evaluation: str
    finished: str | None
    against: str | None
    n: int
    metric: str
    value: float | None


class VersionShown(Manifest):
    """How a version was made, and what is known of it; scores by the format of the base they were measured on."""

    live: bool
    scores: dict[str, list[Score]]


class DefaultShown(Shape):
    """What the model id `default` means: an adapter, or null for the base."""

    object: Literal["default"]
    adapter: str | None


class FileShown(Shape):
    """An uploaded file, OpenAI's shape."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["eval"]
    status: Literal["processed"]
    rows: int


class FileDeleted(Shape):
    """A file is gone."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class Progress(Shape):
    """Calls of the engine, done and in all."""

    done: int
    total: int


class EvaluationShown(Shape):
    """An evaluation; `scores` has each metric's figures when it has completed."""

    id: str
    object: Literal["evaluation"]
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    created: str
    finished: str | None
    model: str
    baseline: str | None
    n: int
    metrics: list[str]
    progress: Progress
    scores: dict[str, dict[str, float | None]] | None
    error: dict[str, Any] | None


class Sample(Shape):
    """One item of an evaluation with its outputs and figures."""

    index: int
    prompt: Any
    references: list[str]
    output: str | None
    baseline_output: str | None
    metrics: dict[str, dict[str, float | None]]
