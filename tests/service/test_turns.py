"""Who goes together, and when the next may."""

import asyncio

import pytest

from service.turns import Turns


def test_who_comes_while_others_are_inside_goes_with_them_and_nobody_when_one_has_left() -> None:
    async def story() -> None:
        turns, inside, ends = Turns(2), list[int](), [asyncio.Event() for _ in range(5)]

        async def one(number: int) -> None:
            async with turns:
                inside.append(number)
                await ends[number].wait()
                inside.remove(number)

        async def settled() -> list[int]:
            for _ in range(20):
                await asyncio.sleep(0)
            return sorted(inside)

        tasks = [asyncio.create_task(one(0))]
        assert await settled() == [0]
        tasks += [asyncio.create_task(one(number)) for number in range(1, 5)]
        assert await settled() == [0, 1]
        ends[0].set()
        assert await settled() == [1]  # there is room, but the turn is ending
        ends[1].set()
        assert await settled() == [2, 3]
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_an_error_or_a_cancelled_wait_leaves_room_for_the_next() -> None:
    async def story() -> None:
        turns = Turns(1)

        async def failing() -> None:
            async with turns:
                raise ValueError("lost")

        with pytest.raises(ValueError, match="lost"):
            await failing()

        async def waiting() -> None:
            async with turns:
                await asyncio.sleep(60)

        holder = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        queued = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        for task in (queued, holder):
            task.cancel()
        await asyncio.gather(queued, holder, return_exceptions=True)
        await asyncio.wait_for(turns.__aenter__(), 1)

    asyncio.run(story())
