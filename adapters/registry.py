"""The desired state: which names there are, which version each serves, what is pinned, what `default` means.

Every change is one transaction with its line in the audit trail. Readers take `state`, an immutable
picture that is replaced after each change, so that answering a request never waits for the database.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, create_engine, delete, event, select
from sqlalchemy.orm import Session

from adapters.errors import Conflict, NotFound
from adapters.manifest import Manifest, now
from adapters.names import check_prefix
from adapters.tables import AdapterTable, EvaluationTable, EventTable, SettingTable, Table, VersionTable

_DEFAULT_KEY = "default"
# The status of a version that has been stored but not yet proven; it serves nobody, and a restart discards it.
PENDING = "pending"


@dataclass(frozen=True)
class Version:
    """One version as requests need it. In the engine it goes by `engine_name` and `engine_id`, both its own."""

    name: str
    digest: str
    engine_id: int
    rank: int
    tensor_bytes: int
    status: str
    created: str

    @property
    def engine_name(self) -> str:
        """`name@sha256:…`: no two contents share it."""
        return f"{self.name}@{self.digest}"


@dataclass(frozen=True)
class Adapter:
    """A name with its versions, oldest first."""

    name: str
    live: str | None
    previous: str | None
    pinned: bool
    created: str
    versions: tuple[Version, ...] = ()

    def version(self, prefix: str) -> Version:
        """The version whose digest begins with `prefix`. Raises NotFound or, where several do, Conflict."""
        wanted = check_prefix(prefix)
        found = [v for v in self.versions if v.digest.removeprefix("sha256:").startswith(wanted)]
        if not found:
            has = ", ".join(v.digest[:19] for v in self.versions) or "none"
            raise NotFound(f"{self.name!r} has no version {prefix!r}; it has {has}", param="version")
        if len(found) > 1:
            raise Conflict(f"{prefix!r} fits {len(found)} versions of {self.name!r}; give more digits", param="version")
        return found[0]

    @property
    def live_version(self) -> Version | None:
        """What the name serves, None where nothing has been promoted."""
        return next((v for v in self.versions if v.digest == self.live), None)


@dataclass(frozen=True)
class State:
    """A picture of the registry at one moment."""

    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    default: str | None = None

    def adapter(self, name: str) -> Adapter:
        """Raises NotFound, which names those there are."""
        if name not in self.adapters:
            raise NotFound(
                f"there is no adapter {name!r}; there are {', '.join(sorted(self.adapters)[:10]) or 'none yet'}", param="name"
            )
        return self.adapters[name]


class Registry:
    """The tables behind a database URL; SQLite in WAL mode, or another that SQLAlchemy speaks to."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            _durable_sqlite(self._engine)
        Table.metadata.create_all(self._engine)
        self._lock = threading.Lock()
        self.state = State()
        with Session(self._engine) as session:
            self.state = _read(session)

    def close(self) -> None:
        """Gives the database back."""
        self._engine.dispose()

    @contextmanager
    def _change(self) -> Iterator[Session]:
        with self._lock, Session(self._engine, expire_on_commit=False) as session:
            yield session
            session.commit()
            self.state = _read(session)

    def add(self, manifest: Manifest, actor: str, status: str | None = None) -> Version:
        """Registers a published version, its name with it if new. The same content again is the version there is.

        `status` is what the registry shall say until the version is proven; without it, the manifest's.
        """
        with self._change() as session:
            if session.get(AdapterTable, manifest.name) is None:
                session.add(AdapterTable(name=manifest.name, created=now()))
                session.flush()
            there = session.scalar(select(VersionTable).filter_by(name=manifest.name, digest=manifest.version))
            if there is None:
                session.add(_version_row(manifest, status or manifest.status))
                _log(session, actor, "upload", manifest.name, None, manifest.version)
        return self.state.adapter(manifest.name).version(manifest.version)

    def set_status(self, version: Version, status: str) -> None:
        """Records what the probes showed."""
        with self._change() as session:
            _row(session, version).status = status

    def promote(self, name: str, digest: str, actor: str, action: str = "promote") -> Adapter:
        """Makes a version what its name serves, in one row; the one before becomes `previous`."""
        with self._change() as session:
            row = _adapter_row(session, name)
            if row.live != digest:
                _log(session, actor, action, name, row.live, digest)
                row.previous, row.live = row.live, digest
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
        with self._change() as session:
            row = _adapter_row(session, name)
            if row.pinned != pinned:
                _log(session, actor, "pin" if pinned else "unpin", name, None, None)
            row.pinned = pinned
        return self.state.adapter(name)

    def delete_version(self, version: Version, actor: str) -> None:
        """Forgets a version. Raises Conflict for the live one, which would leave its name serving nothing."""
        with self._change() as session:
            row = _adapter_row(session, version.name)
            if row.live == version.digest:
                raise Conflict(
                    f"{version.digest[:19]} is the live version of {version.name!r}; promote another first, or delete the adapter"
                )
            if row.previous == version.digest:
                row.previous = None
            session.delete(_row(session, version))
            _log(session, actor, "delete", version.name, version.digest, None)

    def delete_adapter(self, name: str, actor: str) -> None:
        """Forgets a name and its versions; `default` means the base again if it was this one."""
        with self._change() as session:
            row = _adapter_row(session, name)
            setting = session.get(SettingTable, _DEFAULT_KEY)
            if setting is not None and setting.value == name:
                raise Conflict(f"{name!r} is the default route; set another with PUT /v1/default first")
            session.execute(delete(VersionTable).where(VersionTable.name == name))
            _log(session, actor, "delete", name, row.live, None)
            session.delete(row)

    def discard(self, version: Version) -> None:
        """Takes back a version that never served (its load or its probes failed), and its name if it was the first."""
        with self._change() as session:
            session.delete(_row(session, version))
            session.flush()
            if session.scalar(select(VersionTable).filter_by(name=version.name).limit(1)) is None:
                session.delete(_adapter_row(session, version.name))

    def events(self, name: str, limit: int = 100) -> list[dict[str, Any]]:
        """The newest lines of the audit trail that concern a name."""
        with Session(self._engine) as session:
            rows = session.scalars(select(EventTable).filter_by(name=name).order_by(EventTable.id.desc()).limit(limit))
            return [{"at": r.at, "actor": r.actor, "action": r.action, "from": r.before, "to": r.after} for r in rows]

    def save_evaluation(self, body: dict[str, Any], name: str | None, version: str | None) -> None:
        """Writes an evaluation as the API shows it: `body` has at least id, created and status."""
        with self._lock, Session(self._engine) as session:
            session.merge(
                EvaluationTable(
                    id=body["id"], created=body["created"], status=body["status"], name=name, version=version, body=body
                )
            )
            session.commit()

    def evaluations(self, status: str | None = None, version: str | None = None) -> list[dict[str, Any]]:
        """The evaluations, newest first."""
        query = select(EvaluationTable).order_by(EvaluationTable.created.desc())
        query = query if status is None else query.filter_by(status=status)
        query = query if version is None else query.filter_by(version=version)
        with Session(self._engine) as session:
            return [dict(row.body) for row in session.scalars(query)]

    def evaluation(self, id: str) -> dict[str, Any]:
        """One evaluation. Raises NotFound."""
        with Session(self._engine) as session:
            row = session.get(EvaluationTable, id)
            if row is None:
                raise NotFound(f"there is no evaluation {id!r}", param="id")
            return dict(row.body)


def _durable_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        # What was acknowledged is on the disk, even when the machine stops: hence FULL.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")


def _version_row(manifest: Manifest, status: str) -> VersionTable:
    return VersionTable(
        name=manifest.name,
        digest=manifest.version,
        rank=manifest.rank,
        tensor_bytes=manifest.tensor_bytes,
        status=status,
        created=manifest.created,
    )


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


def _log(session: Session, actor: str, action: str, name: str | None, before: str | None, after: str | None) -> None:
    session.add(EventTable(at=now(), actor=actor, action=action, name=name, before=before, after=after))


def _read(session: Session) -> State:
    versions: dict[str, list[Version]] = {}
    for v in session.scalars(select(VersionTable).order_by(VersionTable.engine_id)):
        versions.setdefault(v.name, []).append(
            Version(v.name, v.digest, v.engine_id, v.rank, v.tensor_bytes, v.status, v.created)
        )
    adapters = {
        a.name: Adapter(a.name, a.live, a.previous, a.pinned, a.created, tuple(versions.get(a.name, ())))
        for a in session.scalars(select(AdapterTable).order_by(AdapterTable.name))
    }
    setting = session.get(SettingTable, _DEFAULT_KEY)
    return State(adapters, setting.value if setting else None)
