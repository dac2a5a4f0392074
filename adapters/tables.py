"""The registry's tables. Everything that must outlive a crash is a row here or a folder in the store.

A change here goes with a step in adapters/migrations; a test compares the two.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON}


class AdapterTable(Table):
    """A name, and what it serves. `previous` is what a rollback returns to."""

    __tablename__ = "adapters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    live: Mapped[str | None] = mapped_column(String(80))
    previous: Mapped[str | None] = mapped_column(String(80))
    pinned: Mapped[bool] = mapped_column(default=False)
    created: Mapped[str] = mapped_column(String(32))


class VersionTable(Table):
    """A version. `engine_id` names it in the engine and is never used again, not even after a deletion.

    `base` is the digest of the base it was proven on, `probe` what its probes showed there.
    """

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("name", "digest"), {"sqlite_autoincrement": True})

    engine_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(ForeignKey("adapters.name"))
    digest: Mapped[str] = mapped_column(String(80))
    rank: Mapped[int]
    tensor_bytes: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    created: Mapped[str] = mapped_column(String(32))
    base: Mapped[str | None] = mapped_column(String(80))
    probe: Mapped[dict[str, Any] | None]


class SettingTable(Table):
    """Single values: the default route, and which store the registry belongs to."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str | None] = mapped_column(String(200))


class EventTable(Table):
    """The audit trail: who did what, when, from which version to which; `detail` says why where there is more to say."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    name: Mapped[str | None] = mapped_column(String(64), index=True)
    before: Mapped[str | None] = mapped_column(String(80))
    after: Mapped[str | None] = mapped_column(String(80))
    detail: Mapped[dict[str, Any] | None]


class EvaluationTable(Table):
    """An evaluation: what was asked, how far it is, what came of it. `version` is that of its model, if an adapter's."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    created: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str | None] = mapped_column(String(64), index=True)
    version: Mapped[str | None] = mapped_column(String(80))
    body: Mapped[dict[str, Any]]


class ScoreTable(Table):
    """One metric of a completed evaluation: `base` is the digest of the base it ran on, `format` how its weights were stored."""

    __tablename__ = "scores"

    evaluation: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(String(40), primary_key=True)
    version: Mapped[str | None] = mapped_column(String(80), index=True)
    name: Mapped[str | None] = mapped_column(String(64), index=True)
    base: Mapped[str] = mapped_column(String(80))
    format: Mapped[str] = mapped_column(String(40))
    figures: Mapped[dict[str, Any]]
