"""Versions know the base they were proven on and what their probes showed; events say why; scores have a table."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Adds them. Rows from before know neither base nor probes: the service fills them in from the manifests."""
    op.add_column("versions", sa.Column("base", sa.String(80)))
    op.add_column("versions", sa.Column("probe", sa.JSON()))
    op.add_column("events", sa.Column("detail", sa.JSON()))
    op.create_table(
        "scores",
        sa.Column("evaluation", sa.String(40), sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("metric", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(80), index=True),
        sa.Column("name", sa.String(64), index=True),
        sa.Column("base", sa.String(80), nullable=False),
        sa.Column("format", sa.String(40), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
    )
