"""The registry and the store: what is acknowledged is kept, what is half-done is swept."""

from pathlib import Path

import pytest

from adapters.check import check_adapter
from adapters.errors import Conflict, NotFound
from adapters.limits import Limits
from adapters.manifest import Manifest
from adapters.registry import Registry
from adapters.store import Store
from tests.makers import EMBEDDED, write_adapter


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.db"


def manifest_of(folder: Path, seed: int, name: str = "a") -> Manifest:
    return check_adapter(write_adapter(folder / f"{name}{seed}", seed=seed), name, EMBEDDED, Limits()).manifest


def test_promote_and_roll_back(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    one, two = (registry.add(manifest_of(tmp_path, seed), "test") for seed in (1, 2))
    assert (one.engine_id, one.engine_name) != (two.engine_id, two.engine_name)
    registry.promote("a", one.digest, "test")
    registry.promote("a", two.digest, "test")
    assert registry.state.adapter("a").previous == one.digest
    registry.promote("a", one.digest, "test", "rollback")
    assert registry.state.adapter("a").live == one.digest
    again = Registry(url)
    assert again.state == registry.state
    assert [e["action"] for e in again.events("a")] == ["rollback", "promote", "promote", "upload", "upload"]


def test_the_same_content_is_the_same_version(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    manifest = manifest_of(tmp_path, 1)
    assert registry.add(manifest, "test") == registry.add(manifest, "test")


def test_engine_ids_are_never_used_again(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    seen = []
    for seed in range(3):
        version = registry.add(manifest_of(tmp_path, seed), "test")
        seen.append(version.engine_id)
        registry.discard(version)
        assert registry.state.adapters == {}
        registry = Registry(url)
    assert len(set(seen)) == 3


def test_what_may_not_be_deleted(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    one = registry.add(manifest_of(tmp_path, 1), "test")
    two = registry.add(manifest_of(tmp_path, 2), "test")
    registry.promote("a", one.digest, "test")
    registry.set_default("a", "test")
    with pytest.raises(Conflict, match="live"):
        registry.delete_version(one, "test")
    with pytest.raises(Conflict, match="default"):
        registry.delete_adapter("a", "test")
    registry.delete_version(two, "test")
    registry.set_default(None, "test")
    registry.delete_adapter("a", "test")
    with pytest.raises(NotFound):
        registry.state.adapter("a")


def test_a_prefix_must_fit_one_version(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    version = registry.add(manifest_of(tmp_path, 1), "test")
    adapter = registry.state.adapter("a")
    assert adapter.version(version.digest[:20]) == version
    assert adapter.version(version.digest.removeprefix("sha256:")[:6]) == version
    with pytest.raises(NotFound):
        adapter.version("000000" if version.digest[7:13] != "000000" else "111111")


def test_publish_then_sweep(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage() as staged:
        write_adapter(staged / "files")
        manifest = check_adapter(staged / "files", "a", EMBEDDED, Limits()).manifest
        folder = store.publish(staged / "files", manifest)
    assert store.manifest("a", manifest.version) == manifest
    assert list(store.staging.iterdir()) == []
    store.sweep({("a", manifest.version)})
    assert folder.is_dir()
    (store.staging / "half").mkdir()
    (folder / "manifest.json").unlink()
    store.sweep({("a", manifest.version)})
    assert list(store.staging.iterdir()) == [] == list(store.adapters.iterdir())


def test_what_the_registry_does_not_know_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage() as staged:
        write_adapter(staged / "files")
        store.publish(staged / "files", check_adapter(staged / "files", "a", EMBEDDED, Limits()).manifest)
    store.sweep(set())
    assert list(store.adapters.iterdir()) == []
