"""How answers are summed up, and what breaks a limit."""

from dataclasses import replace

import pytest

from loadtest.run import summed
from loadtest.scenario import ScenarioError, load, names


def test_figures_and_verdict() -> None:
    asked = replace(load("many"), seconds=2.0)
    answers = [
        {"model": "a", "status": 200, "right": True, "first": 0.1 * n, "seconds": 0.2 * n, "tokens": 10} for n in range(1, 11)
    ]
    result = summed(asked, "http://127.0.0.1:1", answers)
    assert result["passed"]
    assert result["total"]["requests_per_second"] == 5.0
    assert result["total"]["tokens_per_second"] == 50.0
    assert result["total"]["first_token_p50"] == pytest.approx(0.6)
    wrong = [
        *answers,
        {"model": "b", "status": 200, "right": False, "first": 0.1, "seconds": 0.1, "tokens": 1},
        {"model": "b", "status": 500},
    ]
    result = summed(asked, "http://127.0.0.1:1", wrong)
    assert not result["passed"]
    assert (result["models"]["b"]["failed"], result["models"]["b"]["wrong_adapter"]) == (1, 1)


def test_scenarios() -> None:
    assert {"base", "one", "many"} <= set(names())
    assert load("one", users=3).users == 3
    with pytest.raises(ScenarioError, match="there are base"):
        load("none")
