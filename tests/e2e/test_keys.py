"""A service with keys, limits and a clock, on the real engine; its last test is its end by SIGTERM under load."""

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from service.client import Client
from service.status import look, status
from tests.described import check_described
from tests.e2e.conftest import Process, patchbay

pytestmark = pytest.mark.e2e

_TIMEOUT = 8
# More than the engine makes in that time, in one request.
_LONG = {"prompt": "x", "max_tokens": 1000, "n": 60, "ignore_eos": True, "temperature": 1.0}


class Keys:
    """Keys made by the command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boss = self.add("boss", "--role", "admin")
        self.guest = self.add("guest", "--adapter", "one")
        self.few = self.add("few", "--tokens-per-minute", 40)

    def add(self, name: str, *options: object) -> str:
        done = patchbay("keys", "add", name, "--keys", self.path, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def keys(work: Path) -> Keys:
    return Keys(work / "keys.json")


@pytest.fixture(scope="module")
def keyed(work: Path, runs: dict[str, Path], keys: Keys) -> Iterator[Process]:
    adapters = [option for name in ("one", "two") for option in ("--adapter", f"{name}={runs[name]}")]
    process = Process(
        work / "keyed", "--keys", str(keys.path), "--request-timeout", str(_TIMEOUT), "--drain-seconds", "20", *adapters
    )
    process.client = Client(process.url, keys.boss)
    try:
        yield process.ready()
    finally:
        process.stop()


def client(service: Process, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0)


def running(service: Process) -> float:
    """Requests in the engine, as the engine itself counts them."""
    lines = service.client.call_text("/metrics").splitlines()
    kinds = ("vllm:num_requests_running", "vllm:num_requests_waiting{")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(kinds))


def comes_to(service: Process, count: int, seconds: float) -> bool:
    """The engine's own count follows its steps, not the moment in which it is asked."""
    ends = time.monotonic() + seconds
    while running(service) != count and time.monotonic() < ends:
        time.sleep(0.1)
    return running(service) == count


