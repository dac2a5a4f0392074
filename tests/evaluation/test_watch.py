"""Unattended evaluation: each run once, history whole whatever happens, and a run that got worse is told."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evaluation.cli
import patchbay
from adapters.errors import BadInput, Conflict, NotFound
from evaluation.evaluate import evaluate
from evaluation.history import History
from evaluation.report import Plan, Report
from evaluation.runs import Run, finished_runs
from evaluation.show import show_entry
from evaluation.watch import Asked, watch
from tests.evaluation.test_significance import Clerk


def write_run(
    root: Path, name: str, known: int, *, when: int, data: Path, status: str = "finished", method: str = "lora"
) -> Path:
    """A run folder whose adapter knows so many of the rows."""
    folder = root / name
    product = folder / ("model" if method == "full" else "adapter")
    product.mkdir(parents=True)
    record = {"kind": "run", "status": status, "config": {"base": "embedded", "data": str(data), "valid": None}}
    for place in (folder, product):
        (place / "run.json").write_text(json.dumps(record))
    (product / "weights.safetensors").write_text(f"{name} {known}")
    os.utime(folder / "run.json", (when, when))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 5), ("test", 60)):
        rows = [json.dumps({"prompt": str(n), "completion": "ab"[n % 2]}) for n in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


ASKED = Asked(None, ("accuracy",), 8, None, 1)


def score(run: Run, prepared: Plan) -> Report:
    known = int((run.product / "weights.safetensors").read_text().split()[-1])
    return asyncio.run(evaluate(Clerk(run.folder.name, range(known)), Clerk("base", range(5)), prepared))


def one_pass(root: Path, asked: Asked = ASKED) -> list[Any]:
    return list(watch(root, History(root / "evaluations.jsonl"), asked, score))


def test_each_finished_run_is_scored_once_and_a_worse_one_is_told(root: Path, data: Path) -> None:
    write_run(root, "second", 50, when=200, data=data)
    write_run(root, "first", 30, when=100, data=data)
    write_run(root, "sweep/unfinished", 50, when=150, data=data, status="running")
    entries = one_pass(root)
    assert [(entry["run"], entry["worse"]) for entry in entries] == [("first", []), ("second", [])]
    assert entries[1]["compared"][0] | {"low": 0, "high": 0, "p": 0} == {
        "with": "previous", "run": "first", "metric": "accuracy", "difference": 0.333333, "low": 0, "high": 0, "p": 0, "verdict": "better",
    }  # fmt: skip
    assert one_pass(root) == []
    write_run(root, "sweep/third", 20, when=300, data=data, method="full")
    (third,) = one_pass(root)
    assert third["worse"] == ["accuracy"]
    assert [found["with"] for found in third["compared"]] == ["previous"], "the one before is the best"
    assert "WORSE" in show_entry(third)
    write_run(root, "fourth", 40, when=400, data=data)
    (fourth,) = one_pass(root)
    assert [(found["with"], found["run"], found["verdict"]) for found in fourth["compared"]] == [
        ("previous", "third", "better"), ("best", "second", "worse"),
    ]  # fmt: skip
    assert fourth["comparison_alpha"] == 0.025
    assert [json.loads(line)["run"] for line in (root / "evaluations.jsonl").read_text().splitlines()] == [
        "first", "second", "third", "fourth",
    ]  # fmt: skip


def test_other_rows_are_another_history(root: Path, data: Path) -> None:
    write_run(root, "first", 50, when=100, data=data)
    write_run(root, "second", 20, when=200, data=data)
    assert [entry["worse"] for entry in one_pass(root)] == [[], ["accuracy"]]
    fewer = Asked(data / "train.jsonl", ("accuracy",), 8, None, 1)
    assert [(entry["n"], entry["compared"] == []) for entry in one_pass(root, fewer)] == [(5, True), (5, False)]


def test_a_run_that_cannot_be_scored_holds_up_no_other(root: Path, data: Path, tmp_path: Path) -> None:
    write_run(root, "lost", 10, when=100, data=tmp_path / "gone")
    write_run(root, "found", 10, when=200, data=data)
    (run, error), entry = one_pass(root)
    assert run.folder.name == "lost"
    assert isinstance(error, NotFound)
    assert "--data" in error.message
    assert entry["run"] == "found"
    with pytest.raises(NotFound, match="nowhere"):
        finished_runs(root / "nowhere")


def test_what_a_killed_process_left_is_dropped(root: Path, data: Path) -> None:
    write_run(root, "first", 10, when=100, data=data)
    one_pass(root)
    history = root / "evaluations.jsonl"
    whole = history.read_text()
    history.write_text(whole + '{"run": "half')
    assert [entry["run"] for entry in History(history).entries()] == ["first"]
    assert history.read_text() == whole
    history.write_text("not json\n")
    with pytest.raises(BadInput, match="line 1"):
        History(history).entries()


def test_two_watches_do_not_write_at_once(root: Path) -> None:
    history = History(root / "evaluations.jsonl")
    with history.held(), pytest.raises(Conflict, match="another evaluation"), History(history.path).held():
        pass
    with history.held():
        pass


def test_a_folder_that_is_not_there_is_not_made(root: Path, data: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no folder {root}"):
        one_pass(root)
    assert not root.exists()
    write_run(root, "first", 50, when=100, data=data)
    with pytest.raises(BadInput, match="choose another --history"):
        list(watch(root, History(root), ASKED, score))


def test_exit_codes(root: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 for nothing worse, 2 for a run that could not be scored, 3 for one that got worse, whatever else there was."""
    import typer

    monkeypatch.setattr("evaluation.here.score", score)
    app = typer.Typer()
    app.command()(evaluation.cli.evaluate)

    def run(*more: str) -> Any:
        return CliRunner().invoke(app, ["--watch", str(root), "--metric", "accuracy", "--max-tokens", "8", *more])

    write_run(root, "first", 50, when=100, data=data)
    assert run().exit_code == 0
    write_run(root, "second", 20, when=200, data=data)
    done = run("--json")
    assert (done.exit_code, json.loads(done.stdout)["worse"]) == (3, ["accuracy"])
    assert run().exit_code == 0
    write_run(root, "lost", 10, when=300, data=tmp_path / "gone")
    done = run()
    assert (done.exit_code, "lost" in done.stderr) == (2, True)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    write_run(root, "third", 10, when=400, data=data)
    monkeypatch.setattr("evaluation.cli.time.sleep", interrupted)
    assert run("--every", "60").exit_code == 3


@pytest.mark.parametrize("option", ["--adapter=x", "--base=embedded", "--calibrate=200", "--out=ev.json"])
def test_what_means_nothing_to_a_watch_is_refused(root: Path, option: str) -> None:
    error = CliRunner().invoke(patchbay.app, ["evaluate", "--watch", str(root), option]).exception
    assert isinstance(error, BadInput)
    assert error.message.startswith("--watch ")
    assert error.message.endswith(f"leave {option.partition('=')[0]} out")
