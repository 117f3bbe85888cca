"""Alembic runs this for every command; the connection, with its transaction, comes from `service.migrations`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
