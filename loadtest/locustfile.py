"""What locust runs: `locust -f loadtest/locustfile.py --host URL`, with its own page, headless, or as master and workers.

PATCHBAY_SCENARIO names the scenario (many, unless given), PATCHBAY_ADAPTERS the folders that adapters are made from
(separated like a PATH), PATCHBAY_KEY the key, PATCHBAY_RESULT where the tally is written. `patchbay loadtest` prepares
the service itself and hands over what it found in PATCHBAY_FACTS.
"""

import json
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from loadtest.client import Client, adapter_files
from loadtest.facts import Facts
from loadtest.operators import user_classes
from loadtest.result import summed
from loadtest.scenario import from_record, load
from loadtest.stage import Stage
from loadtest.tally import Tally
from loadtest.tally import from_record as tally_of
from loadtest.users import Run

_KEY = os.environ.get("PATCHBAY_KEY")
_GIVEN = [Path(folder) for folder in os.environ.get("PATCHBAY_ADAPTERS", "").split(os.pathsep) if folder]
_FACTS = os.environ.get("PATCHBAY_FACTS")
_RESULT = os.environ.get("PATCHBAY_RESULT")
_NAME = os.environ.get("PATCHBAY_SCENARIO", "many")

SCENARIO = from_record(json.loads(_NAME)) if _NAME.startswith("{") else load(_NAME)
RUN = Run(SCENARIO, _KEY, [adapter_files(folder) for folder in _GIVEN])
STAGE = ExitStack()
CLOCK: list[gevent.Greenlet] = []
log = logging.getLogger("patchbay.loadtest")
logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each call
globals().update(user_classes(RUN))


@events.init_command_line_parser.add_listener
def offer(parser: Any) -> None:
    """The scenario's users are what locust's page and command line begin with."""
    parser.set_defaults(num_users=SCENARIO.users, spawn_rate=SCENARIO.users)


@events.init.add_listener
def listen(environment: Any, **_: Any) -> None:
    """A worker is told the facts by its master, and reports what it counted."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("facts", lambda environment, msg, **_: RUN.begin(Facts(**msg.data), False))


@events.test_start.add_listener
def set_stage(environment: Any, **_: Any) -> None:
    """Makes the service ready, once: in the only process, or in the master."""
    if isinstance(environment.runner, WorkerRunner):
        return
    RUN.tally = Tally()
    if _FACTS:
        facts = Facts(**json.loads(_FACTS))
    else:
        facts = STAGE.enter_context(Stage(Client(environment.host, _KEY), SCENARIO, _GIVEN, log.info))
    facts.began = time.time()
    if isinstance(environment.runner, MasterRunner):
        environment.runner.send_message("facts", facts.record())
    RUN.begin(facts, isinstance(environment.runner, LocalRunner))
    CLOCK.append(gevent.spawn_later(SCENARIO.seconds, end, environment))


def end(environment: Any) -> None:
    """When the scenario's time is over, which begins when the service is ready; a headless locust ends with it."""
    CLOCK.clear()
    environment.runner.stop()
    if environment.web_ui is None:
        environment.runner.quit()


@events.report_to_master.add_listener
def report(client_id: str, data: dict[str, Any]) -> None:
    """What this worker counted since it last reported."""
    data["tally"], RUN.tally = RUN.tally.record(), Tally()


@events.worker_report.add_listener
def hear(client_id: str, data: dict[str, Any]) -> None:
    """Adds a worker's count to all."""
    RUN.tally.add(tally_of(data["tally"]))


@events.test_stop.add_listener
def leave(environment: Any, **_: Any) -> None:
    """The service is as it was again; without PATCHBAY_RESULT the verdict is said here."""
    RUN.end()
    while CLOCK:
        CLOCK.pop().kill(block=False)
    STAGE.close()
    if not isinstance(environment.runner, WorkerRunner) and not _RESULT:
        log.info("%s: %s", SCENARIO.name, summed(SCENARIO, environment.host, RUN.tally, RUN.seconds)["verdict"])


@events.quit.add_listener
def write(**_: Any) -> None:
    """Leaves the tally for the one who started this."""
    if _RESULT:
        Path(_RESULT).write_text(json.dumps({"seconds": RUN.seconds, "tally": RUN.tally.record()}), encoding="utf-8")
