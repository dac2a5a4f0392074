"""What an evaluation asks of a model, wherever the model runs."""

from dataclasses import dataclass
from typing import Protocol

from evaluation.rows import Row


@dataclass(frozen=True)
class Completion:
    """One greedy answer: its text, how many tokens it took, the seconds it took, and whether
    it was cut off at max_tokens before the model ended it."""

    text: str
    tokens: int
    seconds: float
    truncated: bool = False


@dataclass(frozen=True)
class TokenScore:
    """Sum of negative log-likelihood in nats over `tokens` scored tokens."""

    sum_nll: float
    tokens: int


@dataclass(frozen=True)
class Span:
    """Tokens a model sees at once, and by how many the window moves on over a row that is longer."""

    length: int

    @property
    def stride(self) -> int:
        """Half the window: every scored token but those of a row's beginning has at least as much before it."""
        return self.length // 2


class Model(Protocol):
    """A model under evaluation. Both calls may run many times at once."""

    @property
    def id(self) -> str: ...

    @property
    def span(self) -> Span: ...

    async def complete(self, prompt: str | list[dict[str, str]] | None, max_tokens: int) -> Completion:
        """Answer greedily. A list of messages goes through the chat template."""
        ...

    async def score(self, row: Row) -> TokenScore:
        """Score the row's completion and end-of-text token (evaluation.tokens says which)."""
        ...
