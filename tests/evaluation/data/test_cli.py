"""`patchbay data` as it is typed, with the embedded base's own tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from evaluation.data.cli import app
from tests.evaluation.data.test_check import pair, story


def test_check_prints_json_writes_a_page_and_can_insist_on_a_grade(written: Callable[..., Path], tmp_path: Path) -> None:
    path = written("a.jsonl", *(pair(story(n)) for n in range(30)), "{", pair("word " * 1100))
    run = CliRunner().invoke
    done = run(app, ["check", str(path), "--json", "--html", str(tmp_path / "pages" / "a.html"), "--min-grade", "A"])
    assert done.exit_code == 3
    report = json.loads(done.stdout)
    assert [(p["line"], p["kind"]) for p in report["splits"]["a"]["problems"]] == [(31, "malformed"), (32, "overlong")]
    assert report["base"] == "embedded"
    assert (tmp_path / "pages" / "a.html").read_text().startswith("<!doctype html>")
    assert run(app, ["check", str(path), "--min-grade", "D"]).exit_code == 0


def test_split_then_check_finds_nothing_in_common(written: Callable[..., Path], tmp_path: Path) -> None:
    path = written("a.jsonl", *(pair(story(n // 2) + " indeed" * (n % 2), story(1000 + n)) for n in range(100)))
    done = CliRunner().invoke(app, ["split", str(path), "--out", str(tmp_path / "out"), "--json"])
    assert {name: made["rows"] for name, made in json.loads(done.stdout)["splits"].items()} == {
        "train": 80,
        "valid": 10,
        "test": 10,
    }
    report = json.loads(CliRunner().invoke(app, ["check", str(tmp_path / "out"), "--json"]).stdout)
    assert [(pair["seen"], pair["scored"], pair["near"]["rows"]) for pair in report["overlap"]] == [
        ("train", "valid", 0), ("train", "test", 0), ("valid", "test", 0),
    ]  # fmt: skip
