"""The commands as a person types them: bad input, interrupts, and bases that were made here."""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import PATCHBAY, Process, patchbay, quantized

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "--data", "nothing.jsonl", "--out", "{out}"), "nothing.jsonl"),
        (("train", "--data", "{empty}", "--out", "{out}"), "holds no rows"),
        (("train", "--data", "{lacking}", "--out", "{out}"), "line 2"),
        (("train", "--data", "{lacking}", "--base", "no/such-base-anywhere", "--out", "{out}"), "no/such-base-anywhere"),
        (("train", "--data", "{good}", "--rank", "0", "--out", "{out}"), "rank"),
        (("train", "--data", "{good}", "--method", "magic", "--out", "{out}"), "magic"),
        (("serve", "--base", "./missing"), "./missing"),
        (("serve", "--host", "0.0.0.0"), "this machine only"),
        (("serve", "--engine", "nonsense=1", "--home", "{out}"), "nonsense"),
        (("serve", "--adapter", "a={tmp}", "--home", "{out}"), "adapter_config.json"),
        (("evaluate", "--data", "{good}", "--metric", "blue"), "blue"),
        (("data", "check", "nothing.jsonl"), "nothing.jsonl"),
        (("data", "check", "{good}", "--min-grade", "Q"), "'Q'"),
        (("data", "split", "{lacking}", "--out", "{out}"), "line 2"),
        (("adapters", "list", "--url", "http://127.0.0.1:9"), "nothing answers"),
        (("loadtest", "--url", "http://example.com"), "--remote"),
        (("quantize", "--method", "magic", "--out", "{out}"), "magic"),
    ],
)
def test_bad_input_says_what_and_how(
    tmp_path: Path, arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    row = '{"prompt": "a", "completion": "b"}\n'
    files = {"empty": "", "lacking": row + '{"prompt": "a"}\n', "good": row * 4}
    for name, content in files.items():
        (tmp_path / f"{name}.jsonl").write_text(content)
    places = {name: tmp_path / f"{name}.jsonl" for name in files} | {"out": tmp_path / "out", "tmp": tmp_path}
    done = patchbay(*(a.format(**places) for a in arguments))
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_port_in_use_is_found_before_the_engine(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        began = time.monotonic()
        done = patchbay("serve", "--port", taken.getsockname()[1], "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "is in use" in done.stderr
    assert time.monotonic() - began < 30


def test_an_interrupted_training_goes_on(samples: Path, tmp_path: Path) -> None:
    command = [
        *PATCHBAY,
        "train",
        "--data",
        str(samples / "route"),
        "--out",
        str(tmp_path / "run"),
        "--max-steps",
        "60",
        "--rank",
        "4",
        "--evals",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    curves = tmp_path / "run" / "curves.jsonl"
    ends = time.monotonic() + 120
    while time.monotonic() < ends and (not curves.exists() or len(curves.read_text().splitlines()) < 10):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    half = json.loads((tmp_path / "run" / "run.json").read_text())
    assert half["status"] == "interrupted"
    assert 0 < half["steps"] < 60
    assert patchbay(*command[len(PATCHBAY) :]).returncode == 0
    whole = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (whole["status"], whole["steps"]) == ("finished", 60)
    steps = [json.loads(line)["step"] for line in curves.read_text().splitlines()]
    assert steps == sorted(steps), "it went on from where it was"
    again = patchbay(*command[len(PATCHBAY) :])
    assert again.returncode == 2
    assert "finished run" in again.stderr


def test_a_quantized_base_serves(runs: dict[str, Path], work: Path) -> None:
    """GPTQ of the base takes the base's adapters."""
    base = quantized(work, "gptq")
    process = Process(work / "home-gptq", "--base", str(base), "--adapter", f"route={runs['one']}").ready()
    try:
        manifest = process.client.call("GET", "/v1/adapters/route")["versions"][0]
        assert manifest["status"] == "verified"
        answer = httpx.post(
            f"{process.url}/v1/completions", json={"model": base.name, "prompt": "x", "max_tokens": 4}, timeout=60
        )
        assert answer.status_code == 200
    finally:
        process.stop()


def test_full_training_writes_a_base(samples: Path, tmp_path: Path) -> None:
    done = patchbay(
        "train", "--method", "full", "--data", samples / "route", "--out", tmp_path / "run", "--max-steps", 5, "--evals", 1
    )
    assert done.returncode == 0, done.stderr[-2000:]
    base = tmp_path / "run" / "model"
    assert json.loads((base / "patchbay.json").read_text())["method"] == "full"
    scored = patchbay(
        "evaluate", "--base", base, "--data", samples / "route" / "test.jsonl", "--metric", "perplexity", "--limit", 5, "--json"
    )
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["scores"]["perplexity"]["value"] > 1


def test_dora_is_served_as_the_base_it_was_merged_into(samples: Path, tmp_path: Path) -> None:
    """And serves its own task: what it says is what PEFT's DoRA said in training's evaluation."""
    trained = _trained("dora", samples, tmp_path / "run")
    rows = samples / "route" / "test.jsonl"
    scored = patchbay(
        "evaluate", "--base", tmp_path / "run" / "model", "--data", rows, "--metric", "perplexity", "--limit", 20, "--json"
    )
    here = json.loads(scored.stdout)["scores"]["perplexity"]["value"]
    process = Process(tmp_path / "home", "--base", str(tmp_path / "run" / "model")).ready()
    try:
        given = [json.loads(line) for line in rows.read_text().splitlines()[:20]]
        evaluation = process.client.evaluate({"model": "model", "rows": given, "metrics": ["perplexity"]})
    finally:
        process.stop()
    assert trained["serve_as"] == "base"
    assert evaluation["scores"]["perplexity"]["value"] == pytest.approx(here, rel=0.03)


@pytest.mark.parametrize("method", ["qlora-4bit", "qlora-8bit"])
def test_what_qlora_trained_is_served_on_the_original_base(method: str, service: Process, samples: Path, tmp_path: Path) -> None:
    _trained(method, samples, tmp_path / "run")
    made = service.client.push(tmp_path / "run", method)
    assert made["status"] == "verified"
    assert made["probe"]["mean_difference"] < 0.05 < made["probe"]["effect"]
    service.client.call("DELETE", f"/v1/adapters/{method}")


def _trained(method: str, samples: Path, out: Path) -> dict[str, Any]:
    done = patchbay("train", "--method", method, "--data", samples / "route", "--out", out, "--max-steps", 20, "--evals", 1)
    assert done.returncode == 0, done.stderr[-2000:]
    record: dict[str, Any] = json.loads((out / "run.json").read_text())
    return record
