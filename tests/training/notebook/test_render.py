"""The notebook: every figure from a record, every empty cell with its command, in either language, and no markup of a stranger."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import patchbay
from adapters.errors import BadInput, NotFound
from evaluation.data.grade import REASONS
from evaluation.digest import file_digest
from evaluation.history import History
from tests.training.notebook import made
from training.notebook.language import LANGUAGES, Language
from training.notebook.names import shortest
from training.notebook.parts import Plot, Section
from training.notebook.records import Records, read_records
from training.notebook.render import markdown, page, sections, write
from training.tradeoff.choose import LIMITS, RULE


class Listening(Language):
    """Remembers which phrases were asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: set[str] = set()

    def __call__(self, key: str, **values: Any) -> str:
        self.asked.add(key)
        return super().__call__(key, **values)


def text(records: list[dict[str, Any]], lang: str = "en") -> str:
    language = Language(lang)
    return markdown(sections(Records(records), language), language)


def test_languages_have_the_same_phrases_with_the_same_blanks() -> None:
    blanks = {
        name: {key: set(re.findall(r"{(\w+)}", phrase)) for key, phrase in Language(name).phrases.items()} for name in LANGUAGES
    }
    assert set(blanks) == {"en", "pt"}
    assert blanks["en"] == blanks["pt"]


def test_no_phrase_is_unused() -> None:
    language = Listening("en")
    for records in (made.everything(), []):
        markdown(sections(Records(records), language), language)
    page([], language)
    # A grade's reasons are held against its own below. What the lab says on the way is heard in its own tests.
    elsewhere = ("lab.", "day6.reasons.")
    assert {key for key in language.asked if not key.startswith(elsewhere)} == {
        key for key in language.phrases if not key.startswith(elsewhere)
    }


