"""A whole service on a fake engine, in this process, reached as over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.base import Base
from service.app import build_app
from service.runtime import Runtime
from service.settings import Settings
from tests.fakes import FakeEngine
from tests.makers import EMBEDDED, files_of, write_adapter


class Service:
    """The runtime, its fake engine, the application, and a client."""

    def __init__(self, runtime: Runtime, app: FastAPI, http: httpx.AsyncClient) -> None:
        self.runtime, self.app, self.http = runtime, app, http
        self.engine: Any = runtime.engine

    async def upload(self, folder: Path, name: str, **fields: str) -> httpx.Response:
        files = [("files", (file, content)) for file, content in files_of(folder).items()]
        return await self.http.post("/v1/adapters", data={"name": name, **fields}, files=files)

    async def ask(self, model: str | None, prompt: str = "x") -> httpx.Response:
        return await self.http.post("/v1/completions", json={"model": model, "prompt": prompt})


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a service; two in turn on one home are a restart."""

    @asynccontextmanager
    async def started(base: Base = EMBEDDED, **changes: Any) -> AsyncIterator[Service]:
        settings = Settings(base="embedded", home=tmp_path / "home", **changes)
        runtime = Runtime(settings, base, lambda base, settings, observer: FakeEngine(observer))
        app = build_app(runtime)
        async with runtime.running(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            service = Service(runtime, app, http)
            await until(lambda: runtime.is_ready or bool(runtime.failure))
            yield service

    return started


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for something that another task brings about."""
    import asyncio

    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about in time")


@pytest.fixture
def adapters(tmp_path: Path) -> Callable[[int], Path]:
    """Folders of different adapters, by a number."""
    return lambda seed: write_adapter(tmp_path / f"adapter-{seed}", seed=seed)


def run(work: Awaitable[Any]) -> Any:
    """Runs a coroutine to its end."""
    import asyncio

    async def whole() -> Any:
        return await work

    return asyncio.run(whole())
