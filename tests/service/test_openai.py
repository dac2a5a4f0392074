"""The routes' streams: each chunk as vLLM writes it says which model was asked for, and what made it."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from vllm.entrypoints.openai.completion.protocol import CompletionResponseStreamChoice, CompletionStreamResponse

from service.engine.openai import _rewritten


@pytest.mark.parametrize("engine_name", ["embedded", "route@sha256:" + "0" * 64, "bäse", 'a "base"', "基"])
@pytest.mark.parametrize("asked", ["default", "größe"])
def test_a_chunk_names_the_model_that_was_asked_for(engine_name: str, asked: str) -> None:
    text = f' says "model":"{engine_name}"'
    choice = CompletionResponseStreamChoice(index=0, text=text)
    chunk = CompletionStreamResponse(model=engine_name, choices=[choice]).model_dump_json(exclude_unset=True)

    async def source() -> AsyncGenerator[str, None]:
        yield f"data: {chunk}\n\n"
        yield "data: [DONE]\n\n"

    async def story() -> list[str]:
        return [part async for part in _rewritten(source(), engine_name, asked, "route@1+base@2")]

    first, last = asyncio.run(story())
    found = json.loads(first.removeprefix("data: "))
    assert (found["model"], found["system_fingerprint"]) == (asked, "route@1+base@2")
    assert found["choices"][0]["text"] == text
    assert last == "data: [DONE]\n\n"
