"""What the rest of the service sees of the engine; it names no vLLM, so that a fake can stand in its place."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from fastapi import APIRouter

from evaluation.model import Completion
from evaluation.rows import Row
from evaluation.tokens import EncodedRow
from service.engine.version import EngineVersion
from service.inference import Admission

EngineState = Literal["starting", "ready", "failed", "stopped"]


class Engine(Protocol):
    """One engine for the life of the service; it may die and be started again.

    Calls raise Unavailable while it is not ready, and AdapterRefused where the engine will not take an adapter. Loads and
    unloads are done in the order in which they were asked for.
    """

    @property
    def state(self) -> EngineState:
        """What it is at this moment."""

    failure: str | None
    max_length: int

    async def start(self) -> None:
        """Builds the engine off the event loop; `state` says how it went."""

    async def stop(self) -> None:
        """Ends the engine's processes."""

    async def died(self) -> None:
        """Returns when a running engine has died."""

    async def load(self, version: EngineVersion) -> None:
        """Makes a version's weights resident."""

    async def unload(self, engine_id: int) -> bool:
        """Takes a version's weights out; True when the engine no longer lists it."""

    async def resident(self) -> set[int]:
        """The engine ids whose weights are in the engine."""

    async def complete(self, prompt: Any, version: EngineVersion | None, max_tokens: int) -> Completion:
        """A greedy answer to a text or to messages."""

    async def score_tokens(self, ids: Sequence[int], version: EngineVersion | None) -> list[float]:
        """Natural log-probability of each token after the first, given those before it."""

    def encode(self, row: Row) -> EncodedRow:
        """The row as token ids."""

    def encode_text(self, text: str) -> tuple[int, ...]:
        """A text as token ids."""

    def process_ids(self) -> list[int]:
        """The engine's processes, this one not among them."""

    def memory(self) -> dict[str, int]:
        """Bytes of weights, kv_cache and adapters, as the engine's processes hold them; where there is a device, they lie
        there, and `device` is what is taken of it besides."""

    def routes(self, admission: Admission) -> APIRouter:
        """OpenAI's inference routes."""
