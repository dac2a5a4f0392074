"""What tests of several folders share."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres

# A shell lets what it runs in the background ignore Ctrl-C, and so would every command that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database: each test that asks for one runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.db"
    make: Callable[[], str] = request.getfixturevalue("postgres").database
    return make()
