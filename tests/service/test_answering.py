"""The queue's bound, a request's time, and clients that leave: each frees the place and ends the work in the engine."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import Service, Start, until

BOTH = pytest.mark.parametrize("stream", [False, True])


@BOTH
def test_more_requests_than_places(start: Start, stream: bool) -> None:
    async def story() -> None:
        async with start(max_queue=3) as s:
            s.engine.slow = asyncio.Event()
            body = {"prompt": "x", "stream": stream}
            waiting = [asyncio.create_task(s.http.post("/v1/completions", json=body)) for _ in range(3)]
            await until(lambda: s.engine.running == 3)
            over = await s.ask(None)
            assert (over.status_code, over.headers["Retry-After"]) == (429, "2")
            assert over.json()["error"]["code"] == "rate_limit_exceeded"
            evaluation = {"model": "embedded", "rows": [{"prompt": "x", "completion": "y"}], "metrics": ["accuracy"]}
            begun = (await s.http.post("/v1/evaluations", json=evaluation)).json()
            s.engine.slow.set()
            assert [(await answer).status_code for answer in waiting] == [200] * 3
            await until(lambda: s.runtime.evaluations.get(begun["id"])["status"] == "completed")
            assert (await s.ask(None)).status_code == 200
            assert s.runtime.desk.taken == 0

    asyncio.run(story())


def test_a_request_that_finds_nothing_takes_no_place(start: Start) -> None:
    async def story() -> None:
        async with start(max_queue=1) as s:
            for _ in range(3):
                assert (await s.ask("nobody")).status_code == 404
            assert (await s.ask(None)).status_code == 200

    asyncio.run(story())


def test_an_answer_that_takes_too_long_is_ended(start: Start) -> None:
    async def story() -> None:
        async with start(request_seconds=0.2) as s:
            s.engine.slow = asyncio.Event()
            answer = await s.ask(None)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
            assert "0.2 s" in answer.json()["error"]["message"]
            assert (s.engine.running, s.runtime.desk.taken) == (0, 0)

    asyncio.run(story())


def test_the_time_of_a_request_covers_the_loading_of_its_adapter(start: Start, adapters: Callable[[int], Path]) -> None:
    async def story() -> None:
        async with start(request_seconds=0.2) as s:
            await s.upload(adapters(1), "a")
            await s.http.post("/v1/adapters/a/unload")
            s.engine.slow_loads = asyncio.Event()
            answer = await s.ask("a")
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
            assert s.runtime.desk.taken == 0
            s.engine.slow_loads.set()
            assert (await s.ask("a")).status_code == 200

    asyncio.run(story())


def test_a_stream_that_takes_too_long_ends_with_the_error(start: Start) -> None:
    async def story() -> None:
        async with start(request_seconds=0.2) as s:
            s.engine.slow = asyncio.Event()
            answer = await s.http.post("/v1/completions", json={"prompt": "x", "stream": True})
            assert answer.status_code == 200
            assert json.loads(answer.text.removeprefix("data: "))["error"]["code"] == "timeout"
            assert (s.engine.running, s.runtime.desk.taken) == (0, 0)
            assert 'route="/v1/completions",status="504"' in (await s.http.get("/metrics")).text

    asyncio.run(story())


@BOTH
def test_a_client_that_leaves_frees_its_place(start: Start, stream: bool) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.slow = asyncio.Event()
            leaves = asyncio.Event()
            request = asyncio.create_task(ask_and_leave(s, stream, leaves))
            await until(lambda: s.engine.running == 1)
            leaves.set()
            await asyncio.wait_for(request, 2)
            assert (s.engine.running, s.runtime.desk.taken) == (0, 0)
            assert 'route="/v1/completions",status="499"' in (await s.http.get("/metrics")).text

    asyncio.run(story())


def test_clients_that_leave_at_any_moment_leave_nothing(start: Start) -> None:
    """At each step of the loop once: also where the answer is made in the moment in which the client goes."""

    async def story() -> None:
        async with start() as s:
            for steps in range(60):
                for stream in (False, True):
                    leaves = asyncio.Event()
                    request = asyncio.create_task(ask_and_leave(s, stream, leaves))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    leaves.set()
                    await asyncio.wait_for(request, 2)
            assert (s.engine.running, s.runtime.desk.taken) == (0, 0)

    asyncio.run(story())


async def ask_and_leave(s: Service, stream: bool, leaves: asyncio.Event) -> None:
    """One request as a server would hand it over, from a client that goes away when told to."""
    body = json.dumps({"prompt": "x", "stream": stream}).encode()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "POST",
        "path": "/v1/completions",
        "raw_path": b"/v1/completions",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "scheme": "http",
        "server": ("localhost", 80),
        "http_version": "1.1",
    }
    await s.app(scope, receive, send)
