"""The registry, on SQLite and on PostgreSQL: what is acknowledged is kept, and every change is on record."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url

from adapters.check import check_adapter
from adapters.errors import BadInput, Conflict, NotFound, StorageFull, Unavailable
from adapters.limits import Limits
from adapters.manifest import Manifest, ProbeFigures
from adapters.registry import Registry
from adapters.state import PENDING
from adapters.tables import Table
from tests.makers import EMBEDDED, write_adapter
from tests.postgres import Postgres

STORED = Path(__file__).parent / "registry-before-migrations.sql"


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
    registry.close()
    again = Registry(url)
    assert again.state == registry.state
    assert [e["action"] for e in again.events("a")] == ["rollback", "promote", "promote", "upload", "upload"]
    again.close()


def test_the_picture_after_each_change_is_what_a_full_reading_shows(tmp_path: Path, url: str) -> None:
    """Changes read one name anew: whatever they did, a registry opened afterwards sees the same, in the same order."""
    registry = Registry(url)
    of_b, of_a, second, unproven = (
        registry.add(manifest_of(tmp_path, seed, name), "test", status)
        for seed, name, status in ((1, "b", None), (2, "a", None), (3, "b", None), (4, "c", PENDING))
    )
    changes = (
        lambda: registry.promote("b", second.digest, "test"),
        lambda: registry.set_proof(unproven, manifest_of(tmp_path, 4, "c"), "test"),
        lambda: registry.set_default("b", "test"),
        lambda: registry.set_pinned("a", True, "test"),
        lambda: registry.delete_version(of_b, "test"),
        lambda: registry.discard(unproven),
        lambda: registry.delete_adapter(of_a.name, "test"),
    )
    for change in changes:
        change()
        seen = registry.state
        registry.close()
        registry = Registry(url)
        assert registry.state == seen
        assert list(registry.state.adapters) == list(seen.adapters) == sorted(seen.adapters)
    registry.close()


def test_every_change_is_on_record(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    one, two = (registry.add(manifest_of(tmp_path, seed), "ann") for seed in (1, 2))
    registry.promote("a", one.digest, "ann", detail={"evaluation": "eval-1"})
    registry.promote("a", one.digest, "ann")
    registry.set_default("a", "bob")
    registry.set_default(None, "bob")
    registry.set_pinned("a", True, "ann")
    registry.set_pinned("a", True, "ann")
    registry.set_pinned("a", False, "ann")
    registry.delete_version(two, "ann")
    registry.delete_adapter("a", "ann")
    found = [(e["actor"], e["action"], e["name"], e["from"], e["to"]) for e in reversed(registry.events())]
    assert found == [
        ("ann", "upload", "a", None, one.digest),
        ("ann", "upload", "a", None, two.digest),
        ("ann", "promote", "a", None, one.digest),
        ("bob", "default", "a", None, "a"),
        ("bob", "default", None, "a", None),
        ("ann", "pin", "a", None, None),
        ("ann", "unpin", "a", None, None),
        ("ann", "delete", "a", two.digest, None),
        ("ann", "delete", "a", one.digest, None),
    ]
    assert [e["detail"] for e in registry.events() if e["action"] == "promote"] == [{"evaluation": "eval-1"}]
    assert all(e["at"] for e in registry.events())
    registry.close()


def test_an_unproven_version_is_in_nobodys_sight(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    manifest = manifest_of(tmp_path, 1)
    version = registry.add(manifest, "ann", PENDING)
    assert registry.state.adapters == {}
    assert [v.digest for v in registry.pending()] == [manifest.version]
    assert registry.events() == []
    proven = manifest.model_copy(update={"status": "verified", "probe": ProbeFigures(probes=4, effect=1.5)})
    registry.set_proof(version, proven, "ann")
    shown = registry.state.adapter("a").version(manifest.version)
    assert (shown.status, shown.base, shown.engine_id) == ("verified", EMBEDDED.digest, version.engine_id)
    assert registry.pending() == []
    assert [(e["action"], e["detail"]["status"]) for e in registry.events()] == [("upload", "verified")]
    registry.close()


def test_what_is_taken_back_leaves_nothing_that_points_to_it(tmp_path: Path, url: str) -> None:
    """An upload that was cut off after its version went live: what was live before is live again."""
    registry = Registry(url)
    one = registry.add(manifest_of(tmp_path, 1), "ann")
    registry.promote("a", one.digest, "ann")
    second = manifest_of(tmp_path, 2)
    two = registry.add(second, "ann", PENDING)
    registry.set_proof(two, second, "ann", live=True)
    assert (registry.state.adapter("a").live, registry.state.adapter("a").previous) == (two.digest, one.digest)
    registry.discard(two)
    assert (registry.state.adapter("a").live, registry.state.adapter("a").previous) == (one.digest, None)
    assert [e["action"] for e in registry.events()] == ["discard", "promote", "upload", "promote", "upload"]
    registry.close()


def test_the_same_content_is_the_same_version(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    manifest = manifest_of(tmp_path, 1)
    assert registry.add(manifest, "test") == registry.add(manifest, "test")
    registry.close()


def test_engine_ids_are_never_used_again(tmp_path: Path, url: str) -> None:
    seen = []
    for seed in range(3):
        registry = Registry(url)
        version = registry.add(manifest_of(tmp_path, seed), "test")
        seen.append(version.engine_id)
        registry.discard(version)
        assert registry.state.adapters == {}
        registry.close()
    assert len(set(seen)) == 3


def test_what_may_not_be_deleted(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    one = registry.add(manifest_of(tmp_path, 1), "test")
    two = registry.add(manifest_of(tmp_path, 2), "test")
    registry.promote("a", one.digest, "test")
    registry.set_default("a", "test")
    before = registry.state
    with pytest.raises(Conflict, match="live"):
        registry.delete_version(one, "test")
    with pytest.raises(Conflict, match="default"):
        registry.delete_adapter("a", "test")
    assert registry.state == before
    registry.delete_version(two, "test")
    registry.set_default(None, "test")
    registry.delete_adapter("a", "test")
    with pytest.raises(NotFound):
        registry.state.adapter("a")
    registry.close()


def test_a_name_goes_with_its_last_version(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    registry.delete_version(registry.add(manifest_of(tmp_path, 1), "test"), "test")
    assert registry.state.adapters == {}
    registry.close()


def test_a_prefix_must_fit_one_version(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    version = registry.add(manifest_of(tmp_path, 1), "test")
    adapter = registry.state.adapter("a")
    assert adapter.version(version.digest[:20]) == version
    assert adapter.version(version.digest.removeprefix("sha256:")[:6]) == version
    with pytest.raises(NotFound):
        adapter.version("000000" if version.digest[7:13] != "000000" else "111111")
    registry.close()


def test_scores_by_the_format_of_the_base(url: str) -> None:
    registry = Registry(url)
    for number, form in enumerate(("bfloat16", "gptq", "gptq")):
        registry.records.save(evaluation(f"eval-{number}", form, value=0.5 + number / 10))
    registry.records.save(evaluation("eval-9", "gptq", value=None))
    found = registry.records.scores("sha256:1")
    assert {form: [entry["value"] for entry in entries] for form, entries in found.items()} == {
        "bfloat16": [0.5],
        "gptq": [0.7, 0.6],
    }
    assert registry.records.get("eval-9")["status"] == "running"
    assert [body["id"] for body in registry.records.all("completed")] == ["eval-2", "eval-1", "eval-0"]
    registry.close()


def evaluation(id: str, form: str, value: float | None) -> dict[str, object]:
    scores = None if value is None else {"accuracy": {"value": value, "baseline": 0.1}}
    return {
        "id": id,
        "created": f"2026-01-01T00:00:0{id[-1]}.000Z",
        "finished": None,
        "status": "running" if value is None else "completed",
        "model": "a@sha256:1",
        "baseline": "embedded",
        "base": {"id": "b", "digest": f"sha256:{form}", "format": form},
        "n": 3,
        "scores": scores,
    }


def test_the_migrations_make_the_tables_of_the_code(url: str) -> None:
    Registry(url).close()
    engine = create_engine(make_url(url) if url.startswith("sqlite") else make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_a_database_from_before_migrations_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with sqlite3.connect(path) as old:
        old.executescript(STORED.read_text())
    registry = Registry(f"sqlite:///{path}")
    adapter = registry.state.adapter("route")
    assert (adapter.live, adapter.previous, adapter.pinned, registry.state.default) == (
        "sha256:" + "b" * 64,
        "sha256:" + "a" * 64,
        True,
        "route",
    )
    assert [(v.engine_id, v.status, v.base) for v in adapter.versions] == [(1, "unverified", None), (3, "verified", None)]
    assert [e["action"] for e in registry.events("route")] == ["promote", "upload"]
    assert registry.records.get("eval-1")["n"] == 2
    registry.close()
    again = Registry(f"sqlite:///{path}")
    assert again.state == registry.state
    again.close()


def test_a_database_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    Registry(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as later:
        later.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="another version of Patchbay"):
        Registry(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_one_service_at_a_time(url: str) -> None:
    first = Registry(url)
    with pytest.raises(Conflict, match="another service uses"):
        Registry(url)
    first.close()
    Registry(url).close()


@pytest.mark.parametrize("new", ["nonsense", "mysql://x/y", "sqlite:////no/such/folder/x.db", "sqlite://"])
def test_a_url_that_cannot_be_used(new: str) -> None:
    with pytest.raises(BadInput, match="--database"):
        Registry(new)


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(Unavailable) as raised:
        Registry("postgresql://ann:secret@127.0.0.1:9/x")
    assert "secret" not in raised.value.message
    with pytest.raises(BadInput) as refused:
        Registry("mysql://ann:secret@127.0.0.1:9/x")
    assert "secret" not in refused.value.message


def test_a_registry_and_a_store_belong_together(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    ours = registry.pair(None, True)
    assert registry.pair(ours, True) == ours
    registry.add(manifest_of(tmp_path, 1), "test")
    assert registry.pair(ours, False) == ours
    for store, is_empty in (("other", False), ("other", True), (None, True)):
        with pytest.raises(Conflict, match="belong"):
            registry.pair(store, is_empty)
    registry.close()


def test_a_new_registry_takes_no_store_with_adapters(url: str) -> None:
    registry = Registry(url)
    for store in ("other", None):
        with pytest.raises(Conflict, match="belong"):
            registry.pair(store, False)
    registry.close()


def test_a_store_from_before_is_paired_with_the_registry_that_has_rows(tmp_path: Path, url: str) -> None:
    registry = Registry(url)
    registry.add(manifest_of(tmp_path, 1), "test")
    assert registry.pair(None, False) == registry.pair(None, False), "cut off in between, it goes on"
    registry.close()


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """The database may have no more pages: SQLite says what it says on a full disk."""
    registry = Registry(f"sqlite:///{tmp_path}/registry.db")
    registry.add(manifest_of(tmp_path, 1), "test")
    before = registry.state
    with registry._database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for number in range(2000):
            registry.set_default("a" if number % 2 else None, "someone with a long name")

    with pytest.raises(StorageFull):
        fill()
    assert registry.state.adapters == before.adapters
    registry.close()


def test_a_database_that_went_away_and_came_back(tmp_path: Path, postgres: Postgres) -> None:
    registry = Registry(postgres.database())
    registry.add(manifest_of(tmp_path, 1), "test")
    postgres.drop_connections()
    registry.set_pinned("a", True, "test")
    assert registry.state.adapter("a").pinned
    registry.close()


def test_a_migration_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    """Half a step is no step: SQLite's tables change in one transaction."""
    path = tmp_path / "registry.db"
    with sqlite3.connect(path) as old:
        old.executescript(STORED.read_text())
    killed = (
        "import os, signal, sys\n"
        "from alembic.operations import Operations\n"
        "from adapters.registry import Registry\n"
        "Operations.create_table = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Registry('sqlite:///{path}')\n"
    )
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -9, done.stderr
    with sqlite3.connect(path) as left:
        assert "base" not in {row[1] for row in left.execute("PRAGMA table_info(versions)")}
        assert left.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone() == (0,)
    registry = Registry(f"sqlite:///{path}")
    assert registry.state.default == "route"
    registry.close()


def test_evaluations_are_written_while_the_registry_changes(tmp_path: Path, url: str) -> None:
    """SQLite refuses a write after a read that another write has overtaken; nobody may be told so."""
    registry = Registry(url)
    registry.promote("a", registry.add(manifest_of(tmp_path, 1), "test").digest, "test")
    body = {"id": "eval-1", "created": "", "status": "running", "model": "a", "scores": None}

    def route() -> None:
        for number in range(60):
            registry.set_default("a" if number % 2 else None, "test")

    with ThreadPoolExecutor() as pool:
        routing = pool.submit(route)
        while not routing.done():
            registry.records.save(body)
        routing.result()
    registry.close()
