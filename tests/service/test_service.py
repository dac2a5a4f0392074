"""The service's promises, on a fake engine: upload, switch, drain, evict, refuse, delete, evaluate."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Conflict
from service.runtime import Runtime
from service.settings import Settings
from tests.fakes import FakeEngine
from tests.makers import EMBEDDED, files_of, lora_config, tar_of, write_adapter, zip_of
from tests.service.conftest import Start, until

Adapters = Callable[[int], Path]


def test_upload_ask_promote_roll_back(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            first = await s.upload(adapters(1), "a")
            assert (first.status_code, first.json()["status"], first.json()["live"]) == (201, "unverified", True)
            assert (await s.upload(adapters(1), "a")).status_code == 200
            second = await s.upload(adapters(2), "a")
            assert second.json()["live"] is False
            one, two = first.json()["version"], second.json()["version"]
            assert (await s.ask("a")).headers["X-Patchbay-Adapter"] == f"a@{one}"
            assert (await s.ask(f"a@{two[7:15]}")).json()["choices"][0]["text"] == f"a@{two}"
            assert (await s.http.put("/v1/adapters/a/live", json={"version": two})).json()["live"] == two
            assert (await s.ask("a")).headers["X-Patchbay-Adapter"] == f"a@{two}"
            assert (await s.ask("default")).headers["X-Patchbay-Adapter"] == "base"
            assert (await s.http.put("/v1/default", json={"adapter": "a"})).status_code == 200
            assert (await s.ask("default")).headers["X-Patchbay-Adapter"] == f"a@{two}"
            shown = (await s.http.get("/v1/adapters/a")).json()
            assert shown["previous"] == one
            assert [e["action"] for e in shown["events"]] == ["default", "promote", "upload", "promote", "upload"]
            models = [m["id"] for m in (await s.http.get("/v1/models")).json()["data"]]
            assert models == ["embedded", "a", "default"]

    asyncio.run(story())


def test_a_request_under_way_keeps_its_version_and_then_it_leaves(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            one = (await s.upload(adapters(1), "a")).json()["version"]
            two = (await s.upload(adapters(2), "a")).json()["version"]
            s.engine.slow = asyncio.Event()
            under_way = asyncio.create_task(s.ask("a"))
            await asyncio.sleep(0.05)
            await s.http.put("/v1/adapters/a/live", json={"version": two})
            assert f"a@{one}" in s.engine.held.values()
            s.engine.slow.set()
            answer = await under_way
            assert answer.json()["choices"][0]["text"] == answer.headers["X-Patchbay-Adapter"] == f"a@{one}"
            await until(lambda: list(s.engine.held.values()) == [f"a@{two}"])
            assert await s.engine.resident() == {s.runtime.registry.state.adapter("a").version(two).engine_id}

    asyncio.run(story())


def test_the_old_version_is_resident_until_the_engine_says_that_it_is_not(
    start: Start, adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.residency._RETRY_FULL", 0.2)

    async def story() -> None:
        async with start() as s:
            one = (await s.upload(adapters(1), "a")).json()["version"]
            two = (await s.upload(adapters(2), "a")).json()["version"]

            async def resident() -> dict[str, bool]:
                return {v["version"]: v["resident"] for v in (await s.http.get("/v1/adapters/a")).json()["versions"]}

            s.engine.stubborn = 1
            await s.http.put("/v1/adapters/a/live", json={"version": two})
            await until(lambda: s.engine.stubborn == 0)
            assert await resident() == {one: True, two: True}
            await until(lambda: list(s.engine.held.values()) == [f"a@{two}"])
            await until(lambda: not s.runtime.lifecycle.residency.is_resident(s.runtime.registry.state.adapter("a").version(one)))
            assert await resident() == {one: False, two: True}

    asyncio.run(story())


def test_what_a_refusal_leaves_behind(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    async def story() -> None:
        async with start() as s:
            good = (await s.upload(adapters(1), "a")).json()["version"]
            bad = write_adapter(tmp_path / "bad", config=lora_config(use_dora=True, r=0))
            answer = await s.upload(bad, "a", live="true")
            assert answer.status_code == 422
            assert {p["code"] for p in answer.json()["error"]["problems"]} == {"unsupported_feature", "bad_rank"}
            s.engine.refuse_next = "it does not like it"
            assert (await s.upload(adapters(2), "a", live="true")).status_code == 422
            s.engine.no_effect = True
            answer = await s.upload(adapters(3), "b")
            assert answer.json()["error"]["problems"][0]["code"] == "no_effect"
            shown = (await s.http.get("/v1/adapters")).json()["data"]
            assert [(a["name"], a["live"], len(a["versions"])) for a in shown] == [("a", good, 1)]
            home = tmp_path / "home"
            assert list((home / "staging").iterdir()) == []
            assert [p.name for p in (home / "adapters").iterdir()] == ["a"]
            text = (await s.http.get("/metrics")).text
            assert 'patchbay_uploads_refused_total{reason="no_effect"} 1.0' in text

    asyncio.run(story())


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive(start: Start, adapters: Adapters, pack: Callable[[Any], bytes]) -> None:
    async def story() -> None:
        async with start() as s:
            content = pack({f"folder/{n}": c for n, c in files_of(adapters(1)).items()})
            answer = await s.http.post("/v1/adapters", data={"name": "a"}, files={"archive": ("x.zip", content)})
            assert answer.status_code == 201

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "path", "kwargs", "status", "code"),
    [
        ("POST", "/v1/completions", {"json": {"model": "nobody", "prompt": "x"}}, 404, "model_not_found"),
        ("GET", "/v1/adapters/nobody", {}, 404, "not_found"),
        ("PUT", "/v1/adapters/nobody/live", {"json": {"version": "abcdef"}}, 404, "not_found"),
        ("PUT", "/v1/default", {"json": {"adapter": None, "more": 1}}, 400, "unknown_parameter"),
        ("PUT", "/v1/default", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "invalid_value"),
        ("POST", "/v1/adapters", {"json": {}}, 400, "invalid_value"),
        ("POST", "/v1/adapters", {"data": {"name": "x"}, "files": {"odd": ("a", b"x")}}, 400, "unknown_parameter"),
        (
            "POST",
            "/v1/adapters",
            {"data": {"name": "../x"}, "files": {"files": ("adapter_config.json", b"{}")}},
            400,
            "invalid_value",
        ),
        (
            "POST",
            "/v1/adapters",
            {"data": {"name": "embedded"}, "files": {"files": ("adapter_config.json", b"{}")}},
            400,
            "invalid_value",
        ),
        ("POST", "/v1/adapters", {"data": {"name": "x"}, "files": {"files": ("../evil.py", b"x")}}, 422, "adapter_refused"),
        ("POST", "/v1/adapters", {"data": {"name": "x"}, "files": {"archive": ("a.zip", b"x" * 300_000)}}, 413, "too_large"),
        ("POST", "/v1/evaluations", {"json": {"model": "embedded", "rows": []}}, 400, "invalid_value"),
        ("POST", "/v1/evaluations", {"json": {"model": "embedded", "file": "file-../../x"}}, 404, "not_found"),
        (
            "POST",
            "/v1/files",
            {"data": {"purpose": "eval"}, "files": {"file": ("a.jsonl", b'{"prompt": 1}')}},
            400,
            "invalid_value",
        ),
        ("POST", "/v1/files", {"data": {"purpose": "train"}, "files": {"file": ("a.jsonl", b"{}")}}, 400, "invalid_value"),
        ("GET", "/v1/files/..%2f..%2fregistry.db", {}, 404, "not_found"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/health", {"headers": {"host": "evil.example"}}, 403, "forbidden"),
        ("PUT", "/v1/default", {"json": {"adapter": None}, "headers": {"origin": "http://evil.example"}}, 403, "forbidden"),
    ],
)
def test_bad_input_is_told_so(start: Start, method: str, path: str, kwargs: dict[str, Any], status: int, code: str) -> None:
    from adapters.limits import Limits

    async def story() -> None:
        async with start(limits=Limits(archive=100_000)) as s:
            answer = await s.http.request(method, path, **kwargs)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
            assert list((s.runtime.settings.home / "staging").iterdir()) == []

    asyncio.run(story())


def test_more_adapters_than_places(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start(max_slots=1, max_resident=2) as s:
            for seed in range(5):
                assert (await s.upload(adapters(seed), f"a{seed}")).status_code == 201
            answers = await asyncio.gather(*(s.ask(f"a{n % 5}") for n in range(40)))
            for n, answer in enumerate(answers):
                # A place may not be free at this moment: then the caller is told to come again.
                assert answer.status_code in (200, 429)
                if answer.status_code == 200:
                    assert answer.headers["X-Patchbay-Adapter"].startswith(f"a{n % 5}@")
            assert s.engine.most_held <= 3
            for n in range(5):
                assert (await s.ask(f"a{n}")).status_code == 200
            assert len(s.engine.held) <= 2

    asyncio.run(story())


def test_a_pinned_adapter_is_not_put_out(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start(max_slots=1, max_resident=2) as s:
            for seed in range(4):
                await s.upload(adapters(seed), f"a{seed}")
            assert (await s.http.put("/v1/adapters/a0/pinned", json={"pinned": True})).json()["pinned"]
            for n in (1, 2, 3, 1):
                await s.ask(f"a{n}")
            assert any(name.startswith("a0@") for name in s.engine.held.values())
            assert (await s.http.put("/v1/adapters/a1/pinned", json={"pinned": True})).status_code == 409
            assert (await s.http.post("/v1/adapters/a0/unload")).status_code == 409

    asyncio.run(story())


def test_one_load_for_many_requests(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
            await s.http.post("/v1/adapters/a/unload")
            s.engine.loads.clear()
            await asyncio.gather(*(s.ask("a") for _ in range(20)))
            assert len(s.engine.loads) == 1

    asyncio.run(story())


def test_delete(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    async def story() -> None:
        async with start() as s:
            one = (await s.upload(adapters(1), "a")).json()["version"]
            two = (await s.upload(adapters(2), "a")).json()["version"]
            assert (await s.http.delete(f"/v1/adapters/a/versions/{one}")).status_code == 409
            assert (await s.http.delete(f"/v1/adapters/a/versions/{two[7:17]}")).status_code == 204
            assert (await s.http.delete("/v1/adapters/a")).status_code == 204
            assert (await s.ask("a")).status_code == 404
            assert s.engine.held == {}
            assert list((tmp_path / "home" / "adapters").iterdir()) == []
            assert 'adapter="a"' not in (await s.http.get("/metrics")).text

    asyncio.run(story())


def test_a_version_deleted_while_it_leaves_and_is_asked_for(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    """The request came before the deletion: it is answered, and then the version leaves for good."""

    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
            s.engine.stubborn = 1  # it leaves at the second try, a second later
            leaving = asyncio.create_task(s.http.post("/v1/adapters/a/unload"))
            await until(lambda: s.engine.stubborn == 0)
            asked = asyncio.create_task(s.ask("a"))
            await asyncio.sleep(0.05)
            deleted = asyncio.create_task(s.http.delete("/v1/adapters/a"))
            done, _ = await asyncio.wait((leaving, asked, deleted), timeout=5)
            # Who put it out is shown an adapter that is no more.
            assert [task.result().status_code for task in (leaving, asked, deleted) if task in done] == [404, 200, 204]
            assert s.engine.held == {}
            assert not (tmp_path / "home" / "adapters" / "a").exists()
            assert (await s.upload(adapters(1), "a")).status_code == 201

    asyncio.run(story())


def test_two_services_on_one_home(start: Start, tmp_path: Path) -> None:
    async def story() -> None:
        async with start():
            with pytest.raises(Conflict, match="another service"):
                Runtime(Settings(base="embedded", home=tmp_path / "home"), EMBEDDED, lambda *_: FakeEngine())

    asyncio.run(story())


def test_an_evaluation_from_file_to_samples(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            version = (await s.upload(adapters(1), "a")).json()["version"]
            rows = b"".join(b'{"prompt": "%d", "completion": "base"}\n' % n for n in range(20))
            file = (await s.http.post("/v1/files", data={"purpose": "eval"}, files={"file": ("t.jsonl", rows)})).json()
            assert file["rows"] == 20
            asked = {"model": "a", "file": file["id"], "metrics": ["accuracy", "perplexity"]}
            begun = await s.http.post("/v1/evaluations", json=asked)
            assert begun.status_code == 202
            path = f"/v1/evaluations/{begun.json()['id']}"
            await until(lambda: s.runtime.evaluations.get(begun.json()["id"])["status"] == "completed")
            done = (await s.http.get(path)).json()
            assert done["model"] == f"a@{version}"
            assert (done["scores"]["accuracy"]["value"], done["scores"]["accuracy"]["baseline"]) == (0.0, 1.0)
            assert done["scores"]["accuracy"]["p"] < 0.01
            assert done["scores"]["perplexity"]["value"] > done["scores"]["perplexity"]["baseline"]
            assert len((await s.http.get(path + "/samples")).json()["data"]) == 20
            assert (await s.http.post(path + "/cancel")).status_code == 409
            shown = (await s.http.get(f"/v1/adapters/a/versions/{version[7:15]}")).json()
            assert shown["scores"]["bfloat16"][0]["evaluation"] == begun.json()["id"]
            assert 'patchbay_evaluation_score{adapter="a",metric="accuracy"} 0.0' in (await s.http.get("/metrics")).text

    asyncio.run(story())


def test_a_cancelled_evaluation(start: Start) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.slow = asyncio.Event()
            asked = {"model": "embedded", "rows": [{"prompt": "x", "completion": "y"}], "metrics": ["accuracy"]}
            begun = (await s.http.post("/v1/evaluations", json=asked)).json()
            assert (await s.http.get(f"/v1/evaluations/{begun['id']}/samples")).status_code == 409
            assert (await s.http.post(f"/v1/evaluations/{begun['id']}/cancel")).json()["status"] == "cancelled"

    asyncio.run(story())
