"""`patchbay serve` whose measuring can be put off and on: SIGUSR1 puts it off, SIGUSR2 on again. argv: home, port."""

import logging
import signal
import sys
from pathlib import Path
from typing import Any

from service.cli import run
from service.engine.host import VllmEngine
from service.metrics import Metrics
from service.settings import Settings


class Switch:
    """Off: nothing is told of requests, counted or logged; the rest of the service is the same."""

    def __init__(self) -> None:
        self.engine: Any = None
        self.observer: Any = None
        self.request = Metrics.request

    def make_engine(self, base: Any, settings: Any, observer: Any) -> VllmEngine:
        """See service.cli.run."""
        self.observer, self.engine = observer, VllmEngine(base, settings, observer)
        made: VllmEngine = self.engine
        return made

    def off(self, *_: object) -> None:
        """From the next request on."""
        self.engine._llm.observer = None
        # On the class: the service makes its Metrics itself.
        Metrics.request = lambda *_: None  # type: ignore[method-assign]
        logging.getLogger("patchbay.access").setLevel(logging.WARNING)

    def on(self, *_: object) -> None:
        """As it is always."""
        self.engine._llm.observer = self.observer
        Metrics.request = self.request  # type: ignore[method-assign]
        logging.getLogger("patchbay.access").setLevel(logging.INFO)


def main() -> None:
    """Serves until SIGTERM."""
    switch = Switch()
    signal.signal(signal.SIGUSR1, switch.off)
    signal.signal(signal.SIGUSR2, switch.on)
    settings = Settings("embedded", Path(sys.argv[1]), port=int(sys.argv[2]), kv_cache=256 * 2**20, log_format="json")
    run(settings, switch.make_engine)


if __name__ == "__main__":
    main()
