"""A model behind an OpenAI-shaped service, asked one question at a time."""

import time
from typing import Any

import httpx

from adapters.errors import BadInput, Unavailable
from evaluation.model import Completion

_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


class RemoteModel:
    """See evaluation.compare.approaches.Answering, which this is."""

    def __init__(self, http: httpx.AsyncClient, model: str) -> None:
        self._http, self._model = http, model

    @property
    def id(self) -> str:
        """The name it is asked by."""
        return self._model

    async def complete(self, prompt: Any, max_tokens: int, stop: str | None = None) -> Completion:
        """A greedy answer; the seconds are those that a client waits."""
        asked: dict[str, Any] = {"model": self._model, "max_tokens": max_tokens, "temperature": 0, "stop": stop}
        chat = not isinstance(prompt, str)
        path = "/v1/chat/completions" if chat else "/v1/completions"
        began = time.monotonic()
        try:
            answer = await self._http.post(path, json=asked | ({"messages": prompt} if chat else {"prompt": prompt}))
        except httpx.HTTPError as error:
            raise Unavailable(
                f"nothing answers at {self._http.base_url}: {error}; start it with patchbay serve", retry_after=5
            ) from error
        seconds = time.monotonic() - began
        if answer.is_error:
            raise BadInput(f"{self._http.base_url} refused a question to {self._model}: {answer.text[:300]}", param="url")
        body = answer.json()
        choice = body["choices"][0]
        text = choice["message"]["content"] if chat else choice["text"]
        return Completion(text or "", body["usage"]["completion_tokens"], seconds, choice["finish_reason"] == "length")


def client(url: str, key: str | None) -> httpx.AsyncClient:
    """For the service at `url`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT)
