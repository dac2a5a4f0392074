"""The notebook: every figure from a record, every empty cell with its command, in either language, and no markup of a stranger."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import patchbay
from adapters.errors import BadInput
from evaluation.data.grade import REASONS
from tests.training.notebook import made
from tests.training.notebook.made import text
from training.notebook.language import LANGUAGES, Language
from training.notebook.parts import Section
from training.notebook.records import Records
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
