"""Zones, alerts and what people say of them and of tracks, as rows of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Update, and_, update

from fusion.alerts import Alert, AlertKind
from fusion.site import Zone
from service import tables
from service.database import Row, put_all
from service.types import Acknowledgement, Mark, Verdict, ZoneChange


def _renewed(new: Any) -> Mapping[str, Any]:
    return {name: new[name] for name in ("time_ns", "active", "probability", "time_to_entry", "text")}


def _redefined(new: Any) -> Mapping[str, Any]:
    return {"definition": new.definition}


PUT_ALERT = put_all(tables.alerts, "acknowledged_ns", "acknowledged_by", "note", renew=_renewed)
PUT_MARK = put_all(tables.marks)
PUT_ZONE = put_all(tables.zones, renew=_redefined)
PUT_SEED = put_all(tables.zone_seeds, renew=_redefined)


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
        alert.active,
        alert.critical,
        alert.probability,
        alert.time_to_entry_s,
        alert.text,
    )


def acknowledge(said: Acknowledgement) -> Update:
    """The first one counts."""
    alerts = tables.alerts
    fresh = and_(alerts.c.number == said.alert, alerts.c.acknowledged_ns.is_(None))
    return update(alerts).where(fresh).values(acknowledged_ns=said.time_ns, acknowledged_by=said.who, note=said.note)


def mark_row(mark: Mark) -> Row:
    return (mark.number, mark.time_ns, mark.track_id, mark.alert, mark.verdict.value, mark.who, mark.note)


def zone_row(change: ZoneChange) -> Row:
    return (change.zone_id, None if change.zone is None else change.zone.model_dump_json())


def read_alert(row: Row) -> StoredAlert:
    number, kind, track, zone, started_ns, time_ns, active, critical, *told, noted_ns, who, note = row
    alert = Alert(number, AlertKind(kind), track, zone, started_ns, time_ns, active, critical, *told)
    said = None if noted_ns is None else Acknowledgement(number, noted_ns, who, note)
    return StoredAlert(alert, said)


def read_zone(row: Row) -> tuple[str, Zone]:
    return row[0], Zone.model_validate_json(row[1])


def read_mark(row: Row) -> Mark:
    number, time_ns, track, alert, verdict, who, note = row
    return Mark(number, time_ns, track, Verdict(verdict), who, note, alert)
