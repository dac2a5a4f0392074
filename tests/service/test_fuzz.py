"""schemathesis over the service's own description: no 5xx, no answer that the description does not know, no way around the key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.keyfile import add_key
from tests.described import check_described
from tests.fake_service import FakeService
from tests.makers import files_of, write_adapter


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeService]:
    """One with a key, an adapter of two versions, a file and an evaluation."""
    key = add_key(tmp_path / "keys.json", "boss", "admin")[1]
    service = FakeService(tmp_path / "home", keys=tmp_path / "keys.json").ready()
    service.http.headers["Authorization"] = f"Bearer {key}"
    for seed in (1, 2):
        files = [("files", item) for item in files_of(write_adapter(tmp_path / str(seed), seed=seed)).items()]
        assert service.http.post("/v1/adapters", data={"name": "a"}, files=files).status_code == 201
    rows = {"file": ("rows.jsonl", b'{"prompt": "x", "completion": "y"}\n')}
    file = service.http.post("/v1/files", data={"purpose": "eval"}, files=rows).json()["id"]
    assert service.http.post("/v1/evaluations", json={"model": "a", "file": file}).status_code == 202
    yield service
    service.kill()


def test_every_answer_is_one_that_is_described(service: FakeService, tmp_path: Path) -> None:
    key = service.http.headers["Authorization"].removeprefix("Bearer ")
    check_described(str(service.http.base_url).rstrip("/"), key, tmp_path, examples=15, seconds=240)
    assert service.http.get("/ready").status_code == 200
    assert "unexpected error" not in service.log.read_text()
