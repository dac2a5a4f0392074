"""The end in good order: what is finished, what is sent away, and when it is over."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from service.drain import Drain, Server
from tests.fake_service import FakeService
from tests.service.conftest import Start, until


def test_what_is_under_way_ends_and_what_comes_is_sent_away(start: Start) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.slow = asyncio.Event()
            under_way = asyncio.create_task(s.ask(None))
            await until(lambda: s.engine.running == 1)
            assert not s.runtime.drain.is_over
            s.runtime.drain.begin()
            assert not s.runtime.drain.is_over
            for path in ("/v1/models", "/ready", "/nowhere"):
                answer = await s.http.get(path)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert answer.headers["Connection"] == "close"
            assert (await s.http.get("/health")).status_code == 200
            s.engine.slow.set()
            assert (await under_way).status_code == 200
            assert s.runtime.drain.is_over

    asyncio.run(story())


def test_an_evaluation_under_way_is_taken_up_at_the_next_start(start: Start) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.slow = asyncio.Event()
            asked = {"model": "embedded", "rows": [{"prompt": "x", "completion": "base"}], "metrics": ["accuracy"]}
            begun = (await s.http.post("/v1/evaluations", json=asked)).json()["id"]
            await until(lambda: s.engine.running > 0)
            s.runtime.drain.begin()
            assert s.runtime.drain.is_over, "nobody waits for it"
        async with start() as s:
            await until(lambda: s.runtime.evaluations.get(begun)["status"] == "completed")

    asyncio.run(story())


def test_it_is_over_when_the_time_is(start: Start) -> None:
    drain = Drain(0.0)
    drain.under_way = 1
    assert not drain.is_over
    assert drain.begin()
    assert drain.is_over


def test_a_second_signal_ends_it_at_once() -> None:
    async def story() -> None:
        drain = Drain(60.0)
        drain.under_way = 1
        server = Server(uvicorn.Config(lambda *_: None), drain)
        server.handle_exit(signal.SIGTERM, None)
        assert drain.has_begun
        assert not await server.on_tick(1)
        server.handle_exit(signal.SIGTERM, None)
        assert await server.on_tick(1)

    asyncio.run(story())


@pytest.mark.parametrize(("given", "finishes"), [(20.0, True), (0.5, False)])
def test_sigterm(tmp_path: Path, given: float, finishes: bool) -> None:
    """An upload on its way is waited for as long as was said, and answered; the process ends with 0 either way."""
    service = FakeService(tmp_path / "home", drain_seconds=given).ready()
    sent = threading.Event()
    outcome: list[object] = []

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n--x\r\n'
        yield b'Content-Disposition: form-data; name="files"; filename="adapter_config.json"\r\n\r\n'
        while not sent.wait(0.05):
            yield b" "
        yield b"\r\n--x--\r\n"

    def upload() -> None:
        try:
            kind = {"Content-Type": "multipart/form-data; boundary=x"}
            outcome.append(service.http.post("/v1/adapters", content=body(), headers=kind).status_code)
        except httpx.TransportError as error:
            outcome.append(error)

    sender = threading.Thread(target=upload)
    sender.start()
    while not any((tmp_path / "home" / "staging").iterdir()):
        time.sleep(0.01)
    os.kill(service.process.pid or 0, signal.SIGTERM)
    if finishes:
        time.sleep(0.2)
        with httpx.Client(base_url=service.http.base_url) as late:
            assert late.get("/health").status_code == 200
            refused = late.get("/v1/models")
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        sent.set()
    service.process.join(30)
    sent.set()
    sender.join()
    assert service.process.exitcode == 0
    assert (outcome == [422]) == finishes, outcome
    assert not any((tmp_path / "home" / "staging").iterdir())
    service.http.close()
