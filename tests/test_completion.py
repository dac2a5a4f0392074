"""Completion in the shells: the lazy table of commands must not hide anything from it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import patchbay
from tests.served import Site

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("patchbay ad", {"adapters"}),
        ("patchbay adapters ro", {"rollback"}),
        ("patchbay adapters push --na", {"--name"}),
        ("patchbay serve --max-s", {"--max-slots"}),
        ("patchbay status --on", {"--once"}),
        ("patchbay evaluate --met", {"--metric"}),
    ],
)
def test_commands_and_options_are_offered(words: str, offers: set[str]) -> None:
    environment = {"_PATCHBAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = CliRunner().invoke(patchbay.app, prog_name="patchbay", env=environment)
    assert set(done.output.split()) == offers


def test_names_of_adapters_come_from_the_service(tmp_path: Path) -> None:
    def offered(url: str) -> list[str]:
        words = "patchbay adapters show ro"
        environment = {"_PATCHBAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "3", "PATCHBAY_URL": url}
        return CliRunner().invoke(patchbay.app, prog_name="patchbay", env=environment).output.split()

    with Site(tmp_path / "home") as site:
        for name in ("route", "rough", "extract"):
            site.upload(name, tmp_path / name, seed=len(name))
        assert offered(site.url) == ["rough", "route"]
    assert offered("http://127.0.0.1:9") == []


def test_only_the_whole_command_installs_completion() -> None:
    for name in patchbay.COMMANDS:
        command = patchbay.LazyGroup().get_command(None, name)
        assert "--install-completion" not in [option for param in command.params for option in param.opts], name
    whole = typer.main.get_command(patchbay.app)
    assert "--install-completion" in [option for param in whole.params for option in param.opts]


def test_a_real_bash_completes_after_installing(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash, "bash is needed for this test"
    command = tmp_path / "patchbay"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "patchbay.py"}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = """
        patchbay --install-completion >/dev/null || exit 1
        . "$HOME/.bashrc"
        COMP_WORDS=(patchbay adapters pro) COMP_CWORD=2
        complete -p patchbay && _patchbay_completion patchbay
        echo "offers ${COMPREPLY[*]}"
    """
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([bash, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert "offers promote" in done.stdout, done.stdout + done.stderr
