"""What breaks a limit, and what a page and a comparison show."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.compare import compared, lines, read
from loadtest.errors import LoadTestError
from loadtest.page import page
from loadtest.result import summed
from loadtest.scenario import load
from loadtest.tally import SLICES, Tally


def counted(factor: float = 1.0, traffic: str = "readers") -> Tally:
    tally = Tally()
    for slice_ in range(SLICES):
        cell = tally.cell(slice_, traffic, "a")
        cell.counts.update(requests=10, tokens=100, checked_content=1)
        for number in range(10):
            cell.time("first", factor * (0.1 + 0.01 * number) * (1 + 0.01 * (slice_ % 7)))
    return tally


def result(tally: Tally, name: str = "one", seconds: float = 20, **service: float) -> dict[str, Any]:
    return {**summed(load(name), "http://127.0.0.1:1", tally, seconds, service), "interrupted": False}


def test_figures_and_verdict() -> None:
    found = result(counted())
    assert found["passed"]
    assert found["total"]["requests_per_second"] == 30
    assert found["models"]["a"]["tokens_per_second"] == 300
    assert found["stretches"][3]["requests_per_second"] == 30
    assert len(found["over_time"]) == SLICES
    tally = counted()
    tally.cell(0, "readers", "b").counts.update(requests=2, failed=1, wrong_content=1)
    found = result(tally)
    assert not found["passed"]
    assert "failed is 1, at most 0 passes; wrong_content is 1" in found["verdict"]


def test_an_interrupted_one_ends_where_it_was() -> None:
    assert len(result(counted(), seconds=5)["stretches"]) == 2
    assert len(result(Tally(), seconds=0)["over_time"]) == 1


def test_a_limit_that_was_not_measured_is_broken() -> None:
    found = result(Tally(), "churn")
    assert "service.adapter_loads is not measured, at least 10 passes" in found["verdict"]
    assert "adapter_loads" not in result(Tally(), "churn", adapter_loads=20.0)["verdict"]


def test_a_neighbour_that_slows_others_down() -> None:
    tally = Tally()
    for slice_ in range(SLICES):
        tally.cell(slice_, "quiet", "a").time("first", 0.1 if slice_ < SLICES // 2 else 0.3)
    assert result(tally, "noisy", 60)["traffic"]["quiet"]["slowdown"] == pytest.approx(3, rel=0.04)


def test_operations_are_not_requests_for_tokens() -> None:
    tally = counted()
    tally.cell(0, "switches", "x").counts.update(requests=60, failed=2)
    found = result(tally, "switch")
    assert (found["total"]["requests"], found["total"]["operations_failed"]) == (600, 2)
    assert "x" not in found["models"]
    assert "operations_failed is 2" in found["verdict"]


def test_the_page_needs_nothing_and_reads_nothing_as_markup() -> None:
    tally = counted()
    tally.say("<script>alert(1)</script>")
    text = page(result(tally, memory_bytes=2.0**30))
    assert text.count("<svg") == 5
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "1,024 MiB" in text


def test_two_results_are_compared_stretch_by_stretch(tmp_path: Path) -> None:
    for name, factor in (("a", 1.0), ("b", 1.5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(counted(factor))), encoding="utf-8")
    a, b = read(tmp_path / "a.json"), read(tmp_path / "b.json")
    first = compared(a, b)["figures"]["first_token_p50"]
    assert first["paired"] == pytest.approx(1.5, rel=0.03)
    assert first["low"] <= first["paired"] <= first["high"]
    assert first["differs"]
    same = compared(a, a)["figures"]["requests_per_second"]
    assert (same["ratio"], same["differs"]) == (1, False)
    assert any("no difference shown" in line for line in lines(compared(a, a)))
    with pytest.raises(LoadTestError, match="name is 'one' and 'many'"):
        compared(a, result(counted(), "many"))
    (tmp_path / "c.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LoadTestError, match="no result"):
        read(tmp_path / "c.json")
