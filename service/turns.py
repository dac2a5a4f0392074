"""Turns: work that goes together in small groups, with a pause after each for whatever else wants to go on."""

import asyncio
from types import TracebackType


class Turns:
    """`size` may be inside at once; from when the first of them leaves, nobody enters until all have left.

    So those who come while others wait go with them, and yet an endless row of them cannot keep the rest from its turn.
    """

    def __init__(self, size: int) -> None:
        self._size, self._inside, self._is_closing = size, 0, False
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_closing and self._inside < self._size)
            self._inside += 1

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._inside -= 1
        self._is_closing = self._inside > 0
        async with self._changed:
            self._changed.notify_all()
