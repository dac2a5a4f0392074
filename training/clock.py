"""The seconds of training, over all the processes that a run took."""

import time
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class Clock(TrainerCallback, ExportableState):
    """Runs while training does. Each checkpoint holds what it showed then: a run goes on from there in steps and seconds alike.

    What was done after the last checkpoint is lost when a process is killed, and its seconds with it: it is done again.
    """

    def __init__(self) -> None:
        self._before = 0.0
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """Of all steps that count so far; none before training has begun, when Trainer first asks for `state`."""
        return self._before if self._began is None else self._before + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Goes on from the checkpoint that Trainer has read, if there is one."""
        saved = state.stateful_callbacks.get(type(self).__name__)
        self._before = saved["attributes"]["seconds"] if saved else 0.0
        self._began = time.monotonic()

    def state(self) -> dict[str, Any]:
        """What Trainer writes with a checkpoint."""
        return {"args": {}, "attributes": {"seconds": self.seconds}}
