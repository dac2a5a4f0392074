"""JSON from strangers: only what can be read, kept and written again."""

from pathlib import Path

import pytest

from adapters.json_file import MAX_DEPTH, read_json


def read(tmp_path: Path, content: bytes, most: int = 10_000) -> tuple[object, str | None]:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    found, problem = read_json(path, most)
    return found, problem.message if problem else None


def test_an_object(tmp_path: Path) -> None:
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read(tmp_path, '{"é": [1, 2.5, null, "😀"]}'.encode())[0] == {"é": [1, 2.5, None, "😀"]}
    assert read(tmp_path, deepest)[1] is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b"\xff\xfe{\0}\0", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "twice"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b'{"a": "\\udc80"}', "surrogates"),
        (b"[]", "holds a list"),
        (b"null", "holds a NoneType"),
        (b'"x"', "holds a str"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too deeply"),
        (b'{"a":' * 1500 + b"1" + b"}" * 1500, "too deeply"),
        (b'{"a": "' + b"x" * 10_000 + b'"}', "at most 10000"),
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes, reason: str) -> None:
    found, message = read(tmp_path, content)
    assert found == {}
    assert message is not None
    assert reason in message


def test_none_at_all(tmp_path: Path) -> None:
    assert read_json(tmp_path / "x.json", 1)[1] is not None
