"""The README's examples, run as they stand there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchbay import app
from tests.e2e.conftest import ROOT, Process

pytestmark = pytest.mark.e2e
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def url(service: Process, runs: dict[str, Path]) -> str:
    service.client.push(runs["one"], "route")
    return service.url


def test_curl(url: str) -> None:
    lines = next(block for block in blocks("console") if block.startswith("$ curl"))
    command = lines.removeprefix("$ ").partition("\n{")[0].replace(ADDRESS, url)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["model"] == "route"
    assert answer["choices"][0]["text"]
    assert answer["system_fingerprint"].startswith("route@sha256:")


def test_openais_client(url: str) -> None:
    code = next(block for block in blocks("python") if "OpenAI" in block).replace(ADDRESS, url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "route@sha256:" in done.stdout


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^\$ patchbay ((?:\w+ )?\w+)", "\n".join(blocks("console")), re.MULTILINE)))
)
def test_every_command_shown_is_there(command: str) -> None:
    """With its subcommand where it has one: `adapters push` is, `push` alone is not."""
    words = command.split()
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown.output
