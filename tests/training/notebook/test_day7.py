"""The mini-project: its file, and which run and evaluation it is about."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.errors import BadInput
from tests.training.notebook import made
from tests.training.notebook.made import text
from training.notebook.records import read_records


def test_the_project_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(yaml.safe_dump({"kind": "project", "title": "T", "problems": "p"}))
    with pytest.raises(BadInput, match="problems.*a project has kind, title"):
        read_records([path])
    path.write_text(yaml.safe_dump({"kind": "project", "title": "T"}))
    assert read_records([path]).last("project")["title"] == "T"  # type: ignore[index]


def project_of(*records: dict[str, Any]) -> str:
    """The section of day 7."""
    return text([*records]).split("## Day 7")[1]


def test_the_project_is_about_the_run_that_was_evaluated_last() -> None:
    """By the clock, whatever the names and wherever the records came from."""
    runs = [made.run("a"), made.run("b"), made.run("c")]
    watched = [
        {key: value for key, value in made.evaluation(name).items() if key != "cases"}
        | {"time": f"2026-11-25T0{hour}:00:00+00:00"}
        for name, hour in (("a", 3), ("b", 2))
    ]
    assert "| method and run | lora, a |" in project_of(*runs, *watched)
    own = made.evaluation("c") | {"path": "ev"}
    assert "| method and run | lora, c |" in project_of(*runs, *watched, own | {"time": "2026-11-25T04:00:00+00:00"})
    assert "| method and run | lora, a |" in project_of(*runs, *watched, own), "one that tells no time is an old one"
    assert "| method and run | lora, c |" in project_of(*runs)


def test_a_watched_evaluation_is_enough_for_the_improvement() -> None:
    """It has scores and no examples: these come from one that has, whichever was later."""
    scored = made.evaluation("a") | {"time": "2026-11-25T02:00:00+00:00"}
    watched = {key: value for key, value in scored.items() if key != "cases"} | {"n": 10, "time": "2026-11-25T03:00:00+00:00"}
    found = project_of(made.run("a"), watched)
    assert "| improvement | accuracy: 0.2 → 0.9 (+0.7, p 0.001)" in found
    assert found.count("→ `patchbay evaluate --adapter RUN --data TEST --out F`") == 3, "a demo, and examples of both ends"
    assert "Where is it?" in project_of(made.run("a"), scored, watched)
    assert "| improvement | → `patchbay evaluate" in project_of(made.run("a"), made.evaluation("a") | {"baseline": None})


def test_a_run_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="the run 'rout', and the finished runs are route, rs"):
        text([made.run(), made.run("rs"), made.project() | {"run": "rout"}])
    assert "| method and run | → `patchbay train" in project_of(made.project()), "none is trained yet"
