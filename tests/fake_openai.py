"""OpenAI's two inference routes as the fake engine answers them, whole or piece by piece."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from service.engine.version import EngineVersion
from service.inference import HEADER, Admission, Lease

Say = Callable[[Any, EngineVersion | None], Awaitable[str]]


def fake_openai(admission: Admission, say: Say, pause: Callable[[], float]) -> APIRouter:
    """The routes; `say` gives the text for a prompt or messages, `pause` the seconds before each piece of a stream."""
    router = APIRouter()

    @router.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        return await answer("/v1/completions", body, body["prompt"], lambda text: {"text": text})

    @router.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        kind = "delta" if body.get("stream") else "message"
        return await answer("/v1/chat/completions", body, body["messages"], lambda text: {kind: {"content": text}})

    async def answer(route: str, body: dict[str, Any], asked: Any, choice: Callable[[str], dict[str, Any]]) -> Response:
        lease = await admission.admit(body.get("model"), route)
        headers = {HEADER: lease.target.header}
        try:
            text = await say(asked, lease.target.version)
        except BaseException:
            lease.close(500)
            raise
        if body.get("stream"):
            stream = pieces(lease, re.findall(r"\s*\S+", text), choice)
            return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
        lease.close(200)
        return JSONResponse({"model": body.get("model"), "choices": [choice(text)]}, headers=headers)

    async def pieces(lease: Lease, words: list[str], choice: Callable[[str], dict[str, Any]]) -> AsyncIterator[str]:
        try:
            for word in words:
                await asyncio.sleep(pause())
                yield f"data: {json.dumps({'choices': [choice(word)], 'usage': None})}\n\n"
            yield f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': len(words)}})}\n\n"
            yield "data: [DONE]\n\n"
        finally:
            lease.close(200)

    return router
