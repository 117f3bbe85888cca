"""The flights of the recordings' folder as a table of the store.

The folder is what counts: a look at it brings the table up to date, whoever recorded, ended, deleted or brought a file.
A file is opened again only when its size, its time or its state is another.
"""

from __future__ import annotations

from pathlib import Path

from service.flight_file import Flight, FlightError
from service.flight_rows import RECORDING, FlightEntry
from service.journal_about import recorded_site
from service.journal_format import FormatError
from service.recording import FlightFolder, StoredFlight
from service.store import Store

Seen = tuple[int, int, bool]  # size, time, whether it is being written: what tells a change without opening the file


def look(store: Store, folder: FlightFolder, writing: Path | None) -> None:
    """Bring the table to what the folder holds.

    Args:
        writing: the file that is being written, if one is.

    Raises:
        StoreError: the store cannot be read or written now.
        OSError: the folder cannot be read.
    """
    there = {each.id: each for each in folder.flights()}
    known = store.flights_seen()
    fresh = [describe(each, writing) for name, each in there.items() if known.get(name) != _seen(each, writing)]
    store.put_flights(fresh, [name for name in known if name not in there])


def describe(stored: StoredFlight, writing: Path | None) -> FlightEntry:
    """A file by its beginning and its end."""
    told = (stored.bytes, stored.modified_ns)
    try:
        with Flight(stored.path) as flight:
            about, span = flight.about, flight.duration() if flight.whole else None
        site = recorded_site(about)
    except (FlightError, FormatError, OSError) as error:
        return FlightEntry(stored.id, "unreadable", str(error), *told, stored.modified_ns, stored.modified_ns)
    state = RECORDING if writing == stored.path else "cut" if span is None else "whole"
    times = span or (about.started_ns, max(about.started_ns, stored.modified_ns))
    sensors = tuple(sorted({*about.cameras, *(site.sensors if site is not None else ())}))
    return FlightEntry(stored.id, state, "", *told, *times, about.session, about.part, about.version, sensors)


def _seen(stored: StoredFlight, writing: Path | None) -> Seen:
    return stored.bytes, stored.modified_ns, stored.path == writing
