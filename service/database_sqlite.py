"""The store in one file: SQLite in WAL mode with `synchronous=FULL`, so that a commit survives a power cut."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, NullPool, QueuePool, create_engine, event, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from service.database import Database, Fault, Put, Row, StoreError

READ_STEPS = 40_000_000  # of SQLite's virtual machine, about two seconds
BUSY_S = 5.0  # for the lock of another connection of ours


class SqliteDatabase(Database):
    """Args:
        path: the file; its folder is made when missing.

    Raises:
        StoreError: the folder cannot be written, or another process has the file.
    """

    mend = "Make room on its disk."
    cure = "Move it away or name another one."

    def __init__(self, path: Path) -> None:
        self.path = path
        self.title = str(path)
        self._lock_file: int | None = _lock(path)
        self.writing = create_engine(
            "sqlite://", creator=partial(_open_to_write, path), poolclass=QueuePool, pool_size=1
        )
        self.reading = create_engine("sqlite://", creator=partial(_open_to_read, path), poolclass=NullPool)
        event.listen(self.writing, "begin", _begin)
        self._statements: dict[Put, str] = {}

    def put(self, connection: Connection, put: Put, rows: Sequence[Row]) -> None:
        if rows:
            connection.exec_driver_sql(self._statement(put), list(rows))

    def fault(self, error: Exception) -> Fault:
        """A full disk may get room, a lock ends; after a failed sync nothing is known, so nothing is tried again."""
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
        return Fault.WAIT if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY) else Fault.FINAL

    def size_bytes(self, connection: Connection) -> int:
        pages = "FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        return int(connection.scalar(text(f"SELECT (page_count - freelist_count) * page_size {pages}")) or 0)

    def is_too_long(self, error: SQLAlchemyError) -> bool:
        return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT

    def close(self) -> None:
        super().close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _statement(self, put: Put) -> str:
        """Made once: the rows then go to SQLite as they are."""
        if put not in self._statements:
            statement = insert(put.table).prefix_with("OR IGNORE")
            if put.renew is not None:
                keys = [column.name for column in put.table.primary_key]
                statement = statement.on_conflict_do_update(index_elements=keys, set_=put.renew(statement.excluded))
            compiled = statement.compile(self.writing, column_keys=put.names)
            assert tuple(getattr(compiled, "positiontup", None) or ()) == put.names
            self._statements[put] = str(compiled)
        return self._statements[put]


def _open_to_write(path: Path) -> sqlite3.Connection:
    """Transactions begin when SQLAlchemy says so (`_begin`), so that changes of tables are part of them too."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _open_to_read(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.set_progress_handler(_Budget(), READ_STEPS // 100)
    return connection


class _Budget:
    """SQLite's progress handler: says stop when called the hundredth time."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> bool:
        self._calls += 1
        return self._calls >= 100


def _lock(path: Path) -> int:
    """Take the file beside the database that says it is in use; the lock goes with the process however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"Cannot write in the folder {path.parent}: {error.strerror}. Make it writable or give another data folder."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreError(
            f"The store {path} is in use by another service: stop that one or give this one another data folder."
        ) from None
    return lock
