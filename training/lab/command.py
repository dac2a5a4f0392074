"""A step as a process of its own, forked from one that has imported torch already: thirty imports would be half of the week."""

import multiprocessing
import os
import sys
from contextlib import nullcontext, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

from evaluation.quiet import be_quiet
from training.lab.steps import Step

_SERVER = multiprocessing.get_context("forkserver")
_IMPORTED = ["training.train", "training.sweep.run", "evaluation.evaluate", "evaluation.local", "evaluation.compare.run"]


def run_command(step: Step) -> int:
    """The command's exit code. What it prints goes to `made` where the step keeps it, whole or not at all."""
    be_quiet()  # before anything is imported, there too
    _SERVER.set_forkserver_preload(_IMPORTED)
    step.made.parent.mkdir(parents=True, exist_ok=True)
    partial = step.made.with_name(f"{step.made.name}.part") if step.printed else None
    process = _SERVER.Process(target=_command, args=(step.words, partial))
    process.start()
    code = _wait(process)
    if partial is not None and code == 0:
        os.replace(partial, step.made)
    return code


def _command(words: tuple[str, ...], printed: Path | None) -> None:
    """As if it had been typed; ends by SystemExit."""
    from patchbay import main

    sys.argv = ["patchbay", *words]
    with printed.open("w", encoding="utf-8") if printed else nullcontext(sys.stdout) as to, redirect_stdout(to):
        main()


def _wait(process: BaseProcess) -> int:
    """Until it ends; Ctrl-C reaches it too, and it is given the time to save what it has."""
    interrupted = False
    while process.exitcode is None:
        try:
            process.join()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return process.exitcode
