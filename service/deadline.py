"""The time that a request may take: what is not done by then is ended, in the engine too."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from adapters.errors import TimedOut

T = TypeVar("T")


async def in_time(work: Awaitable[T], left: float, whole: float) -> T:
    """What the work gives. Raises TimedOut when `left` of the request's `whole` seconds are over."""
    try:
        async with asyncio.timeout(left) as limit:
            result = await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _late(whole) from error
    if limit.expired():  # vLLM answers a cancellation with a result
        raise _late(whole)
    return result


def _late(whole: float) -> TimedOut:
    return TimedOut(
        f"not answered within {whole:g} s, and ended; ask for fewer tokens, or start the service with a larger --request-timeout"
    )
