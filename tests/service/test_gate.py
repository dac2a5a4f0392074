"""A switch on a condition: met, or 409 and nothing has changed."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.client import Client
from service.client_cli import app
from tests.fake_service import FakeService
from tests.service.conftest import Service, Start, until

Adapters = Callable[[int], Path]


async def two_versions(s: Service, adapters: Adapters) -> tuple[str, str]:
    """The first is live. The fake engine answers with the engine's name of the weights, so a row can favour one of them."""
    return tuple([(await s.upload(adapters(seed), "a")).json()["version"] for seed in (1, 2)])  # type: ignore[return-value]


async def evaluated(s: Service, model: str, right: list[str], **asked: Any) -> str:
    """The id of a completed evaluation in which each row wants one of `right`."""
    rows = [{"prompt": str(n), "completion": answer} for n, answer in enumerate(right)]
    begun = await s.http.post("/v1/evaluations", json={"model": model, "rows": rows, "metrics": ["accuracy"], **asked})
    assert begun.status_code == 202, begun.text
    await until(lambda: s.runtime.evaluations.get(begun.json()["id"])["status"] == "completed")
    return str(begun.json()["id"])


async def promoted(s: Service, version: str, **require: Any) -> tuple[int, str]:
    """The status, and what is live afterwards."""
    asked = {"metric": "accuracy", "better_than": "live"} | require
    answer = await s.http.put("/v1/adapters/a/live", json={"version": version, "require": asked})
    if answer.status_code == 409:
        assert answer.json()["error"]["code"] == "requirement_not_met"
    return answer.status_code, s.runtime.registry.state.adapter("a").live or ""


