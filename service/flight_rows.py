"""Flights as rows of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from service import tables
from service.database import Row, put_all

RECORDING = "recording"


def _renewed(new: Any) -> Mapping[str, Any]:
    return {column.name: new[column.name] for column in tables.flights.columns if not column.primary_key}


PUT_FLIGHT = put_all(tables.flights, renew=_renewed)


@dataclass(frozen=True, slots=True)
class FlightEntry:
    """One file of the recordings' folder, as it was at the last look.

    Attributes:
        state: `recording`; `whole`; `cut`: its writer was killed; `unreadable`: `reason` says why.
        modified_ns: of the file.
        start_ns, end_ns: UTC; of a file that cannot be read, or whose end nobody wrote, its own time.
        session, part, version: of the run that it is of; None where it cannot be read.
        sensors: of which it may hold something.
    """

    id: str
    state: str
    reason: str
    bytes: int
    modified_ns: int
    start_ns: int
    end_ns: int
    session: str | None = None
    part: int | None = None
    version: str | None = None
    sensors: tuple[str, ...] = ()


def flight_row(entry: FlightEntry) -> Row:
    """For `PUT_FLIGHT`."""
    times = (entry.bytes, entry.modified_ns, entry.start_ns, entry.end_ns)
    sensors = orjson.dumps(entry.sensors).decode()
    return (entry.id, entry.state, entry.reason, *times, entry.session, entry.part, entry.version, sensors)


def read_flight(row: Row) -> FlightEntry:
    values = [*row[:-1], tuple(orjson.loads(row[-1]))]
    return FlightEntry(*values)
