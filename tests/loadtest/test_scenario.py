"""Scenarios: those that come with Patchbay, a person's own, and what is wrong with one."""

from pathlib import Path

import pytest

from loadtest.errors import ScenarioError
from loadtest.scenario import from_record, load, names


def test_all_that_come_with_patchbay_can_be_used() -> None:
    assert {"base", "one", "many", "open", "churn", "noisy", "switch", "cold", "soak"} == set(names())
    for name in names():
        assert load(name).limits["wrong_adapter"] == 0


def test_changes_are_laid_over_the_traffic_that_has_no_rate() -> None:
    noisy = load("noisy", users=3, seconds=5)
    assert (noisy.seconds, [traffic.users for traffic in noisy.traffic]) == (5, [1, 3])
    assert [traffic.users for traffic in load("switch", users=3).traffic] == [1, 3, 3]
    assert load("many").digest() != load("many", users=3).digest()
    assert from_record(load("many").record()) == load("many")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seconds: 1\ntraffic: [{name: a, kind: read}]", "traffic.0.kind is 'read': Input should be 'stream', "),
        ("seconds: 1\ntraffic: [{name: a, models: some}]", "models is 'some'"),
        ("seconds: 1\ntraffic: [{name: a, after: 1}]", "after is 1"),
        ("seconds: 1\ntraffic: [{name: a, rate: 0}]", "rate is 0"),
        ("seconds: 1\ntraffic: [{name: a, many: 1}]", "traffic.0.many is 1"),
        ("seconds: 1\ntraffic: [{users: 1}]", "traffic.0.name is .*required"),
        ("seconds: 1\ntraffic: [{name: a}, {name: a}]", "a is there twice"),
        ("seconds: 1\ntraffic: many", "traffic is 'many'"),
        ("seconds: soon\ntraffic: [{name: a}]", "seconds is 'soon'"),
        ("seconds: 1\ntraffic: [{name: a}]\nlimits: {failed: none}", "limits.failed is 'none'"),
        ("traffic: [{name: a}]", "seconds is .*required"),
        ("seconds: 1\ntraffic: [{name: a}]\nmix: base", "mix is 'base'"),
        ("- 1", "mapping"),
        ("a: [", "no YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=says):
        load(str(tmp_path / "own.yaml"))


def test_an_unknown_one() -> None:
    with pytest.raises(ScenarioError, match="there are base, .* or give a .yaml file"):
        load("none")
