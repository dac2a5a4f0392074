"""`patchbay evaluate` as it is typed: what it leaves behind."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import patchbay
from evaluation.evaluate import evaluate
from evaluation.report import Plan, Report
from tests.evaluation.test_significance import Clerk


def test_a_report_tells_when_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook takes the last one."""

    def run(model: Any, baseline: Any, prepared: Plan, what: str) -> Report:
        return asyncio.run(evaluate(model, baseline, prepared))

    monkeypatch.setattr("evaluation.here.models", lambda base, adapter: (Clerk("route", range(2)), Clerk(base, [])))
    monkeypatch.setattr("evaluation.here.run", run)
    monkeypatch.setattr("evaluation.report.now", lambda: "2026-11-25T03:00:00+00:00")
    rows, out = tmp_path / "rows.jsonl", tmp_path / "ev.json"
    rows.write_text("".join(json.dumps({"prompt": str(n), "completion": "ab"[n % 2]}) + "\n" for n in range(4)))
    words = ["evaluate", "--data", rows, "--adapter", "route", "--metric", "accuracy", "--out", out, "--json"]
    done = CliRunner().invoke(patchbay.app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    printed, kept = json.loads(done.stdout), json.loads(out.read_text())
    assert printed["time"] == kept["time"] == "2026-11-25T03:00:00+00:00"
    assert (kept["model"], kept["baseline"], len(kept["samples"])) == ("route", "embedded", 4)
