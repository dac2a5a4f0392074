"""A whole service on a fake engine that listens on a free port of this machine, for what speaks HTTP from outside."""

import asyncio
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from service.app import build_app
from service.runtime import Runtime
from service.settings import Settings
from tests.fakes import FakeEngine
from tests.makers import EMBEDDED, files_of, write_adapter


class Site:
    """A running service: where it answers, its fake engine, and what needs to be done to it in its own thread."""

    def __init__(self, home: Path, **changes: Any) -> None:
        self.key = ""
        settings = Settings(base="embedded", home=home, **{"port": 0, **changes})
        self.runtime = Runtime(settings, EMBEDDED, lambda base, settings, observer: FakeEngine(observer))
        self.engine: FakeEngine = self.runtime.engine  # type: ignore[assignment]
        self._listener = socket.create_server(("127.0.0.1", settings.port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(build_app(self.runtime), log_config=None, timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def hold(self) -> None:
        """From now on the engine's answers wait."""
        self.engine.slow = asyncio.Event()

    def let_go(self) -> None:
        """Ends `hold`."""
        self.engine.slow = None

    def __enter__(self) -> "Site":
        self._thread.start()
        while not self.runtime.is_ready:
            if not self._thread.is_alive():
                raise RuntimeError(f"the service did not start: {self.runtime.failure}")
            self._thread.join(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def upload(self, name: str, folder: Path, seed: int = 0, headers: Mapping[str, str] | None = None) -> str:
        """Puts a good adapter into the service; returns its version."""
        files = [("files", item) for item in files_of(write_adapter(folder, seed=seed)).items()]
        answer = httpx.post(f"{self.url}/v1/adapters", data={"name": name}, files=files, headers=headers, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["version"])
