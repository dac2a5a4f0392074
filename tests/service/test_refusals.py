"""Every family of refusal over HTTP: told whole, before the engine, nothing left, and the service as it was."""

import asyncio
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from adapters.limits import Limits
from tests.makers import files_of, lora_config, lora_tensors, tar_of, write_adapter, zip_of
from tests.service.conftest import Service, Start

Adapters = Callable[[int], Path]
A0 = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
GOOD_CONFIG = json.dumps(lora_config()).encode()


def device(good: dict[str, bytes]) -> bytes:
    stream = io.BytesIO(tar_of(good, mode="w"))
    with tarfile.open(fileobj=stream, mode="a") as archive:
        info = tarfile.TarInfo("README.md")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    return stream.getvalue()


ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes]], bytes], int, set[str]]] = {
    "absolute": (lambda good: tar_of(good | {"/etc/README.md": b"x"}), 422, {"path_escapes", "several_folders"}),
    "dots": (lambda good: zip_of(good | {"../../README.md": b"x"}), 422, {"path_escapes", "several_folders"}),
    "link": (lambda good: tar_of(good, links={"README.md": "/etc/passwd"}), 422, {"not_a_plain_file"}),
    "device": (device, 422, {"not_a_plain_file"}),
    "ratio": (lambda good: zip_of(good | {"README.md": b"0" * 30_000_000}), 413, set()),
    "count": (lambda good: tar_of({f"{n}/README.md": b"" for n in range(500)}), 413, set()),
    "twice": (lambda good: tar_of(good | {"a/adapter_config.json": b"{}"}), 422, {"duplicate_file", "several_folders"}),
    "nested": (lambda good: zip_of(good | {"inner.zip": zip_of(good)}), 422, {"file_not_allowed"}),
    "truncated": (lambda good: tar_of(good)[:-50], 422, {"damaged_archive"}),
    "no archive": (lambda good: b"GIF89a", 422, {"damaged_archive"}),
    "pickle and a bad config": (
        lambda good: zip_of(
            {"adapter_model.bin": b"\x80\x04", "adapter_config.json": b'{"peft_type": "LORA", "use_dora": true}'}
        ),
        422,
        {"file_not_allowed", "missing_file", "unsupported_feature", "bad_rank", "bad_alpha", "bad_config", "base_mismatch"},
    ),
    "a surrogate in a name": (
        lambda good: tar_of(good | {b"\xff.py".decode("utf-8", "surrogateescape"): b"x"}),
        422,
        {"path_escapes"},
    ),
}
FILES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "python": ({"evil.py": b"x"}, {"file_not_allowed"}),
    "escaping": ({"../README.md": b"x", "/etc/README.md": b"x"}, {"path_escapes"}),
    "empty config": ({"adapter_config.json": b""}, {"bad_json"}),
    "deep config": ({"adapter_config.json": b"[" * 50_000}, {"bad_json"}),
    "half a character": ({"adapter_config.json": b'{"\\ud800": 1}'}, {"bad_json"}),
    "NaN": ({"adapter_config.json": GOOD_CONFIG.replace(b"0.0", b"NaN")}, {"bad_json"}),
    "template": ({"chat_template.jinja": b"\xff\xfe", "tokenizer_config.json": b"{" * 9}, {"not_what_it_says", "bad_json"}),
    "deep template": ({"tokenizer_config.json": b'{"a":' * 3000 + b"1" + b"}" * 3000}, {"bad_json"}),
    "infinite record": ({"run.json": b'{"x": 1e999}', "evil.so": b""}, {"bad_json", "file_not_allowed"}),
    "deep record": ({"run.json": b'{"a":' * 300 + b"1" + b"}" * 300}, {"bad_json"}),
    "header too large": ({"adapter_model.safetensors": struct.pack("<Q", 2**62) + b"{}"}, {"bad_safetensors"}),
    "dtype a list": ({"adapter_model.safetensors": struct.pack("<Q", 51) + b'{"a":{"dtype":[],"shape":[0],"data_offsets":[0,0]}}'}, {"bad_safetensors"}),
    "trailing bytes": ({"adapter_model.safetensors": struct.pack("<Q", 2) + b"{}x"}, {"bad_safetensors"}),
}  # fmt: skip
ADAPTERS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "rank, alpha, base": ({"r": 0, "lora_alpha": "8", "base_model_name_or_path": "x/y"}, {}, {"bad_rank", "bad_alpha", "base_mismatch"}),
    "code": ({"auto_mapping": {"parent_library": "os"}, "megatron_core": "os"}, {}, {"unsupported_feature", "bad_config"}),
    "hostile pattern": ({"target_modules": "(((a+)+)+" * 100, "rank_pattern": {"(a+)+": 4}}, {}, {"bad_pattern"}),
    "tensors": ({}, {A0: np.full((4, 256), np.nan, np.float32), "x": np.ones(1, np.int8)}, {"not_finite", "unexpected_tensor"}),
    "base weights": ({}, {"model.norm.weight": np.ones(256, np.float32)}, {"unexpected_tensor"}),
    "shapes": ({}, {A0: np.ones((256, 4), np.float32), A0.replace("layers.0", "layers.9"): np.ones(1, np.float16)}, {"wrong_shape", "unknown_module"}),
}  # fmt: skip


