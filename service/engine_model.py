"""A model id of the service, as evaluations see a model: through the engine, on the weights of one lease."""

from typing import Any

from evaluation.model import Completion, Span, TokenScore
from evaluation.rows import Row
from evaluation.tokens import windows
from service.engine.door import Engine
from service.inference import Lease


class EngineModel:
    """See evaluation.model.Model, which this is."""

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self._engine, self._lease = engine, lease

    @property
    def id(self) -> str:
        """`name@sha256:…`, or the base's id."""
        target = self._lease.target
        return target.version.name if target.version else target.label

    @property
    def span(self) -> Span:
        """All the engine sees at once but one place, for the token that it always makes."""
        return Span(self._engine.max_length - 1)

    async def complete(self, prompt: Any, max_tokens: int) -> Completion:
        """A greedy answer."""
        return await self._engine.complete(prompt, self._lease.target.version, max_tokens)

    async def score(self, row: Row) -> TokenScore:
        """The completion's log-probabilities; a row longer than the engine's window is scored in strides of half of it."""
        total, count = 0.0, 0
        for window in windows(self._engine.encode(row), self.span.length, self.span.stride):
            found = await self._engine.score_tokens(window.ids, self._lease.target.version)
            scored = found[window.first_scored - 1 :]
            total, count = total - sum(scored), count + len(scored)
        return TokenScore(total, count)