def test_better_than_live_by_its_baseline(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            favours_one = await evaluated(s, f"a@{two}", [f"a@{one}", f"a@{one}", f"a@{two}"], baseline=f"a@{one}")
            assert await promoted(s, two, evaluation=favours_one) == (409, one)
            equal = await evaluated(s, f"a@{two}", [f"a@{one}", f"a@{two}"], baseline=f"a@{one}")
            assert await promoted(s, two, evaluation=equal) == (409, one)
            favours_two = await evaluated(s, f"a@{two}", [f"a@{one}", f"a@{two}", f"a@{two}"], baseline=f"a@{one}")
            assert await promoted(s, two, evaluation=favours_two) == (200, two)
            assert await promoted(s, two, evaluation=favours_two) == (200, two), "asked again, it is so already"
            event = (await s.http.get("/v1/adapters/a")).json()["events"][0]
            assert (event["action"], event["from"], event["to"]) == ("promote", one, two)
            assert event["detail"]["evaluation"] == favours_two
            assert event["detail"]["value"] > event["detail"]["than"]

    asyncio.run(story())


def test_better_than_live_by_another_evaluation_of_the_same_rows(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            right = [f"a@{one}", f"a@{two}", f"a@{two}"]
            second = await evaluated(s, f"a@{two}", right)
            assert await promoted(s, two, evaluation=second) == (409, one)
            await evaluated(s, f"a@{one}", right[:2])
            assert await promoted(s, two, evaluation=second) == (409, one), "other rows compare nothing"
            await evaluated(s, f"a@{one}", right, max_tokens=3)
            assert await promoted(s, two, evaluation=second) == (409, one), "nor do shorter answers"
            await evaluated(s, f"a@{one}", right)
            assert await promoted(s, two, evaluation=second) == (200, two)

    asyncio.run(story())


def test_better_than_a_number(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            half = await evaluated(s, f"a@{two}", [f"a@{two}", "other"])
            for number, expected in ((0.5, (409, one)), (0.7, (409, one)), (0.4, (200, two))):
                assert await promoted(s, two, evaluation=half, better_than=number) == expected

    asyncio.run(story())


def test_of_perplexity_less_is_better(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            # With an adapter the fake engine gives each token -1.5: a perplexity of e to the 1.5, 4.48.
            done = await evaluated(s, f"a@{two}", ["x", "y"], metrics=["perplexity"])
            for number, expected in ((4.4, (409, one)), (4.5, (200, two))):
                assert await promoted(s, two, evaluation=done, metric="perplexity", better_than=number) == expected

    asyncio.run(story())


def test_an_evaluation_that_proves_nothing(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            of_one = await evaluated(s, f"a@{one}", [f"a@{one}"])
            assert await promoted(s, two, evaluation=of_one, better_than=0.1) == (409, one)
            of_two = await evaluated(s, f"a@{two}", [f"a@{two}"])
            assert await promoted(s, two, evaluation=of_two, metric="bleu", better_than=0.1) == (409, one)
            assert await promoted(s, two, evaluation="eval-nothing", better_than=0.1) == (404, one)
            s.engine.slow = asyncio.Event()
            rows = [{"prompt": "x", "completion": "y"}]
            begun = await s.http.post("/v1/evaluations", json={"model": f"a@{two}", "rows": rows, "metrics": ["accuracy"]})
            assert await promoted(s, two, evaluation=begun.json()["id"], better_than=0.1) == (409, one)
            s.engine.slow.set()
            body = s.runtime.registry.records.get(of_two)
            s.runtime.registry.records.save(body | {"base": body["base"] | {"digest": "sha256:other"}})
            assert await promoted(s, two, evaluation=of_two, better_than=0.1) == (409, one)
            assert [e["action"] for e in (await s.http.get("/v1/adapters/a")).json()["events"]].count("promote") == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "require",
    [
        {"evaluation": "eval-1", "metric": "accuracy"},
        {"evaluation": "eval-1", "metric": "accuracy", "better_than": "0.5"},
        {"evaluation": "eval-1", "metric": "accuracy", "better_than": True},
        {"evaluation": "eval-1", "metric": "accuracy", "better_than": "alive"},
        {"evaluation": "eval-1", "metric": "accuracy", "better_than": 0.5, "more": 1},
        {"evaluation": 1, "metric": "accuracy", "better_than": 0.5},
    ],
)
def test_a_requirement_that_is_none(start: Start, adapters: Adapters, require: dict[str, Any]) -> None:
    async def story() -> None:
        async with start() as s:
            one, two = await two_versions(s, adapters)
            answer = await s.http.put("/v1/adapters/a/live", json={"version": two, "require": require})
            assert answer.status_code == 400
            assert s.runtime.registry.state.adapter("a").live == one

    asyncio.run(story())


def test_the_gate_on_the_command_line(adapters: Adapters, tmp_path: Path) -> None:
    """`promote --gate` evaluates first. Of the fake engine, a row that wants a version's name is a row for that version."""
    service = FakeService(tmp_path / "home").ready()
    try:
        one, two = (Client(str(service.http.base_url)).push(adapters(seed), "a")["version"] for seed in (1, 2))
        data = tmp_path / "data.jsonl"

        def promote(version: str, right: list[str], *options: str) -> str:
            """What the command answers; and the rows are for those versions."""
            rows = [{"prompt": str(n), "completion": f"a@{answer}"} for n, answer in enumerate(right)]
            data.write_text("".join(json.dumps(row) + "\n" for row in rows))
            url = ("--url", str(service.http.base_url))
            done = CliRunner().invoke(app, ["promote", "a", version[:19], "--gate", str(data), *options, *url])
            return done.output if done.exception is None else str(done.exception)

        def live() -> str:
            return str(service.http.get("/v1/adapters/a").json()["live"])

        assert "less" not in promote(two, [two], "--metric", "accuracy", "--better-than", "1.0")
        assert live() == one
        assert "nothing was changed" in promote(two, [one, one, two], "--metric", "accuracy")
        assert live() == one
        assert "accuracy 1.0, a@" in promote(two, [two, two], "--metric", "accuracy")
        assert live() == two
        assert "--metric is None" in promote(one, [one])
        assert "--better-than is 'alive'" in promote(one, [one], "--metric", "accuracy", "--better-than", "alive")
        promote(one, [one, two], "--metric", "accuracy", "--better-than", "0.4")
        assert live() == one
    finally:
        service.kill()
