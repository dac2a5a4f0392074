"""locust's users. Each class made from `KINDS` is one traffic of the scenario."""

import random
import time
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from locust import HttpUser, constant, task
from requests.exceptions import RequestException
from urllib3 import PoolManager

from loadtest.asking import Answer, Question, question, read
from loadtest.facts import Facts
from loadtest.scenario import Scenario, Traffic
from loadtest.tally import SLICES, Cell, Tally
from loadtest.truth import Truth

# More requests under way than this are not sent but counted as failed: the service has long been left behind.
_MOST_UNDER_WAY = 1000


@dataclass
class Run:
    """What the users of this process share; `ready` is set when the facts are known."""

    scenario: Scenario
    key: str | None
    variants: list[dict[str, bytes]] = field(default_factory=list)
    ready: Event = field(default_factory=Event)
    tally: Tally = field(default_factory=Tally)
    facts: Facts = field(default_factory=lambda: Facts(""))
    seconds: float = 0.0
    truth: Truth = field(default_factory=lambda: Truth(Facts(""), False))

    def begin(self, facts: Facts, knows_switches: bool) -> None:
        """Lets the users go."""
        self.facts, self.truth = facts, Truth(facts, knows_switches)
        self.ready.set()

    def end(self) -> None:
        """How long it was; the next run waits for its facts."""
        self.ready.clear()
        self.seconds = min(self.scenario.seconds, time.time() - self.facts.began)

    def cell(self, traffic: Traffic, model: str) -> Cell:
        """Where to count what ends now."""
        passed = (time.time() - self.facts.began) / self.scenario.seconds
        return self.tally.cell(min(SLICES - 1, max(0, int(passed * SLICES))), traffic.name, model)

    def failed(self, traffic: Traffic, model: str, why: str) -> None:
        """Counts a failure and keeps what it said."""
        self.cell(traffic, model).counts.update(requests=1, failed=1)
        self.tally.say(f"{traffic.name}: {why}")


class Visitor(HttpUser):
    """Someone with a key, who begins when it is time for its traffic."""

    abstract = True
    wait_time = constant(0)
    shared: Run
    traffic: Traffic

    def on_start(self) -> None:
        """Waits for the facts, and for its own beginning."""
        self.shared.ready.wait()
        self.rng = random.Random(f"{self.traffic.name} {id(self)}")
        if self.shared.key:
            self.client.headers["Authorization"] = f"Bearer {self.shared.key}"
        gevent.sleep(max(0.0, self.shared.facts.began + self.traffic.after * self.shared.scenario.seconds - time.time()))


class Asker(Visitor):
    """Asks for tokens: again as soon as it is answered, or at random moments whatever becomes of what it asked before."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        if self.traffic.rate is not None:
            self.pool_manager = PoolManager(maxsize=_MOST_UNDER_WAY)
        super().__init__(environment)
        self._under_way = Pool()
        self._due = time.perf_counter()

    def on_start(self) -> None:
        """The first moment lies in the future."""
        super().on_start()
        self._due = time.perf_counter()

    def on_stop(self) -> None:
        """What is still under way is neither good nor bad."""
        self._under_way.kill()

    @task
    def go(self) -> None:
        """The next request."""
        if self.traffic.rate is None:
            self.ask(time.perf_counter())
            return
        self._due += self.rng.expovariate(self.traffic.rate / self.traffic.users)
        gevent.sleep(max(0.0, self._due - time.perf_counter()))
        if len(self._under_way) < _MOST_UNDER_WAY:
            self._under_way.spawn(self.ask, self._due)
        else:
            self.shared.failed(self.traffic, "not sent", f"{_MOST_UNDER_WAY} requests are under way already")

    def ask(self, due: float) -> None:
        """One request, timed from the moment it was due: an answer that waited to be asked for was late too."""
        model = self.shared.facts.pick(self.traffic, self.rng)
        asked = question(self.traffic, model, self.rng)
        try:
            self._send(asked, model, due)
        except (RequestException, ValueError) as error:  # ValueError: what came is no JSON
            self.shared.failed(self.traffic, model, f"the answer broke off: {type(error).__name__}")

    def _send(self, asked: Question, model: str, due: float) -> None:
        is_stream = "stream" in asked.body
        sent = time.time()
        with self.client.post(
            asked.path, json=asked.body, stream=is_stream, name=self.traffic.name, catch_response=True
        ) as response:
            answered = time.time()
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {response.text[:160]}")
                self.shared.failed(self.traffic, model, f"{response.status_code}: {response.text[:160]}")
                return
            if is_stream:
                answer = read(response.iter_lines())
            else:
                answer = Answer()
                answer.take(response.json())
            if answer.error:
                response.failure(answer.error)
                self.shared.failed(self.traffic, model, answer.error)
                return
            maker = response.headers.get("X-Patchbay-Adapter", "")
            cell = self.shared.cell(self.traffic, model)
            self._time(cell, answer, due, is_stream)
            wrong = self._wrong(cell, asked, model, maker, answer, (sent, answered))
            if wrong:
                response.failure(wrong)
                self.shared.tally.say(f"{self.traffic.name}: {wrong}")
            else:
                response.success()

    def _time(self, cell: Cell, answer: Answer, due: float, is_stream: bool) -> None:
        cell.counts.update(requests=1, tokens=answer.tokens)
        cell.time("answer", time.perf_counter() - due)
        if is_stream and answer.times:
            cell.time("first", answer.times[0] - due)
            for before, after in zip(answer.times, answer.times[1:], strict=False):
                cell.time("gap", after - before)

    def _wrong(
        self, cell: Cell, asked: Question, model: str, maker: str, answer: Answer, span: tuple[float, float]
    ) -> str | None:
        truth = self.shared.truth
        if not truth.is_right(model, maker, *span) or not truth.fits(maker, answer.fingerprint):
            cell.counts["wrong_adapter"] += 1
            return f"asked {model}, answered by {maker or 'nobody who says so'} with the fingerprint {answer.fingerprint}"
        found = truth.content(maker, answer.text) if asked.is_fingerprint else None
        if found is None:
            return None
        cell.counts["checked_content"] += 1
        if found == "same":
            return None
        cell.counts[f"{found}_content"] += 1
        return f"{maker} said {answer.text!r}, which is another's answer" if found == "wrong" else None
