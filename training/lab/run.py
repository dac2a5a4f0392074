"""`patchbay lab`: the steps that are not done yet, then the notebook."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapters.errors import Conflict, PatchbayError
from evaluation.json_file import write_json
from evaluation.output import check_folder
from training.lab.command import run_command
from training.lab.steps import STEPS, Step, steps
from training.notebook.language import Language
from training.notebook.records import read_records
from training.notebook.render import sections, write
from training.record import read_json

LOG = "lab.json"
# `evaluate --watch` found a run worse than one before it: a result, not a failure.
_FINE = (0, 3)
Execute = Callable[[Step], int]
Say = Callable[[str], None]


def lab(
    out: Path, lang: str, say: Say, *, count: int = STEPS, project: Path | None = None, execute: Execute = run_command
) -> list[Path]:
    """Does what is left of the week in `out`, and writes the notebook; its files. Started again, it goes on where it stopped.

    `count` is how many optimizer steps each task is trained.

    Raises:
        BadInput: `out` cannot be a folder, or its log is damaged. Conflict: `out` holds something else, or a week of other steps.
        PatchbayError: a command failed; what it said stands above. KeyboardInterrupt: nothing of what is done is lost.
    """
    language = Language(lang)
    todo = steps(out, count)
    log = _read_log(out, todo)
    out.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(todo, start=1):
        place = f"[{number}/{len(todo)}] {language('lab.day', day=step.day)}"
        if step.is_done:
            say(f"{place}  {step.made}")
            continue
        say(f"{place}  $ {step.command}")
        began = time.monotonic()
        code = execute(step)
        if code not in _FINE or not step.is_done:
            raise PatchbayError(f"{step.command} ended with {code}; patchbay lab --out {out} goes on from there")
        log[step.command] = {"day": step.day, "seconds": round(time.monotonic() - began, 1)}
        write_json(out / LOG, {"schema": 1, "kind": "lab", "steps": log})
    say(language("lab.took", minutes=language.number(sum(entry["seconds"] for entry in log.values()) / 60, 3)))
    told = project or Path(__file__).parent / "project" / f"{lang}.yaml"
    given = [told, *(out / name for name in ("runs", "methods", "seeds", "sweep", "quantized", "records", "watched"))]
    return write(sections(read_records(given), language), language, out / "notebook" / f"{language('lab.file')}.md")


def _read_log(out: Path, todo: Sequence[Step]) -> dict[str, Any]:
    check_folder(out)
    if not out.exists() or not any(out.iterdir()):
        return {}
    path = out / LOG
    if not path.is_file():
        raise Conflict(f"{out} is not empty and holds no lab; choose another --out", param="out")
    log: dict[str, Any] = read_json(path, "lab")["steps"]
    if others := set(log) - {step.command for step in todo}:
        raise Conflict(f"{out} holds a lab of another version ({min(others)}); choose another --out", param="out")
    return log
