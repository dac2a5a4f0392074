"""Who may have answered, and when."""

import time

import pytest

from loadtest.errors import LoadTestError
from loadtest.facts import SWITCHED, Facts
from loadtest.scenario import load
from loadtest.truth import Truth

ONE, TWO = "sha256:1", "sha256:2"
FACTS = Facts("embedded", ["a", SWITCHED], {"a": [ONE], SWITCHED: [ONE, TWO]}, None, {"base": "x", f"a@{ONE}": "y", "z@1": "y"})


def test_a_version_may_answer_only_while_it_is_live() -> None:
    truth = Truth(FACTS, True)
    one, two = f"{SWITCHED}@{ONE}", f"{SWITCHED}@{TWO}"
    before = time.time()
    assert truth.is_right(SWITCHED, one, before, before)
    assert not truth.is_right(SWITCHED, two, before, before)
    with truth.switch(SWITCHED, two):
        during = time.time()
        assert truth.is_right(SWITCHED, one, during, during)
        assert truth.is_right(SWITCHED, two, during, during)
    after = time.time() + 1e-3
    assert not truth.is_right(SWITCHED, one, after, after)
    assert truth.is_right(SWITCHED, one, before, after)
    assert truth.is_right(SWITCHED, two, before, after)
    with pytest.raises(LoadTestError), truth.switch(SWITCHED, one):
        raise LoadTestError("the service did not say whether it did")
    last = time.time() + 1
    assert truth.is_right(SWITCHED, one, last, last)
    assert truth.is_right(SWITCHED, two, last, last)


def test_names_and_the_base() -> None:
    for knows in (True, False):
        truth = Truth(FACTS, knows)
        assert truth.is_right("embedded", "base", 1, 1)
        assert not truth.is_right("a", "base", 1, 1)
        assert not truth.is_right("embedded", f"a@{ONE}", 1, 1)
        assert not truth.is_right("a", "", 1, 1)
        assert truth.is_right("default", "base", 1, 1)
    assert Truth(FACTS, False).is_right("a", "a@sha256:new", 1, 1), "another process may have switched it"
    assert not Truth(FACTS, True).is_right("a", "a@sha256:new", 1, 1)


def test_fingerprint_and_content() -> None:
    truth = Truth(FACTS, True)
    assert truth.fits("base", "embedded@sha256:b")
    assert not truth.fits("base", f"a@{ONE}+embedded@sha256:b")
    assert truth.fits(f"a@{ONE}", f"a@{ONE}+embedded@sha256:b")
    assert not truth.fits(f"a@{ONE}", "embedded@sha256:b")
    assert truth.content("base", "x") == "same"
    assert truth.content("base", "y") == "wrong"
    assert truth.content("base", "else") == "changed"
    assert truth.content(f"a@{ONE}", "x") is None, "another answers alike, so it cannot be told"


def test_a_scenario_that_asks_more_than_there_is() -> None:
    with pytest.raises(LoadTestError, match="asks 2 adapters and the service has 0.*--adapter"):
        Facts("embedded").check(load("noisy"))
