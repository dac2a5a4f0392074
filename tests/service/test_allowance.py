"""Requests and tokens a minute, on a clock of the test's."""

import pytest

from adapters.errors import Busy
from service.allowance import Allowance


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_worth_at_once_and_then_evenly() -> None:
    clock = Clock()
    allowance = Allowance(6, None, clock)
    for _ in range(6):
        allowance.enter()
    with pytest.raises(Busy, match="6 requests a minute") as refused:
        allowance.enter()
    assert refused.value.retry_after == pytest.approx(10)
    clock.now += 10
    allowance.enter()
    with pytest.raises(Busy):
        allowance.enter()
    clock.now += 1000
    assert allowance.headers()["x-ratelimit-remaining-requests"] == "6"


def test_tokens_are_known_afterwards_and_may_overdraw() -> None:
    clock = Clock()
    allowance = Allowance(10, 60, clock)
    allowance.enter()
    allowance.spend(90)
    with pytest.raises(Busy, match="60 tokens a minute") as refused:
        allowance.enter()
    assert refused.value.retry_after == pytest.approx(31)
    assert allowance.headers()["x-ratelimit-remaining-tokens"] == "0"
    assert allowance.headers()["x-ratelimit-remaining-requests"] == "9", "a refused request is not counted"
    clock.now += 31
    allowance.enter()


def test_no_limit_says_nothing() -> None:
    allowance = Allowance(None, None)
    allowance.enter()
    allowance.spend(10**9)
    assert allowance.headers() == {}
