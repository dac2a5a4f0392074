"""locust's users that change the service while others ask it."""

import time
from abc import abstractmethod
from typing import Any

import gevent
from locust import task

from loadtest.errors import LoadTestError
from loadtest.facts import SWITCHED, UPLOADED
from loadtest.scenario import Traffic
from loadtest.stage import EVALUATION_SEED
from loadtest.users import Asker, Run, Visitor
from loadtest.variants import variant

_ROWS = [{"prompt": f"How many are {number} and {number}?", "completion": str(2 * number)} for number in range(8)]


class Operator(Visitor):
    """Does one thing each `every` seconds, or as fast as it can where that is not fast enough."""

    abstract = True

    def on_start(self) -> None:
        """Begins with the first of its things."""
        super().on_start()
        self._number, self._due = 0, time.perf_counter()

    @task
    def go(self) -> None:
        """The next."""
        gevent.sleep(max(0.0, self._due - time.perf_counter()))
        self._due = max(self._due, time.perf_counter() - self.traffic.every) + self.traffic.every
        self._number += 1
        began = time.perf_counter()
        try:
            model = self.operate(self._number)
        except LoadTestError as error:
            self.shared.failed(self.traffic, self.traffic.kind, str(error))
            return
        cell = self.shared.cell(self.traffic, model)
        cell.counts["requests"] += 1
        cell.time("answer", time.perf_counter() - began)

    @abstractmethod
    def operate(self, number: int) -> str:
        """Does it; what it was done to. Raises LoadTestError."""

    def call(self, method: str, path: str, allowed: int | None = None, **request: Any) -> Any:
        """The answer's JSON, or None where there is none; the status `allowed` is as good as any. Raises LoadTestError."""
        with self.client.request(method, path, name=self.traffic.name, catch_response=True, **request) as response:
            if not 200 <= response.status_code < 300 and response.status_code != allowed:
                response.failure(f"{response.status_code}: {response.text[:160]}")
                raise LoadTestError(f"{method} {path}: {response.status_code}: {response.text[:160]}")
            response.success()
            return response.json() if response.content else None


class Switcher(Operator):
    """Promotes one of two versions, then the other; and the default route from the base to them and back."""

    abstract = True

    def operate(self, number: int) -> str:
        """One of four."""
        truth, facts = self.shared.truth, self.shared.facts
        version = facts.versions[SWITCHED][number // 2 % 2]
        if number % 2 == 0:
            with truth.switch(SWITCHED, facts.maker(SWITCHED, version)):
                self.call("PUT", f"/v1/adapters/{SWITCHED}/live", json={"version": version})
            return SWITCHED
        name = next((name for name in facts.adapters if name not in (SWITCHED, UPLOADED)), None) if number % 4 == 1 else None
        with truth.switch("default", facts.maker(name)):
            self.call("PUT", "/v1/default", json={"adapter": name})
        return "default"


class Uploader(Operator):
    """Uploads a new version, promotes it, and deletes the oldest."""

    abstract = True

    def operate(self, number: int) -> str:
        """One version more, one less."""
        versions = self.shared.facts.versions[UPLOADED]
        files = variant(self.shared.variants[number % len(self.shared.variants)], 2000 + number)
        sent = [("files", (file, content)) for file, content in files.items()]
        version = self.call("POST", "/v1/adapters", data={"name": UPLOADED}, files=sent)["version"]
        with self.shared.truth.switch(UPLOADED, self.shared.facts.maker(UPLOADED, version)):
            self.call("PUT", f"/v1/adapters/{UPLOADED}/live", json={"version": version})
        versions.insert(0, version)
        self.call("DELETE", f"/v1/adapters/{UPLOADED}/versions/{versions.pop()}")
        return UPLOADED


class Unloader(Operator):
    """Puts an adapter out of the engine, so that the next who asks it finds it cold; one that is answering stays."""

    abstract = True

    def operate(self, number: int) -> str:
        """One after the other."""
        name = self.shared.facts.adapters[number % len(self.shared.facts.adapters)]
        self.call("POST", f"/v1/adapters/{name}/unload", allowed=409)
        return name


class Evaluator(Operator):
    """Evaluates an adapter against the base and waits for the scores."""

    abstract = True

    def operate(self, number: int) -> str:
        """One evaluation, to its end."""
        model = self.shared.facts.adapters[0] if self.shared.facts.adapters else self.shared.facts.base
        asked = {"model": model, "rows": _ROWS, "metrics": ["exact_match"], "max_tokens": 4, "seed": EVALUATION_SEED}
        body = self.call("POST", "/v1/evaluations", json=asked)
        while body["status"] in ("queued", "running"):
            gevent.sleep(0.25)
            body = self.call("GET", f"/v1/evaluations/{body['id']}")
        if body["status"] != "completed":
            raise LoadTestError(f"the evaluation {body['id']} is {body['status']}: {body['error']}")
        return model


_KINDS = {"upload": Uploader, "switch": Switcher, "unload": Unloader, "evaluate": Evaluator}


def user_classes(run: Run) -> dict[str, type[Visitor]]:
    """A class for each traffic. locust's own page may ask for more users: then those grow that ask for tokens without a rate."""
    return {traffic.name: _user_class(run, traffic) for traffic in run.scenario.traffic}


def _user_class(run: Run, traffic: Traffic) -> type[Visitor]:
    kind = _KINDS.get(traffic.kind, Asker)
    grows = kind is Asker and traffic.rate is None
    number = {"weight": traffic.users} if grows else {"fixed_count": traffic.users}
    return type(traffic.name, (kind,), {"shared": run, "traffic": traffic, "abstract": False, **number})
