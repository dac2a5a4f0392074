"""Paths that a command is to write to: refused before its work, by every command, in words and with nothing left there."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import patchbay
from adapters.errors import BadInput
from evaluation.output import check_file, check_folder, write_text, writing
from training.notebook.language import Language
from training.notebook.render import write


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("kept")
    for path in (tmp_path / "there.json", tmp_path / "new" / "deep" / "a.json", Path("a.json")):
        check_file(path)
    check_folder(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.json", "kept")]
    assert not Path("a.json").exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("folder", "is a folder; give --html the name of a file"),
        ("file/a.json", "cannot be a folder: .*choose another --html"),
        ("/proc/x/a.json", "cannot be written"),
        ("/dev/null", "is no plain file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, path: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match=says) as refused:
        check_file(tmp_path / path, "html")
    assert refused.value.param == "html"
    assert "\n" not in refused.value.message


def test_what_fails_meanwhile_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="folder cannot be written"):
        write_text(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(BadInput, match="no room"), writing(tmp_path / "x"):
        raise OSError("no room")


DATA = ("--data", "nowhere")


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", *DATA, "--out", "folder"),
        ("compare", *DATA, "--out", "folder"),
        ("tradeoff", *DATA, "--adapter", "nowhere", "--out", "file"),
        ("data", "check", "nowhere", "--html", "folder"),
        ("data", "split", "nowhere", "--out", "/proc/x/y"),
    ],
)
def test_commands_look_at_it_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    error = CliRunner().invoke(patchbay.app, words).exception
    assert isinstance(error, BadInput)
    assert words[-1] in error.message
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.parametrize("taken", ["notebook.md", "notebook.html"])
def test_a_notebook_is_not_begun_where_one_of_its_files_cannot_be(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).mkdir()
    with pytest.raises(BadInput, match=f"{taken} is a folder"):
        write([], Language("en"), tmp_path / "notebook.md")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
