"""Counting."""

import json
import random

import pytest

from loadtest.tally import Tally, from_record


def test_percentiles_are_within_two_percent() -> None:
    rng, tally = random.Random(1), Tally()
    values = sorted(rng.lognormvariate(-3, 1.5) for _ in range(5000))
    for value in values:
        tally.cell(0, "a", "m").time("first", value)
    for share in (50, 95, 99):
        assert tally.total().percentile("first", share) == pytest.approx(values[len(values) * share // 100], rel=0.02)
    assert tally.total().percentile("gap", 50) is None


def test_what_several_processes_counted_adds_up() -> None:
    whole = Tally()
    for number in (1, 2):
        tally = Tally()
        cell = tally.cell(number, "a", "m")
        cell.counts.update(requests=number, failed=1, tokens=10)
        cell.time("answer", 0.5)
        tally.say("broken")
        whole.add(from_record(json.loads(json.dumps(tally.record()))))
    figures = whole.total().figures(2.0)
    assert (figures["requests"], figures["failed"], figures["tokens"], figures["requests_per_second"]) == (3, 2, 20, 0.5)
    assert figures["answer_p50"] == pytest.approx(0.5, rel=0.02)
    assert whole.messages == {"broken": 2}
    assert whole.total(lambda key: key[0] == 2).counts["requests"] == 2


def test_only_so_many_messages_are_kept() -> None:
    tally = Tally()
    for number in range(100):
        tally.say(f"failure {number}")
    assert len(tally.messages) == 41
    assert tally.messages["other failures"] == 60
