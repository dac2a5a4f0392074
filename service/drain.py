"""The end of a service in good order: what is under way is finished, what comes meanwhile is sent away."""

import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.errors import Unavailable
from service.errors import response_of

_HEALTH = "/health"
_RETRY_ELSEWHERE = 5.0


class Drain:
    """`seconds` are given to the requests under way, from the moment that the end begins."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.under_way = 0
        self._began: float | None = None

    def begin(self) -> bool:
        """Lets nothing more in; False where the end had begun before."""
        if self._began is not None:
            return False
        self._began = time.monotonic()
        return True

    @property
    def has_begun(self) -> bool:
        """Whether the service is ending."""
        return self._began is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way any more, or has been given its time."""
        return self._began is not None and (self.under_way == 0 or time.monotonic() - self._began > self.seconds)


class Draining:
    """Counts the requests under way; while the service is ending, new ones are told to go elsewhere, /health apart."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app, self._drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets in, or answers 503."""
        if scope["type"] != "http" or scope["path"] == _HEALTH:
            await self.app(scope, receive, send)
        elif self._drain.has_begun:
            refused = response_of(Unavailable("the service is ending; try another, or again later", retry_after=_RETRY_ELSEWHERE))
            refused.headers["Connection"] = "close"
            await refused(scope, receive, send)
        else:
            self._drain.under_way += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._drain.under_way -= 1


class Server(uvicorn.Server):
    """uvicorn's, but the first signal begins the drain, during which it goes on answering; the second one ends it at once."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if not self._drain.begin():
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        return await super().on_tick(counter) or self._drain.is_over
