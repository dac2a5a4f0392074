"""What the engine tells of its requests, passed on: to the metrics, and to the allowance of the key that asked."""

from service.caller import caller
from service.metrics import Metrics


class Spending:
    """See service.engine.measured.Observer. It is called in the context of the request, so the caller is the one who asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.first_token, self.next_tokens = metrics.first_token, metrics.next_tokens

    def finished(self, name: str | None, prompt_tokens: int, completion_tokens: int) -> None:
        """Counts the tokens of a request that has ended."""
        self._metrics.finished(name, prompt_tokens, completion_tokens)
        allowance = caller().allowance
        if allowance is not None:
            allowance.spend(prompt_tokens + completion_tokens)
