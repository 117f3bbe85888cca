"""`deeplomatics calibrate`: files around `fusion.calibration`, and what it found in words.

A flight is for now a file of measurements (INTERFACES: "Measurements and fused tracks"); whatever else gives scans can
be gathered the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fusion.alignment import Sightings, sightings_of
from fusion.calibration import Calibration, Prior, calibrate
from fusion.fuse import bounded_lines
from fusion.geometry import FloatArray, LocalFrame, attitude_angles, matrix_from_quaternion, wrap_azimuth_deg
from fusion.mounting import CLOCK, FOCAL, POSITION, TURN, Mounting, turn_between
from fusion.reports import Refused, read_line
from fusion.site import Sensor, Site, parse_site
from fusion.trajectory import Fixes, smooth
from fusion.types import NS, Measurement, Scan, Space

_DIRECTIONS = (Space.PIXEL, Space.BEARING, Space.BEARING_RANGE)
_PLACES = (Space.POSITION, Space.POSITION_VELOCITY)
_LEAST_PIXEL_SIGMA = 1.0  # what a point states of itself leaves out lens, shutter and which part of the drone was meant
_FOCAL_SIGMA = 0.1


class CalibrateError(Exception):
    """A flight without what a calibration needs; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Flight:
    """What a recording holds for one sensor: its reports by its own clock, and what the drone said of itself."""

    sightings: Sightings
    fixes: Fixes
    drone: str
    wave_mps: float | None


