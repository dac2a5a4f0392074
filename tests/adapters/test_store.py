"""The store: published whole by one rename, and swept of what the registry does not know."""

from pathlib import Path

from adapters.check import check_adapter
from adapters.limits import Limits
from adapters.store import Store
from tests.makers import EMBEDDED, write_adapter


def test_publish_then_sweep(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage() as staged:
        write_adapter(staged / "files")
        manifest = check_adapter(staged / "files", "a", EMBEDDED, Limits()).manifest
        folder = store.publish(staged / "files", manifest)
    assert store.manifest("a", manifest.version) == manifest
    assert list(store.staging.iterdir()) == []
    (store.staging / "half").mkdir()
    store.sweep({("a", manifest.version)})
    assert folder.is_dir()
    assert list(store.staging.iterdir()) == []


def test_what_the_registry_does_not_know_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage() as staged:
        write_adapter(staged / "files")
        store.publish(staged / "files", check_adapter(staged / "files", "a", EMBEDDED, Limits()).manifest)
    assert not store.is_empty
    store.sweep(set())
    assert list(store.adapters.iterdir()) == []
    assert store.is_empty


def test_a_store_knows_which_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.id is None
    store.id = "an id"
    assert Store(tmp_path).id == "an id"
