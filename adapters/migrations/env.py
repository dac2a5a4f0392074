"""What alembic runs: the steps, in the transaction that adapters.database has begun."""

from alembic import context

from adapters.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
