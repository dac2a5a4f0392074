"""The keys file: what is in it, and how it changes."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.errors import BadInput, Conflict, NotFound
from service.keyfile import add_key, digest_of, id_of, read_keys, revoke_key
from service.keys_cli import app


def test_a_key_is_kept_as_its_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys.json"
    key, text = add_key(path, "ci", "inference", ["b", "a", "a"], requests_per_minute=5)
    assert len(text) >= 3 + 8 + 43
    assert (key.id, key.digest, key.adapters) == (id_of(text), digest_of(text), ("a", "b"))
    assert read_keys(path) == (key,)
    stored = path.read_text()
    assert text not in stored
    assert text[-43:] not in stored, "the secret part"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_names_are_unique_and_what_cannot_be_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "ci", "admin")
    before = path.read_bytes()
    with pytest.raises(Conflict, match="revoke it first"):
        add_key(path, "ci", "inference")
    for name in ("local", "", "../x", "a b", "x" * 65):
        with pytest.raises(BadInput, match="no name for a key"):
            add_key(path, name, "inference")
    with pytest.raises(BadInput, match="no adapter name"):
        add_key(path, "new", "inference", ["../x"])
    with pytest.raises(NotFound, match="it has ci"):
        revoke_key(path, "nobody")
    assert path.read_bytes() == before
    revoke_key(path, "ci")
    assert read_keys(path) == ()


def test_a_missing_file_is_not_made_by_looking(tmp_path: Path) -> None:
    for look in (read_keys, lambda path: revoke_key(path, "ci")):
        with pytest.raises(BadInput, match="patchbay keys add"):
            look(tmp_path / "keys.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "EOF"),
        ("[]", "no keys file"),
        ('{"schema": 2, "keys": []}', "schema"),
        ('{"schema": 1, "keys": [], "more": 1}', "more"),
        ('{"schema": 1, "keys": [{"id": "x"}]}', "keys.0"),
    ],
)
def test_what_is_no_keys_file(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(BadInput, match=says):
        read_keys(path)


def test_two_keys_may_not_share_an_id(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "one", "admin")
    content = json.loads(path.read_text())
    content["keys"].append(content["keys"][0] | {"name": "two"})
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="the same id"):
        read_keys(path)


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "ci", "admin")
    path.chmod(0o620)
    with pytest.raises(BadInput, match="chmod 600"):
        read_keys(path)


def test_changes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_key(path, f"key-{n}", "inference"), range(40)))
    assert {key.name for key in read_keys(path)} == {f"key-{n}" for n in range(40)}


def test_the_command_shows_a_key_once(tmp_path: Path) -> None:
    run, path = CliRunner(), str(tmp_path / "keys.json")
    added = run.invoke(app, ["add", "ci", "--keys", path, "--adapter", "route"])
    assert added.exit_code == 0
    text = added.stdout.strip()
    assert digest_of(text) == read_keys(Path(path))[0].digest
    for options in ([], ["--json"]):
        listed = run.invoke(app, ["list", "--keys", path, *options]).output
        assert "ci" in listed
        assert text not in listed
        assert "sha256" not in listed
    assert run.invoke(app, ["revoke", "ci", "--keys", path]).output.startswith("revoked ci")
    assert json.loads(run.invoke(app, ["list", "--keys", path, "--json"]).stdout) == []
