"""The desired state: which names there are, which version each serves, what is pinned, what `default` means.

Every change is one transaction with its line in the audit trail. Readers take `state`, an immutable
picture that is replaced after each change, so that answering a request never waits for the database.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from adapters.database import Database, errors_are_ours
from adapters.errors import Conflict, NotFound
from adapters.evaluation_records import EvaluationRecords
from adapters.manifest import Manifest, now
from adapters.state import PENDING, Adapter, State, Version
from adapters.tables import AdapterTable, EventTable, SettingTable, VersionTable

_DEFAULT_KEY, _STORE_KEY = "default", "store"


class Registry:
    """The tables behind a database URL: SQLite in WAL mode, or PostgreSQL. One service at a time; see Database for what it raises."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._lock = threading.Lock()
        self.records = EvaluationRecords(self._database.engine, self._lock)
        with errors_are_ours(), Session(self._database.engine) as session:
            self.state = _read(session)

    def close(self) -> None:
        """Gives the database back."""
        self._database.close()

    @contextmanager
    def _change(self, name: str | None = None) -> Iterator[Session]:
        """A transaction, and the new picture after it. What concerns one name reads that name anew, however many there are."""
        with self._lock, errors_are_ours(), Session(self._database.engine, expire_on_commit=False) as session:
            yield session
            session.commit()
            self.state = _read(session) if name is None else _read_again(session, self.state, name)

    def pair(self, store: str | None, store_is_empty: bool) -> str:
        """Makes this the registry of the store with the id `store`, None where it has none yet; the id it shall have.

        Raises:
            Conflict: the two do not belong together; the one's versions would be taken for the other's left-overs.
        """
        with self._change() as session:
            row, is_empty = session.get(SettingTable, _STORE_KEY), not self.state.adapters
            known = row.value if row else None
            are_new = is_empty and store_is_empty
            are_old = store is None and not is_empty and not store_is_empty  # from before stores had ids
            if not (are_new or are_old or (store is not None and store == known)):
                raise Conflict(
                    "the adapters under this home are not those of this database; give the --home and the --database that belong "
                    "together, or a new one of each"
                )
            paired = store or known or uuid.uuid4().hex
            session.merge(SettingTable(key=_STORE_KEY, value=paired))
        return paired

    def add(self, manifest: Manifest, actor: str, status: str | None = None) -> Version:
        """Registers a published version, its name with it if new. The same content again is the version there is.

        With the status PENDING it is in nobody's sight until `set_proof`; without a status it has the manifest's.
        """
        with self._change(manifest.name) as session:
            if session.get(AdapterTable, manifest.name) is None:
                session.add(AdapterTable(name=manifest.name, created=now()))
                session.flush()
            there = session.scalar(select(VersionTable).filter_by(name=manifest.name, digest=manifest.version))
            if there is None:
                there = _version_row(manifest, status or manifest.status)
                session.add(there)
                session.flush()
                if status != PENDING:
                    _log(session, actor, "upload", manifest.name, None, manifest.version)
            return _version(there)

    def set_proof(self, version: Version, manifest: Manifest, actor: str, live: bool = False) -> None:
        """Records what the probes showed, and on which base. Its first proof completes an upload; with `live` it goes live with that."""
        with self._change(version.name) as session:
            row = _row(session, version)
            action = "upload" if row.status == PENDING else "prove"
            row.status, row.base, row.probe = manifest.status, manifest.base.digest, _probe(manifest)
            _log(session, actor, action, version.name, None, version.digest, {"status": row.status, "base": row.base})
            if live:
                _set_live(session, version.name, version.digest, actor, "promote", None)

    def complete(self, version: Version, manifest: Manifest) -> None:
        """Fills in what a row from before does not know of its proof, from the version's manifest."""
        with self._change(version.name) as session:
            row = _row(session, version)
            row.base, row.probe = manifest.base.digest, _probe(manifest)

    def promote(
        self, name: str, digest: str, actor: str, action: str = "promote", detail: dict[str, Any] | None = None
    ) -> Adapter:
        """Makes a version what its name serves, in one row; the one before becomes `previous`. `detail` says what allowed it."""
        with self._change(name) as session:
            _set_live(session, name, digest, actor, action, detail)
        return self.state.adapter(name)

    def set_default(self, name: str | None, actor: str) -> None:
        """What the model id `default` serves: an adapter's live version, or the base (None)."""
        with self._change() as session:
            if name is not None:
                _adapter_row(session, name)
            row = session.get(SettingTable, _DEFAULT_KEY)
            before = row.value if row else None
            session.merge(SettingTable(key=_DEFAULT_KEY, value=name))
            if before != name:
                _log(session, actor, "default", name, before, name)

    def set_pinned(self, name: str, pinned: bool, actor: str) -> Adapter:
        """A pinned adapter's live version stays resident."""
        with self._change(name) as session:
            row = _adapter_row(session, name)
            if row.pinned != pinned:
                _log(session, actor, "pin" if pinned else "unpin", name, None, None)
            row.pinned = pinned
        return self.state.adapter(name)

    def delete_version(self, version: Version, actor: str) -> None:
        """Forgets a version. Raises Conflict for the live one, which would leave its name serving nothing."""
        with self._change(version.name) as session:
            row = _adapter_row(session, version.name)
            if row.live == version.digest:
                raise Conflict(
                    f"{version.digest[:19]} is the live version of {version.name!r}; promote another first, or delete the adapter"
                )
            _delete_row(session, version)
            _log(session, actor, "delete", version.name, version.digest, None)

    def delete_adapter(self, name: str, actor: str) -> None:
        """Forgets a name and its versions. Raises Conflict for the one that is the default route."""
        with self._change(name) as session:
            row = _adapter_row(session, name)
            setting = session.get(SettingTable, _DEFAULT_KEY)
            if setting is not None and setting.value == name:
                raise Conflict(f"{name!r} is the default route; set another with PUT /v1/default first")
            session.execute(delete(VersionTable).where(VersionTable.name == name))
            _log(session, actor, "delete", name, row.live, None)
            session.delete(row)

    def discard(self, version: Version) -> None:
        """Takes back a version that never served (its load or its probes failed), and its name if it was the first."""
        with self._change(version.name) as session:
            if _row(session, version).status != PENDING:
                _log(session, "service", "discard", version.name, version.digest, None)
            _delete_row(session, version)

    def pending(self) -> list[Version]:
        """Versions whose proof was cut off."""
        with errors_are_ours(), Session(self._database.engine) as session:
            return [_version(row) for row in session.scalars(select(VersionTable).filter_by(status=PENDING))]

    def events(self, name: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest lines of the audit trail, all or those of one name."""
        query = select(EventTable).order_by(EventTable.id.desc()).limit(limit)
        query = query if name is None else query.filter_by(name=name)
        with errors_are_ours(), Session(self._database.engine) as session:
            return [_shown_event(row) for row in session.scalars(query)]


def _version_row(manifest: Manifest, status: str) -> VersionTable:
    return VersionTable(
        name=manifest.name,
        digest=manifest.version,
        rank=manifest.rank,
        tensor_bytes=manifest.tensor_bytes,
        status=status,
        created=manifest.created,
        base=manifest.base.digest,
        probe=_probe(manifest),
    )


def _probe(manifest: Manifest) -> dict[str, Any] | None:
    return manifest.probe.model_dump(mode="json") if manifest.probe else None


def _adapter_row(session: Session, name: str) -> AdapterTable:
    row = session.get(AdapterTable, name)
    if row is None:
        raise NotFound(f"there is no adapter {name!r}", param="name")
    return row


def _row(session: Session, version: Version) -> VersionTable:
    row = session.get(VersionTable, version.engine_id)
    if row is None:
        raise NotFound(f"{version.engine_name} is gone", param="version")
    return row


def _set_live(session: Session, name: str, digest: str, actor: str, action: str, detail: dict[str, Any] | None) -> None:
    row = _adapter_row(session, name)
    if row.live != digest:
        _log(session, actor, action, name, row.live, digest, detail)
        row.previous, row.live = row.live, digest


def _delete_row(session: Session, version: Version) -> None:
    """Takes the version's row away, what pointed to it, and its name's row where it was the last."""
    session.delete(_row(session, version))
    session.flush()
    adapter = _adapter_row(session, version.name)
    if session.scalar(select(VersionTable).filter_by(name=version.name).limit(1)) is None:
        session.delete(adapter)
    elif adapter.live == version.digest:
        adapter.live, adapter.previous = adapter.previous, None
    elif adapter.previous == version.digest:
        adapter.previous = None


def _version(row: VersionTable) -> Version:
    return Version(row.name, row.digest, row.engine_id, row.rank, row.tensor_bytes, row.status, row.created, row.base)


def _log(
    session: Session,
    actor: str,
    action: str,
    name: str | None,
    before: str | None,
    after: str | None,
    detail: dict[str, Any] | None = None,
) -> None:
    session.add(EventTable(at=now(), actor=actor, action=action, name=name, before=before, after=after, detail=detail))


def _shown_event(row: EventTable) -> dict[str, Any]:
    return {
        "at": row.at,
        "actor": row.actor,
        "action": row.action,
        "name": row.name,
        "from": row.before,
        "to": row.after,
        "detail": row.detail,
    }


def _read(session: Session) -> State:
    setting = session.get(SettingTable, _DEFAULT_KEY)
    return State(_adapters(session), setting.value if setting else None)


def _read_again(session: Session, before: State, name: str) -> State:
    """The picture `before` with what the database now says of one name."""
    others = {key: adapter for key, adapter in before.adapters.items() if key != name}
    return State(dict(sorted((others | _adapters(session, name)).items())), before.default)


def _adapters(session: Session, name: str | None = None) -> dict[str, Adapter]:
    """Those with versions that may be seen; one of them, or all, by name."""
    of_versions = select(VersionTable).where(VersionTable.status != PENDING).order_by(VersionTable.engine_id)
    of_names = select(AdapterTable).order_by(AdapterTable.name)
    if name is not None:
        of_versions, of_names = of_versions.filter_by(name=name), of_names.filter_by(name=name)
    versions: dict[str, list[Version]] = {}
    for row in session.scalars(of_versions):
        versions.setdefault(row.name, []).append(_version(row))
    return {
        a.name: Adapter(a.name, a.live, a.previous, a.pinned, a.created, tuple(versions[a.name]))
        for a in session.scalars(of_names)
        if a.name in versions
    }
