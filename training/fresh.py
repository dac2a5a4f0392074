"""Work in a process of its own: its memory is that of this work alone, and all of it is given back."""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from adapters.errors import BadInput
from evaluation.quiet import be_quiet

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def in_fresh_process(work: Callable[_Given, _Made], *given: _Given.args, **named: _Given.kwargs) -> _Made:
    """What `work` returns or raises there. An interrupt reaches both processes: the work ends as it does, then this does.

    Raises:
        BadInput: the process was ended from outside, most often because the memory did not suffice.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin) as pool:
        try:
            return pool.submit(work, *given, **named).result()
        except BrokenProcessPool as error:
            raise BadInput(
                f"the process of {work.__name__.replace('_', ' ')} was ended from outside, most often for lack of memory; end other "
                "programs, or ask for less: a smaller base, a smaller --batch-size, --method qlora-4bit",
                param="base",
            ) from error


def _begin() -> None:
    """What was made comes back by value; whatever libraries print there must not stand in this process's output."""
    sys.stdout = sys.stderr
    be_quiet()
