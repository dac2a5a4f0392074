"""Orders to the engine: together in one message, each with its own answer."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.errors import Unavailable
from service.engine.exchange import Order, Outbox, answered, exchange
from service.engine.version import EngineVersion


class Worker(SimpleNamespace):
    """Of vLLM's what orders are handed on to."""

    def __init__(self) -> None:
        super().__init__(held={7}, stubborn=set())

    def add_lora(self, request: Any) -> bool:
        if not Path(request.lora_path).exists():
            raise ValueError(f"no adapter at {request.lora_path}")
        self.held.add(request.lora_int_id)
        return True

    def remove_lora(self, engine_id: int) -> bool:
        self.held -= {engine_id} - self.stubborn
        return True

    def list_loras(self) -> set[int]:
        return set(self.held)


def test_each_is_done_in_turn_whatever_becomes_of_the_others(tmp_path: Path) -> None:
    worker = Worker()
    worker.stubborn = {9}
    worker.held.add(9)
    orders = [
        Order("put out", 7),
        Order.bring_in(EngineVersion("gone", 1, tmp_path / "none")),
        Order.bring_in(EngineVersion("here", 2, tmp_path)),
        Order("put out", 9),
    ]
    assert exchange(worker, [list(order) for order in orders]) == ["", f"no adapter at {tmp_path / 'none'}", "", "still listed"]
    assert worker.held == {2, 9}


def test_what_is_given_together_goes_together() -> None:
    sent: list[list[int]] = []

    async def send(orders: list[Order]) -> list[str]:
        sent.append([order.engine_id for order in orders])
        await asyncio.sleep(0.01)
        return [f"about {order.engine_id}" for order in orders]

    async def story() -> list[str]:
        outbox = Outbox(send)
        first = asyncio.gather(*(outbox.give(Order("put out", number)) for number in (1, 2)))
        await asyncio.sleep(0.001)
        later = asyncio.create_task(outbox.give(Order("put out", 3)))
        await asyncio.sleep(0.001)
        later.cancel()  # who asked does not wait any more; the order is out
        return [*await first, await outbox.give(Order("put out", 4))]

    assert asyncio.run(story()) == ["about 1", "about 2", "about 4"]
    assert sent == [[1, 2], [3], [4]]


def test_an_engine_that_dies_is_the_answer_to_all() -> None:
    async def send(orders: list[Order]) -> list[str]:
        raise ConnectionError("dead")

    async def story() -> list[Any]:
        outbox = Outbox(send)
        return await asyncio.gather(*(outbox.give(Order("put out", number)) for number in (1, 2)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(story())] == ["dead", "dead"]
    with pytest.raises(ConnectionError):
        asyncio.run(Outbox(send).give(Order("put out", 1)))


def test_what_a_dead_engine_was_asked_is_not_waited_for() -> None:
    """Each order gets the error, and what comes after is sent anew."""
    is_dead = False

    async def silent() -> list[str]:
        await asyncio.Event().wait()
        return []

    async def story() -> None:
        nonlocal is_dead
        outbox = Outbox(lambda orders: answered(silent(), lambda: is_dead))
        given = [asyncio.create_task(outbox.give(Order("put out", number))) for number in range(3)]
        done, _ = await asyncio.wait(given, timeout=0.6)
        assert not done, "it lives, and takes its time"
        is_dead = True
        done, _ = await asyncio.wait(given, timeout=5)
        assert [type(task.exception()) for task in done] == [Unavailable] * 3
        with pytest.raises(Unavailable, match="the engine died"):
            await outbox.give(Order("put out", 4))

    asyncio.run(story())


def test_an_answer_and_an_error_come_as_they_are() -> None:
    async def gives() -> str:
        return "given"

    async def fails() -> str:
        raise ValueError("of its own")

    assert asyncio.run(answered(gives(), lambda: True)) == "given"
    with pytest.raises(ValueError, match="of its own"):
        asyncio.run(answered(fails(), lambda: False))
