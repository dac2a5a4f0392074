"""Adapters brought into the engine and put out of it, many in one message.

vLLM's own ways are a message for each that comes, one for each that goes, and one that lists all that are left; each costs as
much as the loading of a small adapter itself, and may have to wait for a step's end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from adapters.errors import Unavailable
from service.engine.version import EngineVersion
from service.inference import RETRY_AFTER

EXCHANGE = "patchbay_exchange"
_POLL = 0.25
T = TypeVar("T")


class Order(NamedTuple):
    """Plain values, as the message carries them: a name and a path matter only where an adapter comes in."""

    kind: Literal["bring in", "put out"]
    engine_id: int
    name: str = ""
    path: str = ""

    @classmethod
    def bring_in(cls, version: EngineVersion) -> "Order":
        """A version is to be resident."""
        return cls("bring in", version.engine_id, version.name, str(version.path))


def install() -> None:
    """Workers answer to EXCHANGE from now on."""
    from vllm.v1.worker.worker_base import WorkerBase

    setattr(WorkerBase, EXCHANGE, exchange)


def exchange(worker: Any, orders: Sequence[Sequence[Any]]) -> list[str]:
    """Does one after another; for each what was in the way, nothing where it is done."""
    return [_done(worker, Order(*order)) for order in orders]


def _done(worker: Any, order: Order) -> str:
    from vllm.lora.request import LoRARequest

    if order.kind == "put out":
        worker.remove_lora(order.engine_id)
        return "still listed" if order.engine_id in worker.list_loras() else ""
    try:
        worker.add_lora(LoRARequest(order.name, order.engine_id, order.path))
    except Exception as error:
        # Whatever an adapter's files make vLLM raise is the answer to this order; the next one is done all the same.
        return str(error) or type(error).__name__
    return ""


async def answered(question: Coroutine[Any, Any, T], is_dead: Callable[[], bool]) -> T:
    """What workers answer. Raises Unavailable where the engine dies before: vLLM leaves what it asked them open then, for ever."""
    asked = asyncio.ensure_future(question)
    try:
        while not asked.done():
            await asyncio.wait((asked,), timeout=_POLL)
            if not asked.done() and is_dead():
                raise Unavailable("the engine died", retry_after=RETRY_AFTER)
        return asked.result()
    finally:
        asked.cancel()


class Outbox:
    """Orders given in one turn of the event loop leave in one message, in the order in which they were given."""

    def __init__(self, send: Callable[[list[Order]], Awaitable[list[str]]]) -> None:
        self._send = send
        self._waiting: list[tuple[Order, asyncio.Future[str]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def give(self, order: Order) -> str:
        """What was in the way, nothing where it is done. Raises what sending raises."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        if len(self._waiting) == 1:
            task = asyncio.create_task(self._send_all())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return await answer

    async def _send_all(self) -> None:
        given, self._waiting = self._waiting, []
        try:
            answers = await self._send([order for order, _ in given])
        except BaseException as error:  # it is the answer to each of them, and they raise it
            for _, answer in given:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), text in zip(given, answers, strict=True):
            if not answer.done():
                answer.set_result(text)
