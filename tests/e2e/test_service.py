"""The real engine: what is answered, by which weights, and what is left after a death."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import Process, patchbay
from tests.makers import lora_config, write_adapter

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def versions(service: Process, runs: dict[str, Path]) -> dict[str, str]:
    """Both versions of `route`, uploaded by the command line; the first is live."""
    found = {}
    for name in ("one", "two"):
        done = patchbay("adapters", "push", runs[name], "--name", "route", "--url", service.url, "--json")
        assert done.returncode == 0, done.stderr
        manifest = json.loads(done.stdout)
        assert manifest["status"] == "verified", "the engine's log-probabilities are PEFT's"
        assert manifest["probe"]["mean_difference"] < 0.1 < manifest["probe"]["effect"]
        found[name] = manifest["version"]
    return found


def prompts(samples: Path, task: str, count: int) -> list[str]:
    return [json.loads(line)["prompt"] for line in (samples / task / "test.jsonl").read_text().splitlines()[:count]]


def test_openais_client_works_unchanged(service: Process, samples: Path, versions: dict[str, str]) -> None:
    client = service.openai()
    assert {m.id for m in client.models.list()} >= {"embedded", "route", "given", "default"}
    prompt = prompts(samples, "route", 1)[0]
    answers = {}
    for model in ("embedded", "route", f"route@{versions['two'][7:17]}", "default"):
        raw = client.completions.with_raw_response.create(model=model, prompt=prompt, max_tokens=8, temperature=0, logprobs=2)
        answer = raw.parse()
        made_by = raw.headers["X-Patchbay-Adapter"]
        assert answer.model == model
        assert answer.system_fingerprint is not None
        assert answer.choices[0].logprobs is not None
        if made_by != "base":
            assert answer.system_fingerprint.startswith(made_by)
        answers[model] = (made_by, answer.choices[0].text)
        chunks = list(client.completions.create(model=model, prompt=prompt, max_tokens=8, temperature=0, stream=True))
        assert "".join(c.choices[0].text for c in chunks if c.choices) == answers[model][1]
        assert {(c.model, c.system_fingerprint) for c in chunks} == {(model, answer.system_fingerprint)}
    assert answers["embedded"] == answers["default"]
    assert answers["embedded"][0] == "base"
    assert answers["route"][0] == f"route@{versions['one']}"
    assert answers[f"route@{versions['two'][7:17]}"][0] == f"route@{versions['two']}"
    chat = client.chat.completions.create(
        model="route", messages=[{"role": "user", "content": "hello"}], max_tokens=4, temperature=0
    )
    assert chat.choices[0].message.content is not None
    stream = client.chat.completions.create(
        model="route", messages=[{"role": "user", "content": "hello"}], max_tokens=4, temperature=0, stream=True
    )
    assert "".join(c.choices[0].delta.content or "" for c in stream) == chat.choices[0].message.content
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.completions.create(model="nobody", prompt="x")
    with pytest.raises(openai.BadRequestError, match="unknown field 'max_token'"):
        client.completions.create(model="route", prompt="x", extra_body={"max_token": 3})


def test_a_full_mixed_batch_gives_each_its_own_answer(service: Process, samples: Path, versions: dict[str, str]) -> None:
    """vLLM 0.32 on CPU answers the base with an adapter's weights here: two slots, both taken, base in the same batch."""
    client = service.openai()
    models = ["embedded", "route", f"route@{versions['two']}", "given"]
    asked = [(model, prompt) for prompt in prompts(samples, "describe", 4) for model in models]

    def answer(pair: tuple[str, str]) -> str:
        model, prompt = pair
        return (
            client.completions.create(model=model, prompt=prompt, max_tokens=24, temperature=0, extra_body={"ignore_eos": True})
            .choices[0]
            .text
        )

    alone = [answer(pair) for pair in asked]
    assert len(set(alone[:4])) > 1, "the adapters differ from the base"
    for _ in range(3):
        with ThreadPoolExecutor(len(asked)) as pool:
            mixed = list(pool.map(answer, asked))
        same = sum(a == b for a, b in zip(alone, mixed, strict=True))
        # bfloat16 sums may round a near tie of two tokens differently in another batch; another adapter's answer differs wholly.
        assert same >= len(asked) - 2
        for (model, _prompt), one, other in zip(asked, alone, mixed, strict=True):
            if model == "embedded":
                assert one[:12] == other[:12]


def test_switch_and_roll_back_by_the_command_line(service: Process, versions: dict[str, str]) -> None:
    def live() -> str:
        return httpx.post(
            f"{service.url}/v1/completions", json={"model": "route", "prompt": "x", "max_tokens": 1}, timeout=60
        ).headers["X-Patchbay-Adapter"]

    assert patchbay("adapters", "promote", "route", versions["two"][:15], "--url", service.url).returncode == 0
    assert live() == f"route@{versions['two']}"
    assert patchbay("adapters", "rollback", "route", "--url", service.url).returncode == 0
    assert live() == f"route@{versions['one']}"
    shown = patchbay("adapters", "show", "route", "--url", service.url).stdout
    assert "rollback" in shown
    assert patchbay("adapters", "default", "route", "--url", service.url).stdout == "default -> route\n"
    assert (
        httpx.post(f"{service.url}/v1/completions", json={"prompt": "x", "max_tokens": 1}, timeout=60).headers[
            "X-Patchbay-Adapter"
        ]
        == f"route@{versions['one']}"
    )
    assert patchbay("adapters", "default", "--base", "--url", service.url).stdout == "default -> the base\n"


