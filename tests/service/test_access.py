"""Keys on every route: who may call it, and what a key that may use some adapters sees of the others."""

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from service.app import build_app
from service.keyfile import add_key, revoke_key
from tests.service.conftest import Service, Start, until

Adapters = Callable[[int], Path]
# What a key for inference may call; everything else there is needs an admin's.
INFERENCE = {
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model:path}"),
    ("GET", "/v1/adapters"),
    ("GET", "/v1/adapters/{name}"),
    ("GET", "/v1/adapters/{name}/versions/{version}"),
    ("GET", "/v1/default"),
    ("GET", "/version"),
    ("GET", "/metrics"),
}


class Keys:
    """A keys file of four: each key's text by its name, and its header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = {
            "boss": add_key(path, "boss", "admin")[1],
            "team": add_key(path, "team", "admin", ["a"])[1],
            "app": add_key(path, "app", "inference")[1],
            "guest": add_key(path, "guest", "inference", ["a"])[1],
        }

    def __getitem__(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.text[name]}"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


def test_every_route_asks_for_a_key_and_for_the_role(start: Start, keys: Keys) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            routes = [r for r in build_app(s.runtime).routes if isinstance(r, APIRoute)]
            assert len(routes) > 20
            for route in routes:
                for method in route.methods:
                    path = re.sub(r"{[^}]*}", "nothing", route.path)
                    without = await s.http.request(method, path)
                    if route.path in ("/health", "/ready", "/", "/page/{name}"):
                        assert without.status_code in (200, 404)
                        continue
                    assert without.status_code == 401, (method, path)
                    assert without.headers["WWW-Authenticate"] == "Bearer"
                    assert without.json()["error"]["code"] == "invalid_api_key"
                    app = await s.http.request(method, path, headers=keys["app"])
                    assert (app.status_code != 403) == ((method, route.path) in INFERENCE), (method, path, app.text)
                    boss = await s.http.request(method, path, headers=keys["boss"])
                    assert boss.status_code not in (401, 403), (method, path)
            for path in ("/docs", "/openapi.json", "/nowhere"):
                assert (await s.http.get(path)).status_code == 401
                assert (await s.http.get(path, headers=keys["boss"])).status_code != 401

    asyncio.run(story())


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic {boss}", "{boss}", "Bearer {boss}x", "Bearer pb-00000000-x", "Bearer é"],
)
def test_what_is_no_key(start: Start, keys: Keys, header: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            value = header.format(boss=keys.text["boss"]).encode()
            answer = await s.http.get("/v1/adapters", headers=[(b"authorization", value)])
            assert answer.status_code == 401
            assert keys.text["boss"] not in answer.text

    caplog.set_level(logging.DEBUG)
    asyncio.run(story())
    assert keys.text["boss"] not in caplog.text


def test_a_key_sees_its_own_adapters_only(start: Start, keys: Keys, adapters: Adapters) -> None:
    """What it may not use looks exactly like what is not there, whatever the route."""

    async def story() -> None:
        async with start(keys=keys.path) as s:
            await upload(s, keys, adapters(1), "a")
            b = (await upload(s, keys, adapters(2), "b")).json()["version"]
            await s.http.put("/v1/default", json={"adapter": "b"}, headers=keys["boss"])
            for key in ("guest", "team"):
                got = s.http.get
                assert [m["id"] for m in (await got("/v1/models", headers=keys[key])).json()["data"]] == ["embedded", "a"]
                assert [a["name"] for a in (await got("/v1/adapters", headers=keys[key])).json()["data"]] == ["a"]
                for model in ("a", "embedded"):
                    assert (await ask(s, keys[key], model)).status_code == 200
                for hidden in ("b", f"b@{b[7:20]}", f"b@{b}", "default", None):
                    answer = await ask(s, keys[key], hidden)
                    assert answer.status_code == 404
                    assert answer.json()["error"]["code"] == "model_not_found"
                    assert answer.json()["error"]["message"].endswith("does not exist; there are embedded, a")
                assert (await got("/v1/default", headers=keys[key])).status_code == 404
                assert (await got("/metrics", headers=keys[key])).status_code == 403
                for method, path, body in below("b", b):
                    if method == "GET" or key == "team":
                        hidden_answer = await s.http.request(method, path, json=body, headers=keys[key])
                        absent = await s.http.request(method, path.replace("/b", "/zz"), json=body, headers=keys[key])
                        assert hidden_answer.status_code == absent.status_code == 404, (method, path)
                        assert hidden_answer.text.replace("'b", "'") == absent.text.replace("'zz", "'")
            assert (await s.http.get("/v1/adapters/b", headers=keys["app"])).json()["live"] == b
            assert (await ask(s, keys["app"], "default")).headers["X-Patchbay-Adapter"] == f"b@{b}"

    asyncio.run(story())


def below(name: str, version: str) -> list[tuple[str, str, Any]]:
    return [
        ("GET", f"/v1/models/{name}", None),
        ("GET", f"/v1/models/{name}@{version}", None),
        ("GET", f"/v1/adapters/{name}", None),
        ("GET", f"/v1/adapters/{name}/versions/{version}", None),
        ("PUT", f"/v1/adapters/{name}/live", {"version": version}),
        ("POST", f"/v1/adapters/{name}/load", None),
        ("POST", f"/v1/adapters/{name}/unload", None),
        ("PUT", f"/v1/adapters/{name}/pinned", {"pinned": True}),
        ("DELETE", f"/v1/adapters/{name}/versions/{version}", None),
        ("DELETE", f"/v1/adapters/{name}", None),
    ]


def test_an_admin_of_some_adapters_changes_those_alone(start: Start, keys: Keys, adapters: Adapters) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            assert (await upload(s, keys, adapters(1), "a", "team")).status_code == 201
            refused = await upload(s, keys, adapters(2), "b", "team")
            assert refused.status_code == 403
            assert (await s.http.put("/v1/default", json={"adapter": "a"}, headers=keys["team"])).status_code == 403
            assert [a["name"] for a in (await s.http.get("/v1/adapters", headers=keys["boss"])).json()["data"]] == ["a"]
            await upload(s, keys, adapters(3), "c")
            for default in ("c", "a", None):
                await s.http.put("/v1/default", json={"adapter": default}, headers=keys["boss"])
            everything = (await s.http.get("/v1/events", headers=keys["boss"])).json()["data"]
            assert [(e["action"], e["from"], e["to"]) for e in everything[:3]] == [
                ("default", "a", None),
                ("default", "c", "a"),
                ("default", None, "c"),
            ]
            for path, part in (("/v1/events", "data"), ("/v1/adapters/a", "events")):
                events = (await s.http.get(path, headers=keys["team"])).json()[part]
                assert ("upload", "team", "a") in {(e["action"], e["actor"], e["name"]) for e in events}
                assert "c" not in {word for e in events for word in (e["name"], e["from"], e["to"])}

    asyncio.run(story())


def test_files_and_evaluations_of_others_are_not_there(start: Start, keys: Keys, adapters: Adapters) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            await upload(s, keys, adapters(1), "a")
            await upload(s, keys, adapters(2), "b")
            row = b'{"prompt": "x", "completion": "y"}\n'
            sent = await s.http.post(
                "/v1/files", data={"purpose": "eval"}, files={"file": ("t.jsonl", row)}, headers=keys["boss"]
            )
            asked = {"model": "a", "baseline": "b", "file": sent.json()["id"], "metrics": ["accuracy"]}
            begun = (await s.http.post("/v1/evaluations", json=asked, headers=keys["boss"])).json()
            await until(lambda: s.runtime.evaluations.get(begun["id"])["status"] == "completed")
            for method, path in (
                ("GET", f"/v1/files/{asked['file']}"),
                ("DELETE", f"/v1/files/{asked['file']}"),
                ("GET", f"/v1/evaluations/{begun['id']}"),
                ("GET", f"/v1/evaluations/{begun['id']}/samples"),
                ("POST", f"/v1/evaluations/{begun['id']}/cancel"),
            ):
                assert (await s.http.request(method, path, headers=keys["team"])).status_code == 404, path
            for path in ("/v1/files", "/v1/evaluations"):
                assert (await s.http.get(path, headers=keys["team"])).json()["data"] == []
                assert len((await s.http.get(path, headers=keys["boss"])).json()["data"]) == 1
            rows = {"rows": [{"prompt": "x", "completion": "y"}], "metrics": ["accuracy"]}
            for refused in ({"model": "b"}, {"model": "a", "baseline": "b"}, {"model": "default", "baseline": "b"}):
                answer = await s.http.post("/v1/evaluations", json=rows | refused, headers=keys["team"])
                assert answer.status_code == 404
            gated = {"version": s.runtime.registry.state.adapter("a").live}
            gated["require"] = {"evaluation": begun["id"], "metric": "accuracy", "better_than": 0.5}
            assert (await s.http.put("/v1/adapters/a/live", json=gated, headers=keys["team"])).status_code == 404
            taken = {"model": "a", "file": asked["file"]}
            assert (await s.http.post("/v1/evaluations", json=taken, headers=keys["team"])).status_code == 404
            own = await s.http.post("/v1/evaluations", json=rows | {"model": "a"}, headers=keys["team"])
            assert (own.status_code, own.json()["made_by"]) == (202, "team")
            assert len((await s.http.get("/v1/evaluations", headers=keys["team"])).json()["data"]) == 1
            await until(lambda: s.runtime.evaluations.get(own.json()["id"])["status"] == "completed")
            version = s.runtime.registry.state.adapter("a").live
            shown = await s.http.get(f"/v1/adapters/a/versions/{version}", headers=keys["guest"])
            (scores,) = shown.json()["scores"].values()
            assert {score["against"] for score in scores} == {"embedded"}, "b is not named to who may not see it"

    asyncio.run(story())


def test_a_change_of_the_file_takes_effect_at_once(start: Start, keys: Keys) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            assert (await ask(s, keys["app"], None)).status_code == 200
            revoke_key(keys.path, "app")
            assert (await ask(s, keys["app"], None)).status_code == 401
            keys.text["new"] = add_key(keys.path, "new", "inference")[1]
            assert (await ask(s, keys["new"], None)).status_code == 200
            good = keys.path.read_bytes()
            keys.path.write_text("{")
            answer = await ask(s, keys["new"], None)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert (await s.http.get("/health")).status_code == 200
            keys.path.unlink()
            assert (await ask(s, keys["new"], None)).status_code == 503
            keys.path.write_bytes(good)
            keys.path.chmod(0o600)
            assert (await ask(s, keys["new"], None)).status_code == 200

    asyncio.run(story())


def test_limits_of_a_key(start: Start, keys: Keys) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            keys.text["few"] = add_key(keys.path, "few", "inference", requests_per_minute=2)[1]
            keys.text["short"] = add_key(keys.path, "short", "inference", tokens_per_minute=20)[1]
            first = await ask(s, keys["few"], None)
            assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("2", "1")
            assert (await ask(s, keys["few"], None)).status_code == 200
            revoke_key(keys.path, "guest")
            over = await ask(s, keys["few"], None)
            assert (over.status_code, over.json()["error"]["type"]) == (429, "rate_limit_error")
            assert 1 <= int(over.headers["Retry-After"]) <= 30
            assert over.headers["x-ratelimit-remaining-requests"] == "0"
            assert (await s.http.get("/v1/models", headers=keys["few"])).status_code == 200
            assert (await ask(s, keys["short"], None, "a prompt of more than twenty")).status_code == 200
            over = await ask(s, keys["short"], None)
            assert over.status_code == 429
            assert "20 tokens a minute" in over.json()["error"]["message"]
            assert (await ask(s, keys["app"], None)).status_code == 200

    asyncio.run(story())


def test_without_a_key_a_failure_is_not_told(start: Start, keys: Keys) -> None:
    async def story() -> None:
        async with start(keys=keys.path) as s:
            s.runtime.failure = "no such file: /secret/place"
            assert (await s.http.get("/health")).json()["failure"] == "the service's log says why"

    asyncio.run(story())


async def upload(s: Service, keys: Keys, folder: Path, name: str, key: str = "boss") -> httpx.Response:
    s.http.headers.update(keys[key])
    try:
        return await s.upload(folder, name)
    finally:
        del s.http.headers["Authorization"]


async def ask(s: Service, header: dict[str, str], model: str | None, prompt: str = "x") -> httpx.Response:
    return await s.http.post("/v1/completions", json={"model": model, "prompt": prompt}, headers=header)
