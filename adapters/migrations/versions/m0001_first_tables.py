"""The tables as they were before there were migrations."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Makes them."""
    op.create_table(
        "adapters",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("live", sa.String(80)),
        sa.Column("previous", sa.String(80)),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("engine_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), sa.ForeignKey("adapters.name"), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("tensor_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.UniqueConstraint("name", "digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(200)),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), index=True),
        sa.Column("before", sa.String(80)),
        sa.Column("after", sa.String(80)),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), index=True, nullable=False),
        sa.Column("name", sa.String(64), index=True),
        sa.Column("version", sa.String(80)),
        sa.Column("body", sa.JSON(), nullable=False),
    )
