"""Names and digests from callers, before they become part of a path."""

import pytest

from adapters.errors import BadInput
from adapters.names import check_name, check_prefix

HOSTILE = (
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/etc",
    "a..b",
    "a\n",
    "a\0",
    "a b",
    "-a",
    ".a",
    "é",
    "a" * 65,
    "C:x",
    "%2e%2e",
    "a@b",
)


@pytest.mark.parametrize("name", [*HOSTILE, "default", "embedded"])
def test_no_such_name(name: str) -> None:
    with pytest.raises(BadInput):
        check_name(name, "embedded")


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "9", "a" * 64])
def test_a_name(name: str) -> None:
    assert check_name(name, "embedded") == name


@pytest.mark.parametrize(
    "text", [*HOSTILE, "sha256:", "abcde", "a" * 65, "abcdef\n", "sha256:abcdef/..", "abcdeg", "ſha256:abcdef"]
)
def test_no_such_version(text: str) -> None:
    with pytest.raises(BadInput):
        check_prefix(text)


def test_a_version() -> None:
    assert check_prefix("ABCDEF") == check_prefix("sha256:abcdef") == "abcdef"
