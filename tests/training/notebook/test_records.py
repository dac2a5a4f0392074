"""Records as a notebook finds them: each once, by a name that tells it from the others."""

import json
from pathlib import Path

import pytest

from adapters.errors import BadInput, NotFound
from evaluation.digest import file_digest
from evaluation.history import History
from tests.training.notebook import made
from training.notebook.language import Language
from training.notebook.names import shortest
from training.notebook.parts import Plot, Section
from training.notebook.records import read_records
from training.notebook.render import write


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no record at"):
        read_records([tmp_path / "absent"])
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(BadInput, match=r"x\.json is no record"):
        read_records([tmp_path / "x.json"])
    with pytest.raises(BadInput, match="holds no record"):
        read_records([tmp_path])
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        read_records([tmp_path / "y.json"])


def test_a_folder_stands_for_all_under_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "runs" / name
        (folder / "adapter").mkdir(parents=True)
        for place in (folder, folder / "adapter"):
            (place / "run.json").write_text(json.dumps(made.run(name)))
        (folder / "curves.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    (tmp_path / "runs" / "seeds.json").write_text(json.dumps({k: v for k, v in made.seeds().items() if k != "path"}))
    (tmp_path / "scores.json").write_text(json.dumps({k: v for k, v in made.evaluation().items() if k not in ("kind", "path")}))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    found = read_records([tmp_path])
    assert [(r["path"], len(r["curves"])) for r in found.of("run")] == [("runs-one", 1), ("runs-two", 1)]
    assert [r["path"] for r in found.of("seeds")] == ["runs"]
    assert [r["path"] for r in found.of("evaluation")] == ["scores"]


def test_a_watched_evaluation_stands_once_by_the_name_of_its_run(tmp_path: Path) -> None:
    """It is a line of the history, and a file of its own beside it, whose name is its id."""
    history = History(tmp_path / "evaluations.jsonl")
    for number, run in enumerate(("one", "one", "two")):
        history.add(made.evaluation() | {"id": f"{number:016x}", "run": run}, [], {})
    for given in ([tmp_path], [tmp_path / "evaluations", tmp_path], [tmp_path / "evaluations"], [history.path]):
        assert [record["path"] for record in read_records(given).of("evaluation")] == ["one", "one", "two"], given


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["/runs/route"], ["route"]),
        (["/two/x/r1", "/two/y/r1", "/two/y/r2"], ["x/r1", "y/r1", "r2"]),
        (["/a/x/r1", "/b/x/r1", "/b/y/r1"], ["a/x/r1", "b/x/r1", "y/r1"]),
        (["/x/r1", "/y/r1", "/z/x-r1"], ["x/r1", "y/r1", "z/x-r1"]),
        (["/r1", "/x/r1"], ["r1", "x/r1"]),
    ],
)
def test_names_are_as_short_as_tells_them_apart(places: list[str], names: list[str]) -> None:
    assert shortest([Path(place) for place in places]) == names


def write_run(folder: Path, weights: str) -> str:
    """A run folder, and the digest of its adapter."""
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_text(weights)
    (folder / "run.json").write_text(json.dumps({key: value for key, value in made.run().items() if key != "path"}))
    return file_digest(folder / "adapter" / "adapter_model.safetensors")


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """So are what was scored of them, as far as the record tells which it was."""
    for number, name in enumerate("xy"):
        digest = write_run(tmp_path / name / "r1", name)
        scored = made.evaluation("r1") | {"id": f"{number}", "run": "r1", "digest": digest}
        History(tmp_path / "evaluations.jsonl").add(scored, [], {})
    (tmp_path / "ev.json").write_text(json.dumps(made.evaluation("r1")))
    found = read_records([tmp_path, tmp_path / "x" / "r1", tmp_path / "y" / ".." / "y"])
    assert [run["path"] for run in found.of("run")] == ["x/r1", "y/r1"], "each once, however often it is given"
    assert [(e["path"], e["scored"]) for e in found.of("evaluation")] == [("ev", None), ("x/r1", "x/r1"), ("y/r1", "y/r1")]
    alone = read_records([tmp_path / "x", tmp_path / "ev.json"])
    assert [(e["path"], e["scored"]) for e in alone.of("evaluation")] == [("ev", "r1")], "by the model that it names"
    plots = [Plot(f"curves-{run['path']}", run["path"], lambda title: title) for run in found.of("run")]
    write([Section("s", [*plots])], Language("en"), tmp_path / "n.md")
    assert [path.read_text() for path in sorted((tmp_path / "n-plots").iterdir())] == ["x/r1", "y/r1"]
    assert "![x/r1](n-plots/curves-x-r1.svg)" in (tmp_path / "n.md").read_text()


def test_seeds_of_two_trainings_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/route", "b/route", "b/other"):
        write_run(tmp_path / name / "seed-1", name)
        (tmp_path / name / "seeds.json").write_text(json.dumps(made.seeds()))
    found = read_records([tmp_path])
    assert [run["path"] for run in found.of("run")] == ["a/route-seed-1", "other-seed-1", "b/route-seed-1"]
    assert [record["path"] for record in found.of("seeds")] == ["a/route", "other", "b/route"]
    monkeypatch.chdir(tmp_path / "a" / "route")
    assert [run["path"] for run in read_records([Path()]).of("run")] == ["route-seed-1"]
