"""The week goes on where it stopped, says which step failed, and ends with the notebook."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import patchbay
from adapters.errors import Conflict, PatchbayError
from tests.training.notebook import made
from training.lab.command import run_command
from training.lab.run import lab
from training.lab.steps import PROJECT_RUN, Step, steps


class Worker:
    """Does a step by leaving behind what it would make."""

    def __init__(self, fail_at: str | None = None) -> None:
        self.done: list[str] = []
        self.fail_at = fail_at

    def __call__(self, step: Step) -> int:
        if step.command == self.fail_at:
            return 2
        self.done.append(step.command)
        self._make(step)
        return 3 if "--watch" in step.words else 0

    def _make(self, step: Step) -> None:
        name = step.made.name
        if step.words[0] == "samples":
            step.made.mkdir()
            return
        if step.words[0] == "quantize":
            step.made.mkdir(parents=True)
            (step.made / "patchbay.json").write_text(
                json.dumps({"kind": "base", "method": step.made.name, "weight_bytes": {"before": 2, "after": 1}})
            )
            return
        step.made.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "run.json": made.run(method=step.words[step.words.index("--method") + 1] if "--method" in step.words else "lora"),
            "sweep.json": made.sweep(), "seeds.json": made.seeds(), "memory.json": made.memory(), "quantization.json": made.tradeoff(), "compare.json": made.compare(),
        }.get(name, made.data_check() if step.printed else made.evaluation())  # fmt: skip
        entry = {**made.evaluation(), "run": "route", "time": "2026-11-25T03:00:00+00:00", "worse": []}
        content = entry if name.endswith(".jsonl") else {key: value for key, value in record.items() if key != "path"}
        step.made.write_text(json.dumps(content) + "\n")


def test_every_step_is_a_command_that_exists_with_options_it_has(tmp_path: Path) -> None:
    for step in steps(tmp_path):
        command = patchbay.LazyGroup().get_command(None, step.words[0])
        words = list(step.words[1:])
        if step.words[0] == "data":
            command = command.commands[words.pop(0)]
        # Parses, or raises what typer says of an unknown option or a value out of range.
        command.make_context(step.words[0], words)


def test_each_step_needs_only_what_was_made_before(tmp_path: Path) -> None:
    made: list[Path] = []
    for step in steps(tmp_path):
        own = step.words[step.words.index("--out") + 1] if "--out" in step.words else None
        for word in step.words:
            if word.startswith(str(tmp_path)) and word not in (own, str(step.made)):
                needed = Path(word)
                assert any(needed.is_relative_to(there) or there.is_relative_to(needed) for there in made), step.command
        made.append(step.made.parent if step.made.suffix else step.made)


def test_the_week_ends_with_the_notebook_in_which_all_is_ticked_that_was_done(tmp_path: Path) -> None:
    said: list[str] = []
    worker = Worker()
    files = lab(tmp_path / "lab", "en", said.append, execute=worker)
    assert len(worker.done) == len(steps(tmp_path))
    text = files[0].read_text()
    assert "Routing a shop's messages" in text
    for method in ("lora", "rslora", "dora", "qlora-4bit", "qlora-8bit", "full"):
        assert f"| training: {method} | ☑ |" in text
    for method in ("int8", "nf4", "gptq", "w8a8"):
        assert f"| quantization: {method} | ☑ | {method} |" in text
    assert f"| method and run | lora, {PROJECT_RUN} |" in text
    assert sum("$ patchbay" in line for line in said) == len(worker.done)
    assert said[0].startswith(f"[1/{len(worker.done)}] day 6  $ patchbay samples --out ")
    again = Worker()
    assert lab(tmp_path / "lab", "pt", said.append, execute=again)[0].name == "caderno.md"
    assert not again.done
    assert any("] dia 6  " in line for line in said)


def test_a_step_that_fails_is_named_and_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.lab.run.write", lambda found, lang, out: [out])  # plots take seconds
    wanted = [step.command for step in steps(tmp_path / "lab")]
    with pytest.raises(PatchbayError, match="ended with 2; patchbay lab --out .* goes on from there"):
        lab(tmp_path / "lab", "en", lambda _: None, execute=Worker(fail_at=wanted[5]))
    worker = Worker()
    lab(tmp_path / "lab", "en", lambda _: None, execute=worker)
    assert worker.done == wanted[5:]


def test_a_command_that_makes_nothing_has_failed(tmp_path: Path) -> None:
    with pytest.raises(PatchbayError, match="samples .* ended with 0"):
        lab(tmp_path / "lab", "en", lambda _: None, execute=lambda step: 0)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict, match="holds no lab"):
        lab(tmp_path, "en", lambda _: None, execute=Worker())
    (tmp_path / "lab.json").write_text(json.dumps({"kind": "lab", "steps": {"patchbay train --old": {"seconds": 1}}}))
    with pytest.raises(Conflict, match="another version .patchbay train --old"):
        lab(tmp_path, "en", lambda _: None, execute=Worker())


def test_what_a_command_prints_is_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.lab.command._IMPORTED", [])  # a check needs none of it
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    kept = Step(6, ("data", "check", str(rows), "--json"), tmp_path / "records" / "check.json", printed=True)
    assert run_command(kept) == 0
    assert json.loads(kept.made.read_text())["kind"] == "data-check"
    gone = Step(6, ("data", "check", str(tmp_path / "absent"), "--json"), tmp_path / "records" / "absent.json", printed=True)
    assert run_command(gone) == 2
    assert not gone.made.exists()


def test_help_names_it() -> None:
    assert "lab" in CliRunner().invoke(patchbay.app, ["--help"]).output
