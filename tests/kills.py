"""SIGKILL at random moments of upload, publish, promote and delete; after each the registry and the store must agree.

    python -m tests.kills --moments 120 --seed 1

The service is the real one in a process of its own, on the fake engine. A ledger holds what was acknowledged. The
operation that the kill cut off may have happened or not, and nothing in between may be seen.
"""

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from adapters.manifest import file_refs, read_manifest, version_digest
from tests.fake_service import FakeService
from tests.makers import files_of, write_adapter, write_probes

NAMES = ("a", "b", "c")
_SEEDS = 8
# A name's versions and which of them is live; for all names, and what the default route is.
Names = dict[str, tuple[frozenset[str], str | None]]
State = tuple[Names, str | None]


@dataclass(frozen=True)
class Operation:
    """One call, and the state that its acknowledgement promises."""

    kind: str
    call: Callable[[httpx.Client], httpx.Response]
    then: State


@dataclass
class Kills:
    """A home that is killed again and again."""

    folder: Path
    random: random.Random
    state: State = field(default_factory=lambda: ({}, None))
    seconds: dict[str, list[float]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.adapters: dict[str, dict[str, bytes]] = {}
        for seed in range(_SEEDS):
            made = write_adapter(self.folder / f"adapter-{seed}", seed=seed)
            self.adapters[version_digest(file_refs(made))] = files_of(write_probes(made, -1.5))
        self.service = FakeService(self.home).ready()

    def moment(self) -> None:
        """A few operations, a kill in the middle of the last, a start; then one of the states that are allowed, and all of it whole."""
        for _ in range(self.random.randrange(3)):
            self._do(self._operation())
        operation = self._operation()
        states = self._cut_off(operation)
        while self.random.random() < 0.2:
            self._kill_a_start()
        self.service = FakeService(self.home).ready()
        self.state = self._look(states)
        if len(states) > 1:
            self.seen[f"{operation.kind} cut off, {'undone' if self.state == states[0] else 'done'}"] += 1

    def _kill_a_start(self) -> None:
        service = FakeService(self.home)
        time.sleep(self.random.uniform(0.0, 0.4))
        service.kill()
        self.seen["a start killed"] += 1

    def _operation(self) -> Operation:
        names, default = self.state
        kinds = ["upload", "upload"]
        if names:
            kinds += ["promote", "delete version", "delete", "default"]
        kind = self.random.choice(kinds)
        if kind == "upload":
            return self._upload(self.random.choice(NAMES), self.random.choice(sorted(self.adapters)), self.random.random() < 0.5)
        name = self.random.choice(sorted(names))
        versions, live = names[name]
        version = self.random.choice(sorted(versions))
        if kind == "promote":
            return Operation(
                kind,
                lambda http: http.put(f"/v1/adapters/{name}/live", json={"version": version}),
                (names | {name: (versions, version)}, default),
            )
        if kind == "delete version" and version != live:
            return Operation(
                kind,
                lambda http: http.delete(f"/v1/adapters/{name}/versions/{version}"),
                (names | {name: (versions - {version}, live)}, default),
            )
        if kind == "delete" and name != default:
            return Operation(
                kind,
                lambda http: http.delete(f"/v1/adapters/{name}"),
                ({n: entry for n, entry in names.items() if n != name}, default),
            )
        target = self.random.choice([None, name])
        return Operation("default", lambda http: http.put("/v1/default", json={"adapter": target}), (names, target))

    def _upload(self, name: str, version: str, live: bool) -> Operation:
        names, default = self.state
        versions, was_live = names.get(name, (frozenset(), None))
        files = [("files", (file, content)) for file, content in self.adapters[version].items()]
        # Of a version that was there already, only the switch is left to do; a new one is taken in and goes live at once.
        final: State = (names | {name: (versions | {version}, version if live or was_live is None else was_live)}, default)
        return Operation(
            "upload",
            lambda http: http.post("/v1/adapters", data={"name": name, "live": str(live).lower()}, files=files),
            final,
        )

    def _do(self, operation: Operation) -> None:
        began = time.monotonic()
        answer = operation.call(self.service.http)
        self.seconds.setdefault(operation.kind, []).append(time.monotonic() - began)
        if not answer.is_success:
            raise AssertionError(f"{operation.kind}: {answer.status_code} {answer.text}")
        self.state = operation.then

    def _cut_off(self, operation: Operation) -> tuple[State, ...]:
        """The states that are allowed after the kill: with an acknowledgement only the one it promises."""
        answers: list[httpx.Response] = []

        def call() -> None:
            with suppress(httpx.TransportError):  # what a caller sees of a service that was killed
                answers.append(operation.call(self.service.http))

        caller = threading.Thread(target=call)
        caller.start()
        time.sleep(self.random.uniform(0.0, 1.1 * statistics.median(self.seconds.get(operation.kind, [0.05]))))
        self.service.process.kill()
        caller.join()
        self.service.kill()
        if answers:
            if not answers[0].is_success:
                raise AssertionError(f"{operation.kind}: {answers[0].status_code} {answers[0].text}")
            self.seen[f"{operation.kind} acknowledged"] += 1
            return (operation.then,)
        return (self.state, operation.then)

    def _look(self, allowed: tuple[State, ...]) -> State:
        """What the service shows, which must be one of `allowed`, and be whole on the disk and in use."""
        shown = self.service.http.get("/v1/adapters").json()["data"]
        names = {a["name"]: (frozenset(v["version"] for v in a["versions"]), a["live"]) for a in shown}
        state = (names, self.service.http.get("/v1/default").json()["adapter"])
        if state not in allowed:
            raise AssertionError(f"found {state}\nallowed {allowed}\n{self.service.log.read_text()[-2000:]}")
        self._check_store(names)
        self._check_served(names)
        return state

    def _check_store(self, names: Names) -> None:
        expected = {(name, version) for name, (versions, _) in names.items() for version in versions}
        folders = {(f.parent.name, f"sha256:{f.name}"): f for f in (self.home / "adapters").glob("*/*")}
        problems = [f"the store has {set(folders)}, the registry {expected}"] if set(folders) != expected else []
        problems += [f"left in staging: {path}" for path in (self.home / "staging").iterdir()]
        for (name, version), folder in folders.items():
            manifest = read_manifest(folder)
            if manifest is None or (manifest.name, manifest.version, manifest.files) != (name, version, file_refs(folder)):
                problems.append(f"{folder} is not what its manifest says")
        with sqlite3.connect(self.home / "registry.db") as database:
            rows = {(n, v): s for n, v, s in database.execute("SELECT name, digest, status FROM versions")}
        if rows != dict.fromkeys(expected, "verified"):
            problems.append(f"rows {rows}")
        if problems:
            raise AssertionError("\n".join(problems))

    def _check_served(self, names: Names) -> None:
        """Every name and every version answers with the weights that it names."""
        asked = {name: f"{name}@{live}" for name, (_, live) in names.items() if live}
        asked |= {f"{name}@{version}": f"{name}@{version}" for name, (versions, _) in names.items() for version in versions}
        for model, expected in asked.items():
            answer = self.service.http.post("/v1/completions", json={"model": model, "prompt": "x"})
            if answer.status_code != 200 or answer.json()["choices"][0]["text"] != expected:
                raise AssertionError(f"{model} was answered {answer.status_code} {answer.text}, expected {expected}")


def run(moments: int, seed: int, folder: Path, on_moment: Callable[[int], None] = lambda number: None) -> dict[str, object]:
    """So many kills on one home; raises AssertionError at the first thing that is not as promised."""
    kills = Kills(folder, random.Random(seed))
    try:
        for number in range(moments):
            kills.moment()
            on_moment(number + 1)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, moment {number}: {error}") from error
    finally:
        kills.service.kill()
    milliseconds = {kind: round(1000 * statistics.median(s)) for kind, s in sorted(kills.seconds.items())}
    return {"moments": moments, "seed": seed, "seen": dict(sorted(kills.seen.items())), "median_ms": milliseconds}


def main() -> None:
    """Prints what was seen, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    from tqdm import tqdm

    with tempfile.TemporaryDirectory() as folder, tqdm(total=given.moments, unit="kill") as bar:
        print(json.dumps(run(given.moments, given.seed, Path(folder), lambda number: bar.update(number - bar.n)), indent=1))


if __name__ == "__main__":
    main()
