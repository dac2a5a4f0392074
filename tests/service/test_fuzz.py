"""schemathesis over the service's own description: no 5xx, no answer that the description does not know, no way around the key."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.keyfile import add_key
from tests.fake_service import FakeService
from tests.makers import files_of, write_adapter

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


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
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.http.base_url}/openapi.json"]
    command += ["--header", f"Authorization: {service.http.headers['Authorization']}", "--checks", ",".join(CHECKS)]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1", "--max-failures", "20"]
    command += ["--continue-on-failure", "--no-shrink", "--suppress-health-check", "all", "--warnings", "off"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert service.http.get("/ready").status_code == 200
    assert "unexpected error" not in service.log.read_text()
