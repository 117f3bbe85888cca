"""Lines of recorded or posted measurements (JSON, INTERFACES: "Measurements and fused tracks") to scans.

A line that cannot be used is refused with one plain reason; the rest goes on. What the fields of each kind of line
mean stands in the folder of the sensor that brings it (`fusion.kinds`).
"""

from __future__ import annotations

import orjson

from fusion.fields import Fields, Refused, number
from fusion.kinds import readers
from fusion.site import Sensor, Site
from fusion.types import NS, Measurement, Scan, SensorPose, Space

__all__ = ["MOST_LINE", "Refused", "read_line", "read_report", "scan_of"]

MOST_LINE = 65_536
_MOST_TIME_S = 9e9
_PLACES = (Space.POSITION, Space.POSITION_VELOCITY)


def read_line(line: bytes, sequence: int, site: Site) -> Scan:
    """The scan, of one report, that a line holds.

    Raises:
        Refused: with the reason.
    """
    if len(line) > MOST_LINE:
        raise Refused(f"the line is longer than {MOST_LINE} bytes")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Refused(f"not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise Refused("not a JSON object")
    return read_report(fields, sequence, site)


def read_report(fields: Fields, sequence: int, site: Site) -> Scan:
    """The scan that one measurement (as decoded JSON) gives.

    Raises:
        Refused: with the reason.
    """
    time_ns = round(number(fields, "time", 0.0, _MOST_TIME_S) * NS)
    sensor = _sensor(fields, site)
    kind = fields.get("kind")
    reader = readers().get(kind) if isinstance(kind, str) else None
    if reader is None:
        *most, last = sorted(readers())
        raise Refused(f"kind must be {', '.join(most)} or {last}")
    report = reader(fields, sensor, site.frame)
    if sensor.pose is None and report.space not in _PLACES:
        raise Refused(f"sensor {sensor.config.id} has no position in the site file")
    return scan_of(sensor, time_ns, sequence, report)


def scan_of(sensor: Sensor, time_ns: int, sequence: int, report: Measurement) -> Scan:
    """One report as a scan of its sensor, at the time that the sensor's clock meant."""
    pose = sensor.pose or SensorPose(sensor.config.id, 0, (0.0, 0.0, 0.0))
    camera = sensor.camera if report.space is Space.PIXEL else None
    coverage = None if report.claimed_id is not None else sensor.coverage
    meant_ns = time_ns - round(sensor.config.clock_offset * NS)
    return Scan(sensor.config.id, meant_ns, sequence, report.space, pose, (report,), camera, coverage)


def _sensor(fields: Fields, site: Site) -> Sensor:
    name = fields.get("sensor_id")
    sensor = site.sensors.get(name) if isinstance(name, str) else None
    if sensor is None:
        shown = name if isinstance(name, str) and len(name) <= 64 and name.isprintable() else "?"
        raise Refused(f"sensor {shown} is not in the site file")
    return sensor
