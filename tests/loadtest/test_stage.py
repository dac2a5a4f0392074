"""What a scenario adds to a service is gone afterwards, whatever happened in between."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.check import check_adapter
from adapters.limits import Limits
from loadtest.client import Client, adapter_files
from loadtest.errors import LoadTestError
from loadtest.facts import SWITCHED
from loadtest.scenario import load
from loadtest.stage import Stage
from loadtest.variants import variant
from tests.makers import EMBEDDED
from tests.served import Site


def names(site: Site) -> list[str]:
    return list(site.runtime.registry.state.adapters)


def test_a_variant_is_valid_and_another(given: Path, tmp_path: Path) -> None:
    digests = set()
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / f"variant-{number}"
        folder.mkdir()
        for name, content in variant(adapter_files(given), seed).items():
            (folder / name).write_bytes(content)
        digests.add(check_adapter(folder, "a", EMBEDDED, Limits()).manifest.version)
    assert len(digests) == 2
    with pytest.raises(LoadTestError, match="holds no adapter"):
        adapter_files(tmp_path / "nothing")


def test_set_and_cleared(site: Site, given: Path) -> None:
    client = Client(site.url)
    client.call("PUT", "/v1/default", json={"adapter": "route"})
    with Stage(client, load("soak"), [given]) as facts:
        assert facts.adapters[:3] == ["describe", "route", "loadtest-000"]
        assert len(facts.versions[SWITCHED]) == 2
        assert len(set(facts.texts.values())) == len(facts.texts) == 9
        client.call("PUT", "/v1/default", json={"adapter": SWITCHED})
    assert names(site) == ["describe", "route"]
    assert site.runtime.registry.state.default == "route"


def test_an_error_or_an_interrupt_leaves_nothing(site: Site, given: Path) -> None:
    def stop(step: str) -> None:
        if step.startswith("adapter 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Stage(Client(site.url), load("cold"), [given], stop):
        pass
    assert names(site) == ["describe", "route"]
    with pytest.raises(LoadTestError, match="uploads adapters.*--adapter"), Stage(Client(site.url), load("soak"), []):
        pass
    assert names(site) == ["describe", "route"]


def test_a_cold_start_is_waited_for_and_nothing_else_is(tmp_path: Path, given: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}")
    with pytest.raises(LoadTestError, match="does not answer"), Stage(client, load("base"), []):
        pass
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.wait_ready, 60, True)
        with Site(tmp_path / "home", port=port):
            assert waiting.result() > 0


def test_what_a_killed_one_left_is_swept(site: Site, given: Path) -> None:
    client = Client(site.url)
    version = client.push("loadtest-000", adapter_files(given))
    client.call("PUT", "/v1/default", json={"adapter": "loadtest-000"})
    with Stage(client, load("cold"), [given]) as facts:
        assert facts.versions["loadtest-000"] != [version]
        assert site.engine.held == {}, "it begins cold"
    assert names(site) == ["describe", "route"]
    assert site.runtime.registry.state.default is None
