"""Proof of effect: what is verified, what is not, what is refused; on this base and on another. The fake engine gives
each token -1.0 without and -1.5 with an adapter."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.errors import Conflict
from tests.makers import EMBEDDED, write_probes
from tests.service.conftest import Start

Adapters = Callable[[int], Path]
# The same layers in other weights, as a quantized base has them.
QUANTIZED = replace(EMBEDDED, digest="sha256:" + "q" * 64, origins=(EMBEDDED.id, EMBEDDED.digest), quantization="gptq")
OTHER = replace(EMBEDDED, digest="sha256:" + "x" * 64)


def test_verified_with_its_figures(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            manifest = (await s.upload(write_probes(adapters(1), -1.45), "a")).json()
            assert manifest["status"] == "verified"
            assert manifest["probe"] == {
                "probes": 1,
                "tolerance": 0.1,
                "largest_difference": 0.05,
                "mean_difference": 0.05,
                "difference_without": 0.45,
                "base_difference": 0.0,
                "recorded_effect": 0.45,
                "effect": 0.5,
                "noise": 0.0,
            }
            shown = (await s.http.get(f"/v1/adapters/a/versions/{manifest['version'][7:15]}")).json()
            assert shown["probe"] == manifest["probe"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("recorded", "plain", "base", "says"),
    [
        (-2.0, -1.0, EMBEDDED, "probe_mismatch"),  # 0.5 away: more than bfloat16 explains
        (-1.1, -1.0, QUANTIZED, "probe_mismatch"),  # within what a quantized base may differ by, but the base alone is nearer
    ],
)
def test_a_mismatch_is_refused(start: Start, adapters: Adapters, recorded: float, plain: float, base: object, says: str) -> None:
    async def story() -> None:
        async with start(base=base) as s:
            answer = await s.upload(write_probes(adapters(1), recorded, plain), "a")
            assert [p["code"] for p in answer.json()["error"]["problems"]] == [says]
            assert s.runtime.registry.state.adapters == {}

    asyncio.run(story())


def test_an_effect_below_the_engines_rounding_cannot_be_told(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start(base=QUANTIZED) as s:
            answer = await s.upload(write_probes(adapters(1), -1.21, -1.2), "a")
            assert answer.json()["status"] == "verified"
            assert answer.json()["probe"]["base_difference"] > answer.json()["probe"]["recorded_effect"]

    asyncio.run(story())


def test_no_more_effect_than_the_base_has_on_itself(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.noise = 0.6
            answer = await s.upload(adapters(1), "a")
            assert answer.json()["error"]["problems"][0]["code"] == "no_effect"

    asyncio.run(story())


def test_only_verified_ones_are_admitted(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    async def story() -> None:
        async with start() as s:
            unverified = (await s.upload(adapters(1), "a")).json()
            assert unverified["status"] == "unverified"
            await s.upload(write_probes(adapters(2), -1.5), "b")
        async with start(require_verified=True) as s:
            assert {name.partition("@")[0] for name in s.engine.held.values()} == {"b"}
            assert (await s.ask("b")).status_code == 200
            answer = await s.ask("a")
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version_not_served")
            assert "--require-verified" in answer.json()["error"]["message"]
            assert (await s.http.put("/v1/adapters/a/live", json={"version": unverified["version"]})).status_code == 409
            refused = await s.upload(adapters(3), "c")
            assert refused.json()["error"]["problems"][0]["code"] == "unverified"
            assert {p.name for p in (tmp_path / "home" / "adapters").iterdir()} == {"a", "b"}
            # The same weights again, with their probes: now it is verified.
            again = await s.upload(write_probes(adapters(1), -1.5), "a")
            assert (again.status_code, again.json()["status"], again.json()["version"]) == (
                200,
                "verified",
                unverified["version"],
            )
            assert (await s.ask("a")).status_code == 200
            assert "probes.json" in (await s.http.get(f"/v1/adapters/a/versions/{unverified['version']}")).json()["files"]
        async with start(require_verified=True) as s:
            assert (await s.ask("a")).status_code == 200

    asyncio.run(story())


def test_on_another_base_all_is_proven_again(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one = (await s.upload(write_probes(adapters(1), -1.5), "a")).json()
            two = (await s.upload(adapters(2), "a")).json()["version"]
        async with start(base=QUANTIZED) as s:
            assert (await s.ask("a")).status_code == 200
            shown = (await s.http.get(f"/v1/adapters/a/versions/{one['version']}")).json()
            assert (shown["status"], shown["base"]["digest"], shown["probe"]["tolerance"]) == ("verified", QUANTIZED.digest, 0.65)
            assert shown["created"] == one["created"]
            assert (await s.http.get("/v1/events")).json()["data"][0]["action"] == "prove"
            waiting = await s.ask(f"a@{two}")
            assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "version_not_served")
            assert (await s.http.put("/v1/adapters/a/live", json={"version": two})).status_code == 200
            assert (await s.ask("a")).headers["X-Patchbay-Adapter"] == f"a@{two}"

    asyncio.run(story())


def test_on_a_base_that_it_was_not_made_for_it_is_not_served(start: Start, adapters: Adapters) -> None:
    """The registry outlives a change of base; wrong answers may not come of that."""

    async def story() -> None:
        async with start() as s:
            one = (await s.upload(write_probes(adapters(1), -1.5), "a")).json()["version"]
        async with start(base=OTHER) as s:
            assert s.engine.held == {}
            answer = await s.ask("a")
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version_not_served")
            refused = await s.http.put("/v1/adapters/a/live", json={"version": one})
            assert refused.json()["error"]["problems"][0]["code"] == "base_mismatch"
            assert (await s.http.get("/v1/adapters/a")).json()["live"] == one, "it is not forgotten either"
        async with start() as s:
            assert (await s.ask("a")).headers["X-Patchbay-Adapter"] == f"a@{one}"

    asyncio.run(story())


@pytest.mark.parametrize("live", ["true", "false"])
@pytest.mark.parametrize("what", ["all", "manifest"])
def test_files_that_are_gone_are_not_served_and_not_forgotten(
    start: Start, adapters: Adapters, tmp_path: Path, what: str, live: str
) -> None:
    async def story() -> None:
        async with start() as s:
            version = (await s.upload(adapters(1), "a")).json()["version"]
        folder = tmp_path / "home" / "adapters" / "a"
        if what == "all":
            shutil.rmtree(folder)
        else:
            (folder / version[7:] / "manifest.json").write_text("{}")
        async with start() as s:
            answer = await s.ask("a")
            assert answer.status_code == 409
            assert "files are gone" in answer.json()["error"]["message"]
            assert (await s.upload(adapters(1), "a", live=live)).status_code == 201
            assert (await s.ask("a")).headers["X-Patchbay-Adapter"] == f"a@{version}"
            assert (await s.http.get("/v1/adapters/a")).json()["resident"]

    asyncio.run(story())


def test_a_home_and_a_database_that_do_not_belong_together(start: Start, adapters: Adapters, tmp_path: Path, url: str) -> None:
    """Either would take the other's adapters for left-overs of a crash, and remove them."""

    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
        before = sorted(tmp_path.rglob("home/adapters/**/*"))
        with pytest.raises(Conflict, match="belong"):
            async with start(database_url=url):
                pass
        assert sorted(tmp_path.rglob("home/adapters/**/*")) == before
        async with start() as s:
            assert (await s.ask("a")).status_code == 200

    asyncio.run(story())


def test_a_registry_elsewhere(start: Start, adapters: Adapters, url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with start(database_url=url) as s:
            version = (await s.upload(adapters(1), "a")).json()["version"]
            await s.http.put("/v1/default", json={"adapter": "a"})
        async with start(database_url=url) as s:
            assert (await s.ask("default")).headers["X-Patchbay-Adapter"] == f"a@{version}"
            events = (await s.http.get("/v1/events")).json()["data"]
            assert [e["action"] for e in events] == ["default", "promote", "upload"]
        assert (
            json.loads((tmp_path / "home" / "adapters" / "a" / version[7:] / "manifest.json").read_text())["version"] == version
        )

    asyncio.run(story())
