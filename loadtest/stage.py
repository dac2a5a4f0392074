"""Making a service ready for a scenario, and leaving it as it was found, however the scenario ended."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from loadtest.client import Client, adapter_files
from loadtest.errors import LoadTestError
from loadtest.facts import FINGERPRINT, FINGERPRINT_TOKENS, PREFIX, SWITCHED, UPLOADED, Facts
from loadtest.scenario import Scenario
from loadtest.variants import variant

_MOST = 64
# Evaluations that a load test starts are told by their seed.
EVALUATION_SEED = 4_040_404_040


class Stage:
    """A service with the adapters a scenario needs, made from `given` folders; all that it adds is named `loadtest-…`.

    Leaving it deletes those (left-overs of a run that was killed too), ends the evaluations that still run, and sets
    the default route back.
    """

    def __init__(
        self, client: Client, scenario: Scenario, given: Sequence[Path], on_step: Callable[[str], None] = lambda step: None
    ) -> None:
        self._client, self._scenario, self._say = client, scenario, on_step
        self._given = [adapter_files(folder) for folder in given]
        self._found_default: str | None = None
        self.waited = 0.0

    def __enter__(self) -> Facts:
        self._say("waiting for the service")
        self.waited = self._client.wait_ready(may_be_silent=self._scenario.cold)
        try:
            return self._set()
        except BaseException:  # whatever it was, an interrupt too: what is there already is cleared away
            self.clear()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.clear()

    def _set(self) -> Facts:
        self._found_default = self._default()
        self._sweep()
        facts = self._facts()
        lacking = self._scenario.adapters - len(facts.adapters)
        for number in range(max(0, lacking) if self._given else 0):
            self._say(f"adapter {number + 1} of {lacking}")
            self._client.push(f"{PREFIX}{number:03}", self._variant(number))
        for name, wanted in ((SWITCHED, self._scenario.has("switch")), (UPLOADED, self._scenario.has("upload"))):
            if wanted:
                self._add_two_versions(name)
        facts = self._facts()
        facts.check(self._scenario)
        self._ask_alone(facts)
        if self._scenario.cold:
            for name in facts.adapters:
                self._client.call("POST", f"/v1/adapters/{name}/unload")
        return facts

    def _variant(self, seed: int) -> dict[str, bytes]:
        return variant(self._given[seed % len(self._given)], seed)

    def _add_two_versions(self, name: str) -> None:
        if not self._given:
            raise LoadTestError(
                f"scenario {self._scenario.name!r} uploads adapters; give an adapter or run folder to make them from (--adapter DIR)"
            )
        for seed in (1001, 1002):
            self._client.push(name, self._variant(seed))

    def _facts(self) -> Facts:
        """Those that a scenario asks are the service's own first; the switched and the uploaded ones come last."""
        facts = Facts(self._client.call("GET", "/version")["base"]["id"], default=self._found_default)
        found = {adapter["name"]: adapter for adapter in self._client.call("GET", "/v1/adapters")["data"] if adapter["live"]}
        own = [name for name in found if not name.startswith(PREFIX)]
        ours = sorted(name for name in found if name.startswith(PREFIX))
        facts.adapters = [*own[:_MOST], *ours]
        for name in facts.adapters:
            others = [v["version"] for v in found[name]["versions"] if v["version"] != found[name]["live"]]
            facts.versions[name] = [found[name]["live"], *others]
        return facts

    def _ask_alone(self, facts: Facts) -> None:
        asked = [(facts.base, "base")]
        for name in facts.adapters:
            kept = facts.versions[name] if name in (SWITCHED, UPLOADED) else facts.versions[name][:1]
            asked += [(f"{name}@{version}", f"{name}@{version}") for version in kept]
        for number, (model, maker) in enumerate(asked):
            self._say(f"asking each alone, {number + 1} of {len(asked)}")
            facts.texts[maker] = self._client.complete(model, FINGERPRINT, FINGERPRINT_TOKENS)

    def _default(self) -> str | None:
        answer = self._client.answer("GET", "/v1/default")
        return answer.json()["adapter"] if answer.status_code == 200 else None

    def clear(self) -> None:
        """As it was before; can be called again."""
        for body in self._client.call("GET", "/v1/evaluations")["data"] if self._scenario.has("evaluate") else ():
            if body["request"]["seed"] == EVALUATION_SEED and body["status"] in ("queued", "running"):
                self._client.call("POST", f"/v1/evaluations/{body['id']}/cancel")
        if self._default() != self._found_default:
            self._client.call("PUT", "/v1/default", json={"adapter": self._found_default})
        self._sweep()

    def _sweep(self) -> None:
        for adapter in self._client.call("GET", "/v1/adapters")["data"]:
            if adapter["name"].startswith(PREFIX):
                if self._default() == adapter["name"]:
                    self._client.call("PUT", "/v1/default", json={"adapter": None})
                self._client.call("DELETE", f"/v1/adapters/{adapter['name']}")
