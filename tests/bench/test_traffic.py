"""The benchmarks' clients: what they read of an answer, how many ask at once, and what counts as wrong."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from bench.many_adapters import TOKENS, Bench
from bench.traffic import HEADER, Answer, Ask, drive, percentile, session


async def answered(work: list[Ask], clients: int) -> tuple[list[Answer], int]:
    """Asks a server that answers with the model's name, in two parts where it streams; the most that were under way at once."""
    now = most = 0

    async def completions(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        body = await request.json()
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.02)
        now -= 1
        if body["model"] == "nobody":
            return web.json_response({"error": "no"}, status=404)
        headers = {HEADER: f"{body['model']}@sha256:1"}
        if not body["stream"]:
            return web.json_response({"choices": [{"text": body["model"] * 2}]}, headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for text in ("", body["model"], body["model"]):
            await response.write(b"data: " + json.dumps({"choices": [{"text": text}]}).encode() + b"\n\n")
            await asyncio.sleep(0.02)
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/completions", completions)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with session(clients) as http:
            load = await drive(http, f"http://127.0.0.1:{runner.addresses[0][1]}", work, clients)
    finally:
        await runner.cleanup()
    assert load.rate == pytest.approx(len(work) / load.seconds)
    return load.answers, most


def test_answers_whole_and_streamed() -> None:
    answers, _ = asyncio.run(answered([Ask("a", "x", 8), Ask("a", "x", 8, stream=True)], 1))
    whole, streamed = answers
    assert (whole.status, whole.text, whole.made_by, whole.first) == (
        200,
        "aa",
        "a@sha256:1",
        pytest.approx(whole.seconds, abs=0.01),
    )
    assert (streamed.text, streamed.made_by) == ("aa", "a@sha256:1")
    assert 0.03 < streamed.first < streamed.seconds - 0.02


def test_so_many_clients_ask_at_once() -> None:
    answers, most = asyncio.run(answered([Ask("a", "x", 8)] * 12, 3))
    assert len(answers) == 12
    assert most == 3


def test_a_refusal_is_an_answer() -> None:
    answers, _ = asyncio.run(answered([Ask("nobody", "x", 8)], 1))
    assert answers[0].status == 404


def test_percentiles_are_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([2.0, 1.0], 0.5) == 1.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert percentile([7.0], 0.0) == 7.0


@pytest.mark.parametrize(
    ("status", "text", "made_by", "wrong"),
    [
        (200, " lamp" * TOKENS, "a1@sha256:b", None),
        (200, " chair" * TOKENS, "a1@sha256:b", "wrong_words"),
        (200, " lamp" * (TOKENS - 1) + " chair", "a1@sha256:b", "wrong_words"),
        (200, " lamp" * TOKENS, "a0@sha256:a", "wrong_headers"),
        (200, " lamp" * TOKENS, "base", "wrong_headers"),
        (429, "", None, "failed"),
    ],
)
def test_another_adapters_word_or_header_is_wrong(status: int, text: str, made_by: str | None, wrong: str | None) -> None:
    bench = Bench(None, None, [(Path("0"), "chair"), (Path("1"), "lamp")])  # type: ignore[arg-type]
    bench.versions = {"a0": "sha256:a", "a1": "sha256:b"}
    assert bench.wrong(Answer(Ask("a1", "x", TOKENS), status, text, made_by, 0.1, 0.1)) == wrong
