"""What a request has read and made is told once, whether it ends, is one of several choices, or is left by its client."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from service.engine.measured import MeasuredLLM


class Told:
    def __init__(self) -> None:
        self.finished_with: list[tuple[str | None, int, int]] = []

    def first_token(self, *_: object) -> None: ...

    def next_tokens(self, *_: object) -> None: ...

    def finished(self, name: str | None, prompt: int, made: int) -> None:
        self.finished_with.append((name, prompt, made))


def output(*choices: int, finished: bool = False) -> Any:
    """One output with so many new tokens for each of its choices."""
    made = [SimpleNamespace(token_ids=[7] * count) for count in choices]
    return SimpleNamespace(metrics=None, prompt_token_ids=[1, 2, 3], outputs=made, finished=finished)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose engine says what `outputs` holds."""

    async def generate(self: Any, *_: object, **__: object) -> AsyncGenerator[Any, None]:
        for one in self.outputs:
            yield one

    async def abort(self: Any, *_: object) -> None: ...

    monkeypatch.setattr(AsyncLLM, "generate", generate)
    monkeypatch.setattr(AsyncLLM, "abort", abort)
    made: Any = MeasuredLLM.__new__(MeasuredLLM)
    made.observer = Told()
    return made


def read(llm: Any, count: int) -> list[tuple[str | None, int, int]]:
    async def story() -> None:
        async with aclosing(llm.generate(lora_request=SimpleNamespace(lora_name="a@1"))) as stream:
            for _ in range(count):
                await anext(stream, None)

    asyncio.run(story())
    return llm.observer.finished_with  # type: ignore[no-any-return]


def test_all_choices_of_an_answer_count(llm: Any) -> None:
    llm.outputs = [output(4, 5, 6, finished=True)]
    assert read(llm, 2) == [("a@1", 3, 15)]


def test_a_stream_is_told_at_its_end_and_where_it_is_left(llm: Any) -> None:
    llm.outputs = [output(1), output(2), output(3, finished=True)]
    assert read(llm, 4) == [("a@1", 3, 6)]
    llm.observer.finished_with.clear()
    assert read(llm, 2) == [("a@1", 3, 3)]


@pytest.mark.parametrize(
    ("kind", "made", "told"),
    [
        (RequestOutputKind.FINAL_ONLY, 9, [("a@1", 3, 9)]),
        (RequestOutputKind.DELTA, 9, []),  # what came out of a stream is told by the stream
        (RequestOutputKind.DELTA, 0, [("a@1", 3, 0)]),
    ],
)
def test_an_answer_that_nobody_waits_for_counts(llm: Any, kind: RequestOutputKind, made: int, told: list[Any]) -> None:
    stats = SimpleNamespace(num_generation_tokens=made)
    state = SimpleNamespace(output_kind=kind, stats=stats, lora_name="a@1", prompt_len=3)
    llm.output_processor = SimpleNamespace(parent_requests={}, request_states={"r": state})
    asyncio.run(llm.abort("r", internal=True))
    assert llm.observer.finished_with == told


def test_so_do_the_choices_that_had_ended(llm: Any) -> None:
    stats = SimpleNamespace(num_generation_tokens=2)
    state = SimpleNamespace(output_kind=RequestOutputKind.FINAL_ONLY, stats=stats, lora_name=None, prompt_len=3)
    parent = SimpleNamespace(child_requests={"1_r"}, output_aggregator=[SimpleNamespace(token_ids=[7] * 5), None])
    llm.output_processor = SimpleNamespace(parent_requests={"r": parent}, request_states={"1_r": state})
    asyncio.run(llm.abort("r", internal=True))
    assert llm.observer.finished_with == [(None, 3, 7)]
