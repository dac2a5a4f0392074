"""OpenAI's two inference routes as the fake engine answers them, whole or piece by piece."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from service.answering import LeasedStream, while_wanted
from service.deadline import in_time
from service.description import errors
from service.engine.version import EngineVersion
from service.inference import CLIENT_CLOSED, HEADER, Admission, Lease

Say = Callable[[Any, EngineVersion | None], Awaitable[str]]
Choice = Callable[[str], dict[str, Any]]
Spend = Callable[[Lease, Any, str], None]


class Asked(BaseModel):
    """The last five change nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    ignore_eos: bool = False
    stream_options: dict[str, Any] | None = None
    ignore_eos: bool = False


class Prompt(Asked):
    prompt: str


class Conversation(Asked):
    messages: list[dict[str, Any]]


def fake_openai(admission: Admission, say: Say, spend: Spend, pause: Callable[[], float]) -> APIRouter:
    """The routes; `say` gives the text for a prompt or messages, `spend` is told of it, `pause` the seconds before each piece of a stream."""
    router = APIRouter()
    said = {200: {"content": {"text/event-stream": {}}}, **errors(404, 409, 422, 429, 504)}

    @router.post("/v1/completions", responses=said)
    async def completions(body: Prompt, request: Request) -> Response:
        return await while_wanted(request, answer("/v1/completions", body, body.prompt, lambda text: {"text": text}))

    @router.post("/v1/chat/completions", responses=said)
    async def chat(body: Conversation, request: Request) -> Response:
        kind = "delta" if body.stream else "message"
        work = answer("/v1/chat/completions", body, body.messages, lambda text: {kind: {"content": text}})
        return await while_wanted(request, work)

    async def answer(route: str, body: Asked, asked: Any, choice: Choice) -> Response:
        lease = await admission.admit(body.model, route)
        headers = {HEADER: lease.target.header}
        status, handed_over = CLIENT_CLOSED, False
        try:
            for _ in range(5):  # a real answer is not made in a single step either: its client may leave in between
                await asyncio.sleep(0)
            if body.stream:
                handed_over = True
                return LeasedStream(pieces(lease, asked, choice), lease, headers)
            text = await in_time(say(asked, lease.target.version), lease.left, lease.seconds)
            spend(lease, asked, text)
            status = 200
            whole = {"model": body.model, "system_fingerprint": lease.target.fingerprint, "choices": [choice(text)]}
            return JSONResponse(whole | {"usage": {"completion_tokens": len(text.split())}}, headers=headers)
        finally:
            if not handed_over:
                lease.close(status)

    async def pieces(lease: Lease, asked: Any, choice: Choice) -> AsyncGenerator[str, None]:
        text = await say(asked, lease.target.version)
        words = re.findall(r"\s*\S+", text)
        for word in words:
            await asyncio.sleep(pause())
            chunk = {"system_fingerprint": lease.target.fingerprint, "choices": [choice(word)], "usage": None}
            yield f"data: {json.dumps(chunk)}\n\n"
        spend(lease, asked, text)
        yield f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': len(words)}})}\n\n"
        yield "data: [DONE]\n\n"

    return router
