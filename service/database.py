"""A database by its URL. What SQLite and PostgreSQL do not share is in their two classes and nowhere else.

One connection writes and says of itself that it is the one; readers have connections of their own, see the last commit,
never wait for the writer, and read for `READ_S` at most.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Table
from sqlalchemy.exc import SQLAlchemyError

READ_S = 2.0

Row = tuple[Any, ...]


class StoreError(Exception):
    """The store cannot be used; the message is one plain sentence for the user."""


class QueryTooLarge(Exception):
    """The question would read more than one answer may."""


class DatabaseAway(Exception):
    """No connection can be had for now; the message says why."""


class Fault(Enum):
    """What a failed write means.

    WAIT: nothing is written, and it may be possible later; LOST: the same, or it is written and nobody said so;
    FINAL: no second attempt.
    """

    WAIT = "wait"
    LOST = "lost"
    FINAL = "final"


@dataclass(frozen=True, eq=False)
class Put:
    """Rows for a table. A row whose key is there is left out, or renewed; one with a value that is not a number in a
    column that needs one costs itself and no other.

    Attributes:
        names: of the columns, in the order of the rows' values.
        renew: what becomes of a row that is there, given the row that would have been added.
    """

    table: Table
    names: tuple[str, ...]
    renew: Callable[[Any], Mapping[str, Any]] | None = None


def put_all(table: Table, *without: str, renew: Callable[[Any], Mapping[str, Any]] | None = None) -> Put:
    """For rows that have a value for every column of the table but these."""
    return Put(table, tuple(str(column.name) for column in table.columns if column.name not in without), renew)


class Database(ABC):
    """A database that one process writes.

    Attributes:
        title: what people are shown of its address; holds no secret.
        mend, cure: what to do where it cannot be written for now, or not be opened; a sentence each.
        writing: has one connection, which holds the lock.
    """

    title: str
    mend: str
    cure: str
    writing: Engine
    reading: Engine

    @abstractmethod
    def put(self, connection: Connection, put: Put, rows: Sequence[Row]) -> None:
        """Add many rows at once."""

    @abstractmethod
    def fault(self, error: Exception) -> Fault:
        """What the failure of a write means."""

    @abstractmethod
    def size_bytes(self, connection: Connection) -> int:
        """How much room the rows take; shrinks when rows go."""

    @abstractmethod
    def is_too_long(self, error: SQLAlchemyError) -> bool:
        """Whether a reader was stopped because its question takes too much."""

    def reason(self, error: Exception) -> str:
        """Why, in the words of the database alone."""
        return str(getattr(error, "orig", None) or error)

    def read(self, statement: Executable) -> Sequence[Row]:
        """Raises:
        QueryTooLarge: it takes longer than one answer may.
        StoreError: the database cannot be read.
        """
        try:
            with self.reading.connect() as connection:
                return connection.execute(statement).all()
        except (SQLAlchemyError, OSError) as error:
            if isinstance(error, SQLAlchemyError) and self.is_too_long(error):
                raise QueryTooLarge from None
            raise StoreError(f"Cannot read the store {self.title}: {self.reason(error)}.") from None

    def close(self) -> None:
        """Let it go, so that another process may have it."""
        self.reading.dispose()
        self.writing.dispose()
