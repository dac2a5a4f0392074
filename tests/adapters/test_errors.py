"""The codes of problems are all known, so that metrics can count each from zero."""

import ast
from pathlib import Path

from adapters.errors import REASONS, Problem, TooLarge, printable, shown

ROOT = Path(__file__).resolve().parents[2]
MAKERS = {"Problem", "_problem"}


def test_every_code_is_a_reason() -> None:
    found = {TooLarge.code}
    for path in [*ROOT.glob("adapters/*.py"), *ROOT.glob("service/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in MAKERS and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
    assert found == set(REASONS)


def test_what_is_shown_fits_any_line() -> None:
    assert printable("a\x1b[2J\n\ud800é", 100) == "a\\u001b[2J\\u000a\\ud800é"
    assert len(Problem("x", "y" * 5000, "z" * 5000).message) == 1000
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert len(shown(deep)) <= 80
    assert len(shown({"x" * 10_000: 10**4000})) <= 80
