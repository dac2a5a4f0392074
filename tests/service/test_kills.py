"""The whole service, killed with SIGKILL in the middle of what it does. `python -m tests.kills` does it more often."""

from pathlib import Path

import pytest

from adapters.errors import Conflict
from adapters.registry import Registry
from tests.fake_service import FakeService
from tests.kills import run
from tests.makers import files_of, write_adapter


def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_half_there(tmp_path: Path) -> None:
    found = run(15, 3, tmp_path)
    assert sum(found["seen"].values()) >= 15  # type: ignore[attr-defined]


def test_a_killed_service_leaves_its_database_to_the_next(tmp_path: Path, url: str) -> None:
    home = tmp_path / "home"
    first = FakeService(home, database_url=url).ready()
    files = [("files", (file, content)) for file, content in files_of(write_adapter(tmp_path / "a")).items()]
    version = first.http.post("/v1/adapters", data={"name": "a"}, files=files).json()["version"]
    with pytest.raises(Conflict, match="another service uses"):
        Registry(url)
    first.kill()
    again = FakeService(home, database_url=url).ready()
    assert again.http.get("/v1/adapters/a").json()["live"] == version
    again.kill()