def test_what_commands_say_too_is_said_alike() -> None:
    english = Language("en")
    phrases = english.phrases
    assert english("day5.rule", **LIMITS) == RULE
    assert {key: phrase for key, phrase in phrases.items() if key.startswith("day6.reasons.")} == {
        f"day6.reasons.{what}": text for what, text in REASONS.items()
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_given_says_which_commands_fill_it(lang: str) -> None:
    found = text([], lang)
    for command in ("train", "evaluate", "sweep", "compare", "quantize", "data check", "evaluate --watch"):
        assert f"→ `patchbay {command} " in found, command
    assert "☑" not in found


def test_commands_that_are_named_exist() -> None:
    for words in re.findall(r"`patchbay ([a-z ]+)", text([])):
        name, *rest = words.split()
        command = patchbay.LazyGroup().get_command(None, name)
        assert command is not None, words
        if rest:
            assert rest[0] in command.commands, words


def test_figures_are_those_of_the_records() -> None:
    found = text(made.everything())
    assert "| route | accuracy | 60 | 0.2 | 0.9 | 0.8 – 0.95 | +0.7 [+0.6, +0.8] | 0.001 | better |" in found
    assert "| q_proj | 2 | 256 × 256 | 8 × 256 | 256 × 8 | 4,096 | 8,192 | 6.25 % |" in found
    assert "| rs | 8 | 16 | 5.657 (α/√r) | 4,096 | 1,004,096 | 0.408 % |" in found
    assert "| rank | 4 → 0.5; 8 → 0.4 | **8** | 75 % |" in found
    assert "| lr | 0.001 → 0.5; 0.01 → pruned | **0.003** | 25 % |" in found
    assert "| alpha | 2r → 0.4 | **2r** | - |" in found
    assert "rank: 8\nlr: 0.003\n```" in found
    assert "| LoRA | 61.5 s |" not in found
    assert "| LoRA | 60 s | 0.25 EUR + 0.5 | 34 | 50 ms | 0.4 [0.2, 0.6] | data that changes |" in found
    assert "| lora | 26 (26) | 26 (26) | 52 (52) | 10 (10) | 4 (4) | 120 (120) | 500 | 90 % | 50 % | 30 % |" in found
    assert "| Llama 3.1 8B | lora | 26 | 26 | 52 | 10 | 120 |" in found
    assert "| route | lora | 1, 2 | 0.25 ± 0.071 | 0.25 ± 0.071 |" in found
    row = "| gptq | vLLM 0.32.0 | 1: 90 (0.9×)<br>8: 400 (1.25×) | 7 | 8 | 900 | accuracy 0.875 (-1.5) |"
    assert row in found
    assert "- **production**: gptq on vLLM 0.32.0, 8 MiB of weights, 400 tokens/s" in found
    assert "| gptq | b4 | 12.4 | 6.676 | 46.2 % |" in found
    assert "one every 60 min (median)" in found
    assert "training: full | ☑ | whole |" in found


def test_portuguese_has_its_own_words_and_marks() -> None:
    found = text(made.everything(), "pt")
    assert "## Dia 3 · Primeiro fine-tuning" in found
    assert "| route | accuracy | 60 | 0,2 | 0,9 | 0,8 – 0,95 | +0,7 [+0,6, +0,8] | 0,001 | melhor |" in found
    assert "1.004.096" in found
    assert "- -7,5: train: outras 5 % repetem outra quase por inteiro" in found
    assert "perde no máximo 1,5 pontos de 100" in found
    assert "more repeat" not in found
    assert "A technique counts" not in found


def test_what_models_say_is_shown_as_text() -> None:
    asked = "<script>alert(1)</script> | **x** `y`\n# z"
    records = [made.run(), made.evaluation(asked=asked)]
    language = Language("en")
    found = sections(Records(records), language)
    html = page(found, language)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | **x** `y` # z" in html


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The Markdown and the page of everything; drawing takes seconds, so once."""
    language = Language("en")
    folder = tmp_path_factory.mktemp("notebook")
    out, html = write(sections(Records(made.everything()), language), language, folder / "deep" / "notebook.md")
    return out, html


def test_the_page_loads_nothing_and_has_its_plots(written: tuple[Path, Path]) -> None:
    html = written[1].read_text()
    assert html.startswith("<!doctype html>")
    assert not re.search(r'(src|href)="(?!#)', html)
    for title in ("accuracy before and after", "Training of route", "Importance of the hyperparameters", "Tokens a row"):
        assert title in html
    assert html.count("<svg") >= 8


def test_a_wide_table_scrolls_by_itself(written: tuple[Path, Path]) -> None:
    page = written[1].read_text(encoding="utf-8")
    assert page.count("<table>") == page.count('<div class="table"><table>') > 0
    assert ".table { overflow-x: auto;" in page


def test_the_markdown_has_its_plots_beside_it(written: tuple[Path, Path]) -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", written[0].read_text())
    assert pictures
    assert all((written[0].parent / picture).read_text().startswith("<svg") for picture in pictures)


def test_pictures_show_whatever_runs_and_the_notebook_are_called(tmp_path: Path) -> None:
    language = Language("en")
    names = ["sp ace", "a (b]", "ü#1?", "50%"]
    out, _ = write(sections(Records([made.run(name) for name in names]), language), language, tmp_path / "note book.md")
    shown = re.findall(r'<img src="(.*?)" alt="(.*?)"', MarkdownIt("commonmark").render(out.read_text(encoding="utf-8")))
    assert [alt for _, alt in shown] == [f"Training of {name}" for name in names]
    assert all((tmp_path / unquote(link)).is_file() for link, _ in shown)


def test_the_project_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(yaml.safe_dump({"kind": "project", "title": "T", "problems": "p"}))
    with pytest.raises(BadInput, match="problems.*a project has kind, title"):
        read_records([path])
    path.write_text(yaml.safe_dump({"kind": "project", "title": "T"}))
    assert read_records([path]).last("project")["title"] == "T"  # type: ignore[index]


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


def test_seeds_of_two_trainings_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/route", "b/route", "b/other"):
        write_run(tmp_path / name / "seed-1", name)
        (tmp_path / name / "seeds.json").write_text(json.dumps(made.seeds()))
    found = read_records([tmp_path])
    assert [run["path"] for run in found.of("run")] == ["a/route-seed-1", "other-seed-1", "b/route-seed-1"]
    assert [record["path"] for record in found.of("seeds")] == ["a/route", "other", "b/route"]
    monkeypatch.chdir(tmp_path / "a" / "route")
    assert [run["path"] for run in read_records([Path()]).of("run")] == ["route-seed-1"]


def test_the_command_prints_and_refuses(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(made.run()))
    done = CliRunner().invoke(patchbay.app, ["report", str(tmp_path), "--lang", "pt"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("# Caderno")
    refused = CliRunner().invoke(patchbay.app, ["report", str(tmp_path), "--lang", "xx"])
    assert isinstance(refused.exception, BadInput)


def test_the_pages_name_may_be_given(tmp_path: Path) -> None:
    assert write([Section("s", [])], Language("en"), tmp_path / "n.html") == [tmp_path / "n.md", tmp_path / "n.html"]
    assert "<html" in (tmp_path / "n.html").read_text(encoding="utf-8")
    assert "<html" not in (tmp_path / "n.md").read_text(encoding="utf-8")
