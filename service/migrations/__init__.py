"""How the tables of the store came to be, step by step (Alembic); run at every start, each step whole or not at all."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


class NewerTables(Exception):
    """A newer version of the program has changed the tables; the sentence says to which step."""


def upgrade(connection: Connection) -> None:
    """Bring the tables to what this program writes, within the connection's transaction.

    Raises:
        NewerTables: they are beyond it.
    """
    config = Config()
    config.set_main_option("script_location", "service:migrations")
    config.attributes["connection"] = connection
    steps = ScriptDirectory.from_config(config)
    current, newest = MigrationContext.configure(connection).get_current_revision(), steps.get_current_head()
    if current == newest:
        return
    if current is not None and current not in {step.revision for step in steps.walk_revisions()}:
        raise NewerTables(f"its tables have version {current}, this program knows up to {newest}: update the program")
    command.upgrade(config, "head")
