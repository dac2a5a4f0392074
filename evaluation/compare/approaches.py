"""The approaches there are: which model is asked, and what stands before the question."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from evaluation.model import Completion

Shown = Literal["nothing", "fixed", "nearest"]


class Answering(Protocol):
    """A model that answers greedily, and ends an answer before `stop`."""

    @property
    def id(self) -> str: ...

    async def complete(self, prompt: Any, max_tokens: int, stop: str | None = None) -> Completion: ...


@dataclass(frozen=True)
class Approach:
    """`model` is "base", "adapter" or "full"; `shown` the examples in the prompt."""

    name: str
    model: str
    shown: Shown

    @property
    def trained(self) -> bool:
        """Whether something was trained for it."""
        return self.model != "base"

    @property
    def takes_new_rows(self) -> bool:
        """Whether rows that are added are used without training."""
        return self.shown == "nearest"


APPROACHES = (
    Approach("zero_shot", "base", "nothing"),
    Approach("few_shot", "base", "fixed"),
    Approach("retrieval", "base", "nearest"),
    Approach("lora", "adapter", "nothing"),
    Approach("lora_retrieval", "adapter", "nearest"),
    Approach("full", "full", "nothing"),
)


@dataclass(frozen=True)
class Contestant:
    """A model in a comparison, and the record of what its training cost (evaluation.compare.cost); None for the base."""

    model: Answering
    training: dict[str, Any] | None


Contestants = Mapping[str, Contestant]


def possible(contestants: Contestants) -> list[Approach]:
    """The approaches whose model is there."""
    return [approach for approach in APPROACHES if approach.model in contestants]
