"""Work in another process: what it raises is raised here, and its death is told."""

import os
import signal

import pytest

from adapters.errors import BadInput
from training.fresh import in_fresh_process


def test_what_another_process_returns_and_raises() -> None:
    assert in_fresh_process(os.getpid) != os.getpid()
    with pytest.raises(BadInput, match="not a number") as raised:
        in_fresh_process(refuse, "not a number")
    assert raised.value.param == "x"


def test_the_death_of_the_process_is_told() -> None:
    with pytest.raises(BadInput, match="lack of memory"):
        in_fresh_process(die)


def test_what_is_printed_there_is_no_output_of_this_process(capfd: pytest.CaptureFixture[str]) -> None:
    in_fresh_process(print, "a library talks")
    seen = capfd.readouterr()
    assert ("a library talks" in seen.out, "a library talks" in seen.err) == (False, True)


def refuse(message: str) -> None:
    raise BadInput(message, param="x")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