def test_openais_client_with_a_key(keyed: Process, keys: Keys) -> None:
    guest = client(keyed, keys.guest)
    assert [m.id for m in guest.models.list()] == ["embedded", "one", "default"]
    assert guest.completions.create(model="one", prompt="x", max_tokens=2).model == "one"
    stream = guest.chat.completions.create(model="one", messages=[{"role": "user", "content": "x"}], max_tokens=2, stream=True)
    assert {chunk.model for chunk in stream} == {"one"}
    version = keyed.client.call("GET", "/v1/adapters/two")["live"]
    for hidden in ("two", f"two@{version}", f"two@{version[7:17]}"):
        for streamed in (False, True):
            with pytest.raises(openai.NotFoundError, match="does not exist; there are embedded, default, one"):
                guest.completions.create(model=hidden, prompt="x", stream=streamed)
    with pytest.raises(openai.PermissionDeniedError):
        guest.files.list()
    with pytest.raises(openai.AuthenticationError, match="not known"):
        client(keyed, keys.guest[:-1]).completions.create(model="one", prompt="x")
    assert patchbay("adapters", "list", "--url", keyed.url).returncode == 2
    assert "one" in patchbay("adapters", "list", "--url", keyed.url, "--key", keys.guest).stdout


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted_where_they_are_made(keyed: Process, keys: Keys, stream: bool) -> None:
    """Also those of a client that leaves: a limit is not evaded by not waiting for the end."""
    key = keys.add(f"leaver-{stream}", "--tokens-per-minute", 20)
    header = {"Authorization": f"Bearer {key}"}
    body = _LONG | {"n": 1, "stream": stream}
    try:
        with httpx.stream("POST", f"{keyed.url}/v1/completions", json=body, headers=header, timeout=1.5) as answer:
            assert answer.status_code == 200
            chunks = (line for line in answer.iter_lines() if line)
            for _ in range(30):
                next(chunks)
    except httpx.ReadTimeout:
        assert not stream
    assert comes_to(keyed, 0, 5)
    with pytest.raises(openai.RateLimitError, match="20 tokens a minute") as refused:
        client(keyed, key).completions.create(model="embedded", prompt="x")
    assert int(refused.value.response.headers["Retry-After"]) > 0
    assert refused.value.response.headers["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_the_engine(keyed: Process, keys: Keys, stream: bool) -> None:
    header = {"Authorization": f"Bearer {keys.boss}"}
    with httpx.Client(headers=header) as http:
        request = http.build_request("POST", f"{keyed.url}/v1/completions", json=_LONG | {"stream": stream}, timeout=1.5)
        if stream:
            answer = http.send(request, stream=True)
            lines = answer.iter_lines()  # held: httpx closes the connection when its iterator is gone
            next(lines)
            assert comes_to(keyed, int(_LONG["n"]), 5)
            answer.close()
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.send(request)
    assert comes_to(keyed, 0, 5)
    assert 'status="499"' in keyed.client.call_text("/metrics")


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_takes_too_long_ends_in_the_engine(keyed: Process, keys: Keys, stream: bool) -> None:
    began = time.monotonic()
    header = {"Authorization": f"Bearer {keys.boss}"}
    answer = httpx.post(f"{keyed.url}/v1/completions", json=_LONG | {"stream": stream}, headers=header, timeout=60)
    assert _TIMEOUT - 1 < time.monotonic() - began < _TIMEOUT + 4
    assert answer.status_code == (200 if stream else 504)
    error = json.loads(answer.text.strip().rpartition("data: ")[2])["error"]
    assert (error["code"], error["type"]) == ("timeout", "server_error")
    assert comes_to(keyed, 0, 5)


def test_a_revoked_key_ends_at_once(keyed: Process, keys: Keys) -> None:
    few = client(keyed, keys.few)
    few.completions.create(model="embedded", prompt="x", max_tokens=1)
    assert patchbay("keys", "revoke", "few", "--keys", keys.path).returncode == 0
    with pytest.raises(openai.AuthenticationError):
        few.completions.create(model="embedded", prompt="x", max_tokens=1)


def test_every_answer_is_one_that_is_described(keyed: Process, keys: Keys, work: Path, runs: dict[str, Path]) -> None:
    """With the engine behind it: what comes in by the description's rules, and against them, reaches vLLM or is refused before."""
    check_described(keyed.url, keys.boss, work, examples=3, seconds=400)
    after = status(look(keyed.client), None)
    assert after["ready"]
    assert after["restarts"] == 0
    assert "unexpected error" not in keyed.log.read_text()
    keyed.client.push(runs["one"], "one", live=True)  # what was asked may have deleted it


def test_sigterm_under_load(keyed: Process, keys: Keys) -> None:
    """What was asked before the signal is answered whole; what comes after is told so; then the process ends with 0."""
    header = {"Authorization": f"Bearer {keys.boss}"}
    seen: list[tuple[float, object]] = []
    signalled = threading.Event()

    def ask() -> None:
        while not (signalled.is_set() and keyed.process.poll() is not None):
            began = time.monotonic()
            body = {"prompt": "x", "max_tokens": 20, "ignore_eos": True}
            try:
                answer = httpx.post(f"{keyed.url}/v1/completions", json=body, headers=header, timeout=60)
                seen.append((began, answer.status_code))
                if answer.status_code == 503:
                    assert int(answer.headers["Retry-After"]) > 0
                    time.sleep(0.05)
            except httpx.TransportError as error:
                seen.append((began, type(error).__name__))
                time.sleep(0.05)

    streamed: list[str] = []
    under_way = threading.Event()

    def stream() -> None:
        body = {"prompt": "x", "max_tokens": 400, "n": 2, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{keyed.url}/v1/completions", json=body, headers=header, timeout=60) as answer:
            for line in answer.iter_lines():
                streamed.extend([line] if line else [])
                under_way.set()

    evaluation = {"model": "one", "rows": [{"prompt": "x", "completion": "y"}] * 500, "metrics": ["accuracy"], "max_tokens": 64}
    begun = keyed.client.call("POST", "/v1/evaluations", json=evaluation)["id"]
    threads = [threading.Thread(target=ask) for _ in range(4)] + [threading.Thread(target=stream)]
    for thread in threads[:-1]:
        thread.start()
    time.sleep(1)
    # Begun last, and longer than the others: what holds the process up while they ask again.
    threads[-1].start()
    assert under_way.wait(60)
    at = time.monotonic()
    keyed.process.send_signal(signal.SIGTERM)
    signalled.set()
    keyed.process.wait(40)
    took = time.monotonic() - at
    for thread in threads:
        thread.join(60)
    assert keyed.process.returncode == 0
    assert took < 20 + 10, "drain-seconds, and what ending the engine may take"
    assert streamed[-1] == "data: [DONE]"
    # A request that leaves here in the last instant may arrive after the signal.
    before = [outcome for began, outcome in seen if began < at - 0.5]
    after = [outcome for began, outcome in seen if began >= at]
    assert before
    assert set(before) == {200}
    assert 503 in after
    assert all(outcome in (200, 503) or isinstance(outcome, str) for outcome in after)
    assert not [word for word in (keys.boss, keys.guest, keys.few) if word in keyed.log.read_text()]
    with sqlite3.connect(keyed.home / "registry.db") as database:
        (status,) = database.execute("select status from evaluations where id = ?", (begun,)).fetchone()
    assert status == "running", "which the next start takes up again"
