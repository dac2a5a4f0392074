"""How much a key may ask in a minute: requests, and tokens read and written."""

import time
from collections.abc import Callable

from adapters.errors import Busy

_MINUTE = 60.0


class Bucket:
    """`limit` units a minute, refilled evenly; a minute's worth may be taken at once.

    What is known only afterwards (a request's tokens) may overdraw it; then nothing more is given
    until the debt is paid.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self._clock = limit, clock
        self._level, self._at = float(limit), clock()

    @property
    def level(self) -> float:
        """What is left now."""
        now = self._clock()
        self._level = min(self.limit, self._level + (now - self._at) * self.limit / _MINUTE)
        self._at = now
        return self._level

    def take(self, amount: float) -> None:
        """Takes so much, there or not."""
        self._level = self.level - amount

    def wait(self, level: float) -> float:
        """Seconds until so much is there."""
        return max(0.0, (level - self.level) * _MINUTE / self.limit)


class Allowance:
    """The buckets of one key; None where it has no limit."""

    def __init__(self, requests: int | None, tokens: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = (requests, tokens)
        self._requests = Bucket(requests, clock) if requests else None
        self._tokens = Bucket(tokens, clock) if tokens else None

    def enter(self) -> None:
        """Counts a request for tokens. Raises Busy, with the time to wait, where a limit is used up; then it is not counted."""
        for bucket, unit in ((self._requests, "requests"), (self._tokens, "tokens")):
            if bucket is not None and (wait := bucket.wait(1.0)) > 0:
                raise Busy(f"this key may have {bucket.limit} {unit} a minute; try again in {wait:.1f} s", retry_after=wait)
        if self._requests is not None:
            self._requests.take(1)

    def spend(self, tokens: int) -> None:
        """Counts what a request has read and written."""
        if self._tokens is not None:
            self._tokens.take(tokens)

    def headers(self) -> dict[str, str]:
        """What is left, as OpenAI's service says it."""
        said = {}
        for bucket, unit in ((self._requests, "requests"), (self._tokens, "tokens")):
            if bucket is not None:
                said[f"x-ratelimit-limit-{unit}"] = str(bucket.limit)
                said[f"x-ratelimit-remaining-{unit}"] = str(max(0, int(bucket.level)))
                said[f"x-ratelimit-reset-{unit}"] = f"{bucket.wait(bucket.limit):.2f}s"
        return said