def test_an_evaluation_agrees_with_the_same_on_this_machine(
    service: Process, samples: Path, runs: dict[str, Path], versions: dict[str, str]
) -> None:
    data = samples / "route" / "test.jsonl"
    file = service.client.add_file(data)
    request = {
        "model": f"route@{versions['one']}",
        "file": file,
        "metrics": ["accuracy", "perplexity"],
        "limit": 30,
        "max_tokens": 12,
    }
    served = service.client.evaluate(request)
    done = patchbay(
        "evaluate",
        "--adapter",
        runs["one"],
        "--data",
        data,
        "--metric",
        "accuracy",
        "--metric",
        "perplexity",
        "--limit",
        30,
        "--max-tokens",
        12,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    local = json.loads(done.stdout)
    for metric, figures in local["scores"].items():
        assert served["scores"][metric]["value"] == pytest.approx(figures["value"], rel=0.1, abs=0.07)
        assert served["scores"][metric]["baseline"] == pytest.approx(figures["baseline"], rel=0.1, abs=0.07)
    assert served["scores"]["perplexity"]["difference"] < 0
    samples_of = service.client.call("GET", f"/v1/evaluations/{served['id']}/samples")["data"]
    assert len(samples_of) == 30
    assert (
        service.metric('patchbay_evaluation_score{adapter="route",metric="perplexity"}')
        == served["scores"]["perplexity"]["value"]
    )


@pytest.mark.parametrize(
    ("config", "status", "code"),
    [
        (lora_config(base_model_name_or_path="someone/else"), 422, "base_mismatch"),
        (lora_config(rank=4, r=65), 422, "rank_too_large"),
    ],
)
def test_a_refused_upload_leaves_the_service_unharmed(
    service: Process, tmp_path: Path, config: object, status: int, code: str
) -> None:
    folder = write_adapter(tmp_path, config=config)
    files = [("files", (path.name, path.read_bytes())) for path in folder.iterdir()]
    answer = httpx.post(f"{service.url}/v1/adapters", data={"name": "bad"}, files=files, timeout=60)
    assert answer.status_code == status
    assert code in {p["code"] for p in answer.json()["error"]["problems"]}
    assert list((service.home / "staging").iterdir()) == []
    assert not (service.home / "adapters" / "bad").exists()
    assert (
        httpx.post(
            f"{service.url}/v1/completions", json={"model": "given", "prompt": "x", "max_tokens": 1}, timeout=60
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("route", "field", "value"),
    [
        ("completions", "prompt", None),
        ("completions", "logprobs", -5),
        ("chat/completions", "tools", []),
        ("chat/completions", "prompt_logprobs", -7),
        ("chat/completions", "messages", 7),
        ("completions", "structured_outputs", 7),
    ],
)
def test_a_field_that_vllm_refuses_in_its_own_way_is_a_clear_400(service: Process, route: str, field: str, value: object) -> None:
    body = {"prompt": "x"} if route == "completions" else {"messages": [{"role": "user", "content": "x"}]}
    answer = httpx.post(f"{service.url}/v1/{route}", json={**body, field: value}, timeout=60)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
    assert error["param"].split(".")[0] == field
    assert value != 7 or error["message"].endswith("got 7")


def test_probes_of_other_weights_are_found_out(service: Process, runs: dict[str, Path], tmp_path: Path) -> None:
    """Right shapes, right base, wrong weights: only the recorded log-probabilities can tell."""
    source = runs["one"] / "adapter"
    folder = write_adapter(tmp_path, seed=5)
    (folder / "probes.json").write_bytes((source / "probes.json").read_bytes())
    files = [("files", (path.name, path.read_bytes())) for path in folder.iterdir()]
    answer = httpx.post(f"{service.url}/v1/adapters", data={"name": "other"}, files=files, timeout=60)
    assert answer.json()["error"]["problems"][0]["code"] == "probe_mismatch"


def test_metrics_tell_who_was_served(service: Process, versions: dict[str, str]) -> None:
    before = service.metric('patchbay_tokens_total{adapter="route",kind="completion"}')
    body = {"model": "route", "prompt": "count", "max_tokens": 5, "temperature": 0, "ignore_eos": True}
    httpx.post(f"{service.url}/v1/completions", json=body, timeout=60)
    assert service.metric('patchbay_tokens_total{adapter="route",kind="completion"}') == before + 5
    assert service.metric('patchbay_time_to_first_token_seconds_count{adapter="given"}') >= 0
    assert service.metric('patchbay_adapter_bytes{adapter="route"}') > 0
    for part in ("weights", "kv_cache", "adapters", "frontend", "engine"):
        assert service.metric(f'patchbay_memory_bytes{{part="{part}"}}') > 0
    assert service.metric("patchbay_engine_up") == 1


def test_a_load_test_finds_no_wrong_answer(service: Process, versions: dict[str, str], tmp_path: Path) -> None:
    traffic = "[{name: readers, users: 4, models: uniform, max_tokens: 4}]"
    limits = "{failed: 0, wrong_adapter: 0, wrong_content: 0}"
    (tmp_path / "short.yaml").write_text(f"seconds: 6\ntraffic: {traffic}\nlimits: {limits}\nleast: {{requests: 10}}\n")
    done = patchbay("loadtest", "--url", service.url, "--scenario", tmp_path / "short.yaml", "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result["models"]) >= {"route", "given", "embedded"}
