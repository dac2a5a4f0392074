"""vLLM's AsyncLLM, telling an observer of each request's timing: the one place all of them pass, whatever the route."""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Protocol

from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import PrometheusStatLogger


class Observer(Protocol):
    """Told by the engine, with the engine name of the request's adapter (None for the base); times in seconds."""

    def first_token(self, name: str | None, since_arrival: float, queued: float) -> None: ...

    def next_tokens(self, name: str | None, seconds_per_token: float, count: int) -> None: ...

    def finished(self, name: str | None, prompt_tokens: int, completion_tokens: int) -> None: ...


class BoundedStats(PrometheusStatLogger):
    """vLLM's own metrics but one: vllm:lora_requests_info has a series for every set of adapters that ever ran together, for good."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gauge_lora_info = None


class MeasuredLLM(AsyncLLM):
    """Measures where tokens leave the engine, so that streaming or not makes no difference to what is counted."""

    observer: Observer | None = None

    async def generate(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """As AsyncLLM's, observed."""
        lora = kwargs.get("lora_request")
        name = lora.lora_name if lora is not None else None
        request = _Request(name, self.observer)
        async with aclosing(super().generate(*args, **kwargs)) as outputs:
            try:
                async for output in outputs:
                    request.saw(output)
                    yield output
            finally:
                request.close()

    async def abort(self, request_id: str | Iterable[str], internal: bool = False) -> None:
        """As AsyncLLM's. What it made until now counts as well, where none of it has come out yet: that nobody waits costs the same."""
        if self.observer is not None and isinstance(request_id, str) and internal:
            self._count_aborted(request_id, self.observer)
        await super().abort(request_id, internal)

    def _count_aborted(self, request_id: str, observer: Observer) -> None:
        processor = self.output_processor
        parent = processor.parent_requests.get(request_id)
        ids = parent.child_requests if parent is not None else (request_id,)
        states = [processor.request_states[i] for i in ids if i in processor.request_states]
        made = sum(state.stats.num_generation_tokens for state in states if state.stats is not None)
        made += sum(len(output.token_ids) for output in (parent.output_aggregator if parent is not None else ()) if output)
        # What has come out of a stream its own _Request has counted.
        if states and (states[0].output_kind == RequestOutputKind.FINAL_ONLY or made == 0):
            observer.finished(states[0].lora_name, states[0].prompt_len, made)


class _Request:
    """One request's measurements. Its statistics are the engine's own where it gives them."""

    def __init__(self, name: str | None, observer: Observer | None) -> None:
        self.name, self.observer = name, observer
        self.last: float | None = None
        self.tokens = 0
        self.prompt = self.made = 0  # `made` counts all of several choices

    def saw(self, output: Any) -> None:
        """Takes in one output: new tokens of a stream, or all of them at the end."""
        if self.observer is None:
            return
        stats, now = output.metrics, time.monotonic()
        count = stats.num_generation_tokens if stats is not None else 0
        if count and self.tokens == 0 and stats.first_token_latency:
            self.observer.first_token(self.name, stats.first_token_latency, max(0.0, stats.scheduled_ts - stats.queued_ts))
        elif count > self.tokens and self.last is not None:
            self.observer.next_tokens(self.name, (now - self.last) / (count - self.tokens), count - self.tokens)
        self.prompt = len(output.prompt_token_ids or ())
        self.made += sum(len(choice.token_ids) for choice in output.outputs)
        if output.finished:
            if self.last is None and count > 1 and stats.last_token_ts > stats.first_token_ts:
                self.observer.next_tokens(self.name, (stats.last_token_ts - stats.first_token_ts) / (count - 1), count - 1)
            self.close()
        self.tokens, self.last = count, now

    def close(self) -> None:
        """Tells what was read and made, once: at the end, or where a stream is left."""
        if self.observer is not None and self.made:
            self.observer.finished(self.name, self.prompt, self.made)
        self.made = 0
