"""A client of a running service: one method a route, errors of the service as our own."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from adapters.archive import adapter_files
from adapters.errors import BadInput, PatchbayError, Unavailable

_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


class Client:
    """Speaks to the service at `url`. Every call raises PatchbayError with what the service said."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """One request; the answer's JSON, or None where it is empty."""
        answer = self._answer(method, path, **kwargs)
        return answer.json() if answer.content else None

    def call_text(self, path: str) -> str:
        """A GET of something that is not JSON."""
        return self._answer("GET", path).text

    def _answer(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **kwargs)
        except httpx.ConnectError as error:
            raise Unavailable(
                f"nothing answers at {self.url}; start it with patchbay serve, or give --url", retry_after=5
            ) from error
        except httpx.HTTPError as error:
            raise PatchbayError(f"{method} {self.url}{path} failed: {error}") from error
        if answer.is_error:
            raise PatchbayError(_message(answer))
        return answer

    def wait_ready(self, seconds: float, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Returns when requests are answered. Raises Unavailable after `seconds`."""
        ends = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", "/ready")
                return
            except PatchbayError as error:
                if time.monotonic() > ends:
                    raise Unavailable(
                        f"{self.url} was not ready within {seconds:.0f} s: {error.message}", retry_after=5
                    ) from error
            while_waiting()
            time.sleep(0.25)

    def push(self, folder: Path, name: str, *, live: bool = False, accept_base: bool = False) -> dict[str, Any]:
        """Uploads the adapter in a folder (or a run folder) and returns its manifest."""
        with ExitStack() as stack:
            files = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in adapter_files(folder)]
            fields = {"name": name, "live": str(live).lower(), "accept_base": str(accept_base).lower()}
            return dict(self.call("POST", "/v1/adapters", data=fields, files=files))

    def evaluate(
        self, request: dict[str, Any], on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, Any]:
        """Starts an evaluation and waits for its end. Raises BadInput when it failed."""
        begun = self.call("POST", "/v1/evaluations", json=request)
        for body in self._watch(begun["id"]):
            on_progress(body["progress"]["done"], body["progress"]["total"])
        if body["status"] != "completed":
            raise BadInput(f"the evaluation {body['id']} {body['status']}: {(body['error'] or {}).get('message', 'by request')}")
        return dict(body)

    def _watch(self, evaluation_id: str) -> Iterator[dict[str, Any]]:
        while True:
            body = self.call("GET", f"/v1/evaluations/{evaluation_id}")
            yield body
            if body["status"] not in ("queued", "running"):
                return
            time.sleep(0.3)

    def add_file(self, path: Path) -> str:
        """Uploads a data file; its id."""
        with path.open("rb") as file:
            return str(self.call("POST", "/v1/files", data={"purpose": "eval"}, files={"file": (path.name, file)})["id"])


def _message(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        lines = [
            error["message"] if "problems" not in error else f"the adapter was refused for {len(error['problems'])} reason(s):"
        ]
        lines += [f"  {p['code']}  {p['where'] or ''}: {p['message']}" for p in error.get("problems", ())]
        return "\n".join(lines)
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"the service answered {answer.status_code}: {answer.text[:200]}"