async def unharmed(s: Service, answer: Any, status: int, codes: set[str], loads: int) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, {p["code"] for p in error.get("problems", [])}) == (status, codes)
    assert len(s.engine.loads) == loads, "the engine saw nothing of it"
    home = s.runtime.settings.home
    assert list((home / "staging").iterdir()) == []
    assert [path.name for path in (home / "adapters").iterdir()] == ["live"]
    assert (await s.http.get("/ready")).status_code == 200
    assert (await s.ask("live")).json()["choices"][0]["text"].startswith("live@")


def refused(s: Service) -> int:
    page = s.runtime.metrics.page().decode()
    return int(
        sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("patchbay_uploads_refused_total{"))
    )


def test_every_family_over_http(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    async def story() -> None:
        async with start(limits=Limits(ratio=20, json_file=2**20)) as s:
            assert (await s.upload(adapters(1), "live")).status_code == 201
            loads = len(s.engine.loads)
            good = files_of(adapters(2))
            for make, status, codes in ARCHIVES.values():
                answer = await s.http.post("/v1/adapters", data={"name": "bad"}, files={"archive": ("a", make(good))})
                await unharmed(s, answer, status, codes, loads)
            for files, codes in FILES.values():
                parts = [("files", (name, content)) for name, content in (good | files).items()]
                answer = await s.http.post("/v1/adapters", data={"name": "live", "live": "true"}, files=parts)
                await unharmed(s, answer, 422, codes, loads)
            for number, (config, tensors, codes) in enumerate(ADAPTERS.values()):
                bad = write_adapter(tmp_path / f"bad-{number}", lora_tensors() | tensors, lora_config(**config))
                await unharmed(s, await s.upload(bad, "live", live="true"), 422, codes, loads)
            assert refused(s) == len(ARCHIVES) + len(FILES) + len(ADAPTERS)

    asyncio.run(story())


@pytest.mark.parametrize(
    "name", ["%2e", "%2e%2e", "..%2f..%2fetc", "a%00", "a%0a", "%ff", "a" * 300, "C:", "~", "a b", "%5c..%5c"]
)
def test_names_and_versions_never_become_paths(start: Start, adapters: Adapters, name: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with start() as s:
            version = (await s.upload(adapters(1), "live")).json()["version"]
            before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "home").rglob("*"))
            paths = [f"/v1/adapters/{name}", f"/v1/adapters/{name}/versions/{version}", f"/v1/adapters/live/versions/{name}"]
            for path in paths:
                for method in ("GET", "DELETE"):
                    assert 400 <= (await s.http.request(method, path)).status_code < 500
            name_itself = unquote(name, errors="replace")
            assert 400 <= (await s.http.put("/v1/adapters/live/live", json={"version": name_itself})).status_code < 500
            assert 400 <= (await s.http.put(f"/v1/adapters/{name}/live", json={"version": version})).status_code < 500
            assert 400 <= (await s.ask(f"live@{name_itself}")).status_code < 500
            assert 400 <= (await s.http.get(f"/v1/files/{name}")).status_code < 500
            form = [("files", (file, content)) for file, content in files_of(adapters(2)).items()]
            assert 400 <= (await s.http.post("/v1/adapters", data={"name": name_itself}, files=form)).status_code < 500
            assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "home").rglob("*")) == before
            assert (await s.ask("live")).status_code == 200

    asyncio.run(story())


PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b""),
        ("multipart/form-data; boundary=" + "x" * 5000, b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", PART % (b"name", b"", b"a") + b"--x\r\nContent-Disposition"),
        ("multipart/form-data; boundary=x", PART % (b"name", b"", b"a") + PART % (b"name", b"", b"b") + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", PART % (b"name", b"", b"a" * 5000) + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", PART % (b"name", b'; filename="a"', b"a") + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 100_000 + b"\r\n\r\nx\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\nx\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", PART % (b"files", b'; filename=""', b"") * 100 + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", PART % (b"\xff\xfe", b"", b"x") + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", (PART % (b"archive", b'; filename="a"', b"x")) * 2 + b"--x--\r\n"),
        ("application/json", b"{}"),
    ],
)
def test_a_body_that_is_no_upload(start: Start, kind: str, body: bytes) -> None:
    async def story() -> None:
        async with start() as s:
            answer = await s.http.post("/v1/adapters", content=body, headers={"content-type": kind})
            assert answer.status_code == 400
            assert answer.json()["error"]["message"]
            assert list((s.runtime.settings.home / "staging").iterdir()) == []

    asyncio.run(story())


def test_weights_that_compute_nothing_finite(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            s.engine.not_finite = True
            answer = await s.upload(adapters(1), "a")
            assert (answer.status_code, answer.json()["error"]["problems"][0]["code"]) == (422, "not_finite")
            assert (await s.http.get("/v1/adapters")).json()["data"] == []

    asyncio.run(story())
