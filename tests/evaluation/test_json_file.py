"""Records: the whole of one, or what was there before."""

import json
from pathlib import Path

import pytest

from evaluation.json_file import write_json


def test_written_whole_into_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_json(path, {"ä": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ä": [1, None]}
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
