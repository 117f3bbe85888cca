"""Zones and alerts as rows of the store. `service.store` owns the file, the writer's thread and the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fusion.alerts import Alert, AlertKind
from fusion.site import Zone
from service.types import Acknowledgement, ZoneChange

SCHEMA = """
CREATE TABLE zones (
    id TEXT PRIMARY KEY,
    definition TEXT                          -- JSON; NULL: removed by somebody
);
CREATE TABLE zone_seeds (
    id TEXT PRIMARY KEY,
    definition TEXT NOT NULL                 -- what the site file said when it was last taken over
);
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    track TEXT NOT NULL,
    zone TEXT,
    started_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    active INTEGER NOT NULL,
    critical INTEGER NOT NULL,
    probability REAL NOT NULL,
    time_to_entry REAL,
    text TEXT NOT NULL,
    acknowledged_ns INTEGER,
    acknowledged_by TEXT,
    note TEXT
);
"""

UPSERT_ALERT = """
INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
ON CONFLICT (number) DO UPDATE SET
    time_ns = excluded.time_ns, active = excluded.active, probability = excluded.probability,
    time_to_entry = excluded.time_to_entry, text = excluded.text
"""
ACKNOWLEDGE = """
UPDATE alerts SET acknowledged_ns = ?, acknowledged_by = ?, note = ? WHERE number = ? AND acknowledged_ns IS NULL
"""
PUT_ZONE = "INSERT INTO zones VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET definition = excluded.definition"
PUT_SEED = "INSERT INTO zone_seeds VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET definition = excluded.definition"
ALERTS = "SELECT * FROM alerts"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert, and who took note of it."""

    alert: Alert
    acknowledgement: Acknowledgement | None

    @property
    def key(self) -> tuple[int, int]:
        """Its place in lists, newest first."""
        return self.alert.started_ns, self.alert.number


def alert_row(alert: Alert) -> Row:
    return (
        alert.number,
        alert.kind.value,
        alert.track_id,
        alert.zone_id,
        alert.started_ns,
        alert.time_ns,
        int(alert.active),
        int(alert.critical),
        alert.probability,
        alert.time_to_entry_s,
        alert.text,
    )


def acknowledgement_row(said: Acknowledgement) -> Row:
    return (said.time_ns, said.who, said.note, said.alert)


def zone_row(change: ZoneChange) -> Row:
    return (change.zone_id, None if change.zone is None else change.zone.model_dump_json())


def read_alert(row: Row) -> StoredAlert:
    number, kind, track, zone, started_ns, time_ns, active, critical, *told, noted_ns, who, note = row
    alert = Alert(number, AlertKind(kind), track, zone, started_ns, time_ns, bool(active), bool(critical), *told)
    said = None if noted_ns is None else Acknowledgement(number, noted_ns, who, note)
    return StoredAlert(alert, said)


def read_zone(row: Row) -> tuple[str, Zone]:
    return row[0], Zone.model_validate_json(row[1])