@dataclass(frozen=True, slots=True)
class Known:
    """How well things are known beforehand, where the call says so: degrees, metres, seconds; the site file's else."""

    attitude_deg: float | None = None
    position_m: float | None = None
    clock_s: float | None = None
    focal: bool = False

    def prior(self, sensor: Sensor) -> Prior:
        usual, config = Prior(), sensor.config
        attitude = self.attitude_deg or config.attitude_sigma
        return Prior(
            math.radians(attitude) if attitude else usual.attitude_rad,
            self.position_m or config.position_sigma or usual.position_m,
            self.clock_s or config.clock_sigma or usual.clock_s,
            _FOCAL_SIGMA if self.focal and sensor.camera is not None else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A calibration with where it started and, where somebody knows it, the truth."""

    sensor: Sensor
    frame: LocalFrame
    start: Mounting
    calibration: Calibration
    drone: str
    truth: Mounting | None = None


def calibrate_file(
    site: Site, recording: Path, sensor_id: str, known: Known, drone: str | None = None, truth: Site | None = None
) -> Found:
    """Calibrate one sensor from a file.

    Raises:
        CalibrateError, TrajectoryError, CalibrationError: the flight does not serve.
        OSError: it cannot be read.
    """
    sensor = site.sensors[sensor_id]
    with recording.open("rb") as lines:
        flight = gather(read_scans(bounded_lines(lines), site), sensor_id, drone)
    start = mounting_of(sensor, flight.wave_mps)
    found = calibrate(start, flight.sightings, smooth(flight.fixes), known.prior(sensor))
    right = None if truth is None else mounting_of(truth.sensors[sensor_id], flight.wave_mps)
    return Found(sensor, site.frame, start, found, flight.drone, right)


def read_scans(lines: Iterable[bytes], site: Site) -> Iterator[Scan]:
    """Scans of the lines that can be used; others are passed over."""
    for number, line in enumerate(lines, start=1):
        try:
            yield read_line(line, number, site)
        except Refused:
            continue


def gather(scans: Iterable[Scan], sensor_id: str, drone: str | None = None) -> Flight:
    """What the sensor reported, and where the drone said it was; without `drone` the one that spoke most.

    Raises:
        CalibrateError: one of them is missing.
    """
    seen: list[tuple[int, Measurement]] = []
    claims: list[tuple[int, Measurement]] = []
    for scan in scans:
        if scan.sensor_id == sensor_id and scan.space in _DIRECTIONS:
            seen += [(scan.time_ns, report) for report in scan.measurements]
        elif scan.space in _PLACES:
            claims += [(scan.time_ns, report) for report in scan.measurements if report.claimed_id]
    if not seen:
        raise CalibrateError(f"the flight holds no report by {sensor_id} with azimuth and elevation or pixels")
    names = Counter(report.claimed_id or "" for _, report in claims)
    name = drone or max(sorted(names), key=lambda k: names[k], default="")
    said = [(time_ns, report) for time_ns, report in claims if report.claimed_id == name]
    if not said:
        who = f"no drone {name}" if name else "no drone"
        raise CalibrateError(f"in this flight {who} reports where it is: it needs position lines with an id")
    t0_ns = min(time_ns for time_ns, _ in said)
    reports = [report for _, report in seen]
    sigma = np.array([_sigmas(report)[:2] for report in reports])
    if reports[0].space is Space.PIXEL:
        sigma = np.maximum(sigma, _LEAST_PIXEL_SIGMA)
    sightings = sightings_of(_seconds(seen, t0_ns), np.array([report.z[:2] for report in reports]), sigma)
    places, sigmas = ([v[:3] for v in each] for each in ([r.z for _, r in said], [_sigmas(r) for _, r in said]))
    fixes = Fixes(_seconds(said, t0_ns), np.array(places), np.array(sigmas))
    return Flight(sightings, fixes, name, reports[0].propagation_mps)


def _seconds(timed: list[tuple[int, Measurement]], t0_ns: int) -> FloatArray:
    return np.array([(time_ns - t0_ns) / NS for time_ns, _ in timed])


def _sigmas(report: Measurement) -> tuple[float, ...]:
    d = len(report.z)
    return tuple(math.sqrt(report.covariance[k * (d + 1)]) for k in range(d))


def mounting_of(sensor: Sensor, wave_mps: float | None = None) -> Mounting:
    """The sensor as its site file has it. Its clock is taken as right: stamps are corrected when they are read.

    Raises:
        CalibrateError: it has no place to start from.
    """
    if sensor.pose is None:
        raise CalibrateError(f"{sensor.config.id} has no position in the site file: give a rough one to start from")
    to_sensor = matrix_from_quaternion(sensor.pose.attitude).T
    return Mounting(np.array(sensor.pose.position_m), to_sensor, 0.0, sensor.camera, wave_mps)


# --- in words --------------------------------------------------------------------------------------------------------

#: What would tell it, for each name below.
_MENDS = {
    "direction": "fly across the picture, also near its edges",
    "roll": "fly across the picture, near its edges too",
    "place": "fly near the sensor and on several sides of it; no better than the drone's own GPS can be had",
    "clock": "fly fast across the picture, to and fro",
    "focal": "fly near the edges of the picture and through its middle",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity: as thought, as found, its standard deviation, whether the flight told it; the truth if known."""

    name: str
    unit: str
    thought: float
    found: float
    sigma: float
    told: bool
    mend: str
    truth: float | None = None


def rows(found: Found) -> list[Row]:
    """What was found, in the units of the site file."""
    calibration, start, truth = found.calibration, found.start, found.truth
    now, sigma, told = calibration.mounting, calibration.sigma, calibration.told
    out = _camera_rows(found) if now.camera is not None else _array_rows(found)
    for k, name in enumerate(("east", "north", "up")):
        place = None if truth is None else float(truth.position_m[k])
        values = (float(start.position_m[k]), float(now.position_m[k]), float(sigma[POSITION][k]))
        out.append(Row(name, "m", *values, bool(told[POSITION][k]), _MENDS["place"], place))
    offset = found.sensor.config.clock_offset
    out.append(Row("clock ahead", "s", offset, offset + now.clock_s, float(sigma[CLOCK]), bool(told[CLOCK]),
                   _MENDS["clock"]))  # fmt: skip
    if calibration.prior_sigma[FOCAL] > 0.0 and now.camera is not None and start.camera is not None:
        values = (start.camera.fx, now.camera.fx, now.camera.fx * float(sigma[FOCAL]))
        right = None if truth is None or truth.camera is None else truth.camera.fx
        out.append(Row("focal length", "px", *values, bool(told[FOCAL]), _MENDS["focal"], right))
    return out


def _camera_rows(found: Found) -> list[Row]:
    sigmas = np.degrees(found.calibration.attitude_sigma_rad)
    prior = math.degrees(float(found.calibration.prior_sigma[TURN][0]))
    before, after = (_degrees(m.to_sensor) for m in (found.start, found.calibration.mounting))
    right = [None] * 3 if found.truth is None else _degrees(found.truth.to_sensor)
    return [
        Row(name, "°", before[k], after[k], float(sigmas[k]), bool(sigmas[k] < 0.5 * prior), _MENDS[mend], right[k])
        for k, (name, mend) in enumerate((("azimuth", "direction"), ("elevation", "direction"), ("roll", "roll")))
    ]


def _degrees(to_sensor: FloatArray) -> list[float]:
    azimuth, elevation, roll = (math.degrees(v) for v in attitude_angles(to_sensor))
    return [wrap_azimuth_deg(azimuth), elevation, roll]


def _array_rows(found: Found) -> list[Row]:
    """How far the array is turned from how it was thought to stand, about three axes."""
    sigma, told = np.degrees(found.calibration.sigma[TURN]), found.calibration.told[TURN]
    turn = np.degrees(turned(found.start, found.calibration.mounting))
    right = None if found.truth is None else np.degrees(turned(found.start, found.truth))
    names = ("turned about east", "turned about north", "turned clockwise")
    return [
        Row(name, "°", 0.0, float(turn[k]), float(sigma[k]), bool(told[k]), _MENDS["direction"],
            None if right is None else float(right[k]))
        for k, name in enumerate(names)
    ]  # fmt: skip


def turned(start: Mounting, end: Mounting) -> FloatArray:
    """[3] rad about east, about north, and clockwise seen from above: how far the sensor itself is turned."""
    turn: FloatArray = turn_between(start.to_sensor, end.to_sensor) * np.array([-1.0, -1.0, 1.0])
    return turn


def table(found: Found) -> Iterator[str]:
    """Lines for a person."""
    calibration = found.calibration
    unit = "px" if found.start.camera is not None else "°"
    before, after = (residual_size(found, each) for each in ("before", "after"))
    name, looks = found.sensor.config.id, f"{calibration.matched} of {calibration.looks} looks"
    yield f"{name}: {found.drone} found in {looks}; median residual {before:.4g} {unit}, now {after:.3g} {unit}"
    yield f"{'':<20}{'thought':>12}{'found':>12}{'± sigma':>11}" + ("" if found.truth is None else f"{'truth':>12}")
    for row in rows(found):
        right = "" if row.truth is None else f"{row.truth:>12.4f}"
        left = "" if row.told else "  not told by this flight"
        yield f"{row.name + ' ' + row.unit:<20}{row.thought:>12.4f}{row.found:>12.4f}{row.sigma:>11.4f}{right}{left}"
    for mend in dict.fromkeys(row.mend for row in rows(found) if not row.told):
        names = ", ".join(row.name for row in rows(found) if not row.told and row.mend == mend)
        yield f"{names}: kept near what was known before; to tell more, {mend}"
    yield "The clock is against the times the drone's reports carry: what those are late counts as the sensor's too."
    if found.start.camera is None and found.sensor.config.microphones is None:
        yield "The site file states no microphones of this array: turn its directions by these angles where they arise."


def residual_size(found: Found, when: str) -> float:
    """Median length of the residuals, pixels or degrees."""
    missed = getattr(found.calibration.residuals, when)
    missed = missed if found.start.camera is not None else np.degrees(missed)
    whole = np.sqrt(np.square(missed).sum(axis=1))
    return float(np.nanmedian(whole)) if np.isfinite(whole).any() else math.nan


# --- the site file ---------------------------------------------------------------------------------------------------


def corrected(text: str, found: Found) -> str:
    """The site file with the sensor's block as found; the other lines stay as they are."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    sensors = next(value for key, value in root.value if key.value == "sensors")
    index = [s["id"] for s in yaml.safe_load(text)["sensors"]].index(found.sensor.config.id)
    node, block = sensors.value[index], yaml.safe_load(text)["sensors"][index]
    _correct(block, found)
    flow = bool(node.flow_style)
    said = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, default_flow_style=flow or None, width=10_000)
    said = said.strip().replace("\n", "\n" + " " * node.start_mark.column)
    whole = text[: node.start_mark.index] + said + text[_end(node) :]
    parse_site(whole)  # it must be a site file still
    return whole


def _end(node: yaml.Node) -> int:
    """Where the last thing of a node ends, without the empty lines and comments behind it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return max(_end(value) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return max(_end(value) for value in node.value)
    return int(node.end_mark.index)


def _correct(block: dict[str, Any], found: Found) -> None:
    calibration = found.calibration
    now, sigma = calibration.mounting, calibration.sigma
    if "enu" in block["position"]:
        block["position"] = {"enu": [round(float(v), 3) for v in now.position_m]}
    else:
        latitude, longitude, altitude = (float(v) for v in found.frame.to_geodetic(now.position_m))
        block["position"] = {
            "latitude": round(latitude, 8),
            "longitude": round(longitude, 8),
            "altitude": round(altitude, 3),
        }
    block["position_sigma"] = _said(sigma[POSITION])
    if now.camera is not None:
        names = ("azimuth", "elevation", "roll")
        block["orientation"] = dict(zip(names, (round(v, 4) for v in _degrees(now.to_sensor)), strict=True))
    elif block.get("microphones"):
        places = np.array(block["microphones"]) @ turn_matrix(found).T
        block["microphones"] = [[round(float(v), 4) for v in place] for place in places]
    block["attitude_sigma"] = _said(np.degrees(sigma[TURN]))
    block["clock_offset"] = round(found.sensor.config.clock_offset + now.clock_s, 5)
    block["clock_sigma"] = _said(sigma[CLOCK : CLOCK + 1])
    if calibration.prior_sigma[FOCAL] > 0.0 and now.camera is not None:
        _correct_focal(block, now.camera.fx, now.camera.fy, now.camera.width)


def turn_matrix(found: Found) -> FloatArray:
    """[3, 3] that takes places in the array's axes as thought to ENU as found."""
    matrix: FloatArray = found.calibration.mounting.to_sensor.T @ found.start.to_sensor
    return matrix


def _correct_focal(block: dict[str, Any], fx: float, fy: float, width: int) -> None:
    if "intrinsics" in block:
        block["intrinsics"] |= {"fx": round(fx, 3), "fy": round(fy, 3)}
    else:
        block["horizontal_fov"] = round(math.degrees(2.0 * math.atan(0.5 * width / fx)), 4)


def _said(sigmas: FloatArray) -> float:
    """One number for several axes: their root mean square, two digits."""
    return float(f"{math.sqrt(float(np.square(sigmas).mean())):.2g}")
