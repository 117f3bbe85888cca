"""The store in PostgreSQL, by `postgresql://USER:PASSWORD@HOST:PORT/NAME`.

`?host=/FOLDER` names the folder of a Unix socket, `?sslmode=disable|require|verify-full` how the connection is
encrypted, as in PostgreSQL's own tools (https://www.postgresql.org/docs/current/libpq-connect.html).

Many rows travel as one JSON text that the server takes apart (`json_to_recordset`): the driver would send them one by
one. That one service alone writes is held by an advisory lock of the writing session.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    URL,
    Connection,
    Engine,
    Text,
    and_,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service import tables
from service.database import READ_S, Database, DatabaseAway, Fault, Put, Row, StoreError

ANSWER_S = 10.0  # a server that says nothing for so long is taken for gone
LOCK = 0x44454550  # of the advisory lock: "DEEP"
ROW_BYTES = 520  # measured: 252 of a detection with its indexes, 270 of a track's point, of which one goes with each

NUL = r"\u0000"  # in JSON
_TRY_LATER = ("53", "40", "25006", "55")  # resources, conflicts, a server that only reads for now, locks
_GONE = ("08", "57P")  # connection, shutdown
_TOO_LONG = "57014"


class PostgresDatabase(Database):
    """Raises:
    StoreError: the driver is missing, or the URL says something that is not known here.
    """

    mend = "It is tried again every second."
    cure = "Start its server, or mend its address or its tables."

    def __init__(self, url: URL) -> None:
        try:
            import pg8000  # noqa: F401
        except ImportError:
            raise StoreError(
                "PostgreSQL needs its driver: pip install 'deeplomatics[postgres]', or write store: sqlite:///PATH."
            ) from None
        plain = url.difference_update_query(("host", "sslmode"))
        if plain.query:
            raise StoreError(f"The store's address has an unknown option {min(plain.query)!r}: remove it.")
        self.title = plain.set(password=None).render_as_string()
        self.writing = _engine(url, {}, 1)
        self.reading = _engine(url, {"statement_timeout": str(round(READ_S * 1000))}, 4)
        event.listen(self.writing, "connect", _hold)
        self._statements: dict[Put, Insert] = {}

    def put(self, connection: Connection, put: Put, rows: Sequence[Row]) -> None:
        if rows:
            objects = [dict(zip(put.names, row, strict=True)) for row in rows]
            text = orjson.dumps(objects, _hex).decode()
            if NUL in text:  # which PostgreSQL has in no text, but an aircraft may claim it as its name
                text = orjson.dumps([{n: _without_nul(v) for n, v in each.items()} for each in objects], _hex).decode()
            connection.execute(self._statement(put), {"rows": text})

    def fault(self, error: Exception) -> Fault:
        code = _code(error)
        if isinstance(error, DatabaseAway) or code.startswith(_TRY_LATER):
            return Fault.WAIT
        if code and not code.startswith(_GONE):
            return Fault.FINAL
        self.writing.dispose()  # whatever its connection waits for will not come
        return Fault.LOST

    def size_bytes(self, connection: Connection) -> int:
        """By the span of the numbers: files do not shrink when rows go, and what of them is free nobody says."""
        number = tables.detections.c.id
        first, last = connection.execute(
            select(
                select(func.min(number)).scalar_subquery(),
                select(func.max(number)).scalar_subquery(),
            )
        ).one()
        return 0 if first is None else int(last - first + 1) * ROW_BYTES

    def is_too_long(self, error: SQLAlchemyError) -> bool:
        return _code(error) == _TOO_LONG

    def reason(self, error: Exception) -> str:
        return str(_told(error).get("M", "")) or super().reason(error) or "it does not answer"

    def _statement(self, put: Put) -> Insert:
        if put not in self._statements:
            typed = [column(name, put.table.c[name].type) for name in put.names]
            records = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
            given = records.table_valued(*typed).render_derived(name="given", with_types=True)
            needed = [given.c[name].is_not(None) for name in put.names if not put.table.c[name].nullable]
            statement = insert(put.table).from_select(put.names, select(*given.c).where(and_(*needed)))
            if put.renew is None:
                statement = statement.on_conflict_do_nothing()
            else:
                keys = [each.name for each in put.table.primary_key]
                statement = statement.on_conflict_do_update(index_elements=keys, set_=put.renew(statement.excluded))
            self._statements[put] = statement
        return self._statements[put]


def _engine(url: URL, startup: dict[str, str], size: int) -> Engine:
    socket = url.query.get("host")
    arguments: dict[str, Any] = {"timeout": ANSWER_S, "application_name": "deeplomatics", "startup_params": startup}
    arguments["ssl_context"] = _encryption(str(url.query.get("sslmode", "disable")))
    if socket is not None:
        arguments["unix_sock"] = f"{socket}/.s.PGSQL.{url.port or 5432}"
    plain = url.difference_update_query(("host", "sslmode")).set(drivername="postgresql+pg8000")
    return create_engine(
        plain, connect_args=arguments, pool_size=size, max_overflow=0, pool_pre_ping=True, pool_timeout=ANSWER_S
    )


def _encryption(mode: str) -> ssl.SSLContext | None:
    """As PostgreSQL's own tools take these words: `require` encrypts and believes any certificate."""
    if mode == "disable":
        return None
    if mode not in ("require", "verify-full"):
        raise StoreError(f"The store's address says sslmode={mode}: give disable, require or verify-full.")
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _hold(connection: DBAPIConnection, _: object) -> None:
    """Be the one that writes, as long as this session lasts."""
    cursor = connection.cursor()
    cursor.execute(f"SELECT pg_try_advisory_lock({LOCK})")
    row = cursor.fetchone()
    connection.rollback()
    if row is None or not row[0]:
        connection.close()
        raise DatabaseAway("another service uses it")


def _told(error: Exception) -> dict[str, Any]:
    """What the server said: `C` is the code, `M` the message
    (https://www.postgresql.org/docs/current/protocol-error-fields.html)."""
    original = error.orig if isinstance(error, DBAPIError) else error
    first = original.args[0] if original is not None and original.args else None
    return first if isinstance(first, dict) else {}


def _code(error: Exception) -> str:
    return str(_told(error).get("C", ""))


def _without_nul(value: object) -> object:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no place in a row")
