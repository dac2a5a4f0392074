"""Request ids and JSON logs: who answered what in which time; no prompt, no answer, no key."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.logs import JsonLines
from tests.service.conftest import Start


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged until now."""
    stream, logger = io.StringIO(), logging.getLogger("patchbay")
    access = logging.getLogger("patchbay.access")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    before = logger.level, access.level
    for one in (logger, access):
        one.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before[0])
    access.setLevel(before[1])


def test_a_line_for_each_request(
    start: Start, adapters: Callable[[int], Path], lines: Callable[[], list[dict[str, Any]]]
) -> None:
    async def story() -> None:
        async with start() as s:
            version = (await s.upload(adapters(1), "a")).json()["version"]
            headers = {"X-Request-Id": "mine-7", "Authorization": "Bearer secret-key"}
            answer = await s.http.post(
                "/v1/completions?api_key=secret", json={"model": "a", "prompt": "secret prompt"}, headers=headers
            )
            assert answer.headers["X-Request-Id"] == "mine-7"
            assert len((await s.http.get("/health")).headers["X-Request-Id"]) == 32
            found = [line for line in lines() if line.get("request_id") == "mine-7"]
            assert len(found) == 1
            assert found[0] | {"time": 0, "seconds": 0, "message": 0} == {
                "level": "info", "logger": "patchbay.access", "method": "POST", "path": "/v1/completions", "status": 200,
                "adapter": f"a@{version}", "request_id": "mine-7", "time": 0, "seconds": 0, "message": 0,
            }  # fmt: skip
            assert "secret" not in json.dumps(lines())
            assert not [line for line in lines() if line.get("path") == "/health"]

    asyncio.run(story())


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, 'a"b', "<script>"])
def test_an_id_that_is_not_plain_is_replaced(start: Start, given: str) -> None:
    async def story() -> None:
        async with start() as s:
            answer = await s.http.get("/nowhere", headers={"X-Request-Id": given})
            assert len(answer.headers["X-Request-Id"]) == 32

    asyncio.run(story())


def test_an_error_in_the_log_is_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        import sys

        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed\n%s", ("\x1b",), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "failed\n\x1b"
    assert "ValueError: two" in json.loads(line)["error"]
