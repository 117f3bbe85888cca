"""What every kind of sensor keeps, whichever there are: each folder of `fusion/sensors` is found and tested.

A folder gives `simulate.EXAMPLE` (itself in a site file) and `simulate.simulate` (a line about a drone whose state is
known); `fusion.reports` reads that line with the `READERS` of the folders. How to add one: docs/adding-a-sensor.md.
"""

from __future__ import annotations

import copy
import itertools
import math
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import sensors
from fusion.fields import Fields, Refused
from fusion.geometry import FloatArray
from fusion.kinds import readers
from fusion.reports import read_line, read_report
from fusion.sensors.remote_id.messages import Location, NoMessage, decode, encode_basic_id, encode_location
from fusion.site import Site, parse_site
from fusion.spaces import DIMENSION, Prediction, predict, residual
from fusion.types import NS, Scan

FOLDERS = sorted(path.name for path in Path(sensors.__path__[0]).iterdir() if (path / "__init__.py").exists())
TIME_NS = 1_777_636_800 * NS
DRAWS = 150
#: Around the site at all azimuths, near due north (where the camera looks) and due south (where angles wrap).
STATES = [
    np.array([r * math.sin(a), r * math.cos(a), h, *v])
    for a, r, h, v in [
        *((math.radians(d), 150.0, 50.0, (8.0, -5.0, 1.0)) for d in (-0.05, 0.05, 12.0, -15.0)),
        *((math.radians(d), 200.0, 40.0, (-6.0, 10.0, -1.0)) for d in (90.0, 179.9, -179.9, -90.0)),
    ]
]


@cache
def site_of(kind: str) -> Site:
    entry = dict(import_module(f"fusion.sensors.{kind}.simulate").EXAMPLE)
    file = {"site": {"origin": {"latitude": 47.4, "longitude": 8.5, "altitude": 400.0}}, "sensors": [entry]}
    return parse_site(orjson.dumps(file).decode())  # JSON is YAML


def line_of(kind: str, state: FloatArray, rng: np.random.Generator) -> Fields | None:
    simulate = import_module(f"fusion.sensors.{kind}.simulate").simulate
    fields: Fields | None = simulate(site_of(kind), next(iter(site_of(kind).sensors)), state, TIME_NS, rng)
    return fields


def scans_of(kind: str, state: FloatArray, seed: int) -> list[Scan]:
    rng = np.random.default_rng(seed)
    lines = [line_of(kind, state, rng) for _ in range(DRAWS)]
    return [read_report(line, k, site_of(kind)) for k, line in enumerate(lines) if line is not None]


def predicted(scan: Scan, state: FloatArray) -> Prediction:
    wave = scan.measurements[0].propagation_mps
    return predict(scan.space, state, scan.pose, scan.camera, propagation_mps=wave)


def standardised(scan: Scan, state: FloatArray) -> FloatArray:
    """What was reported less what is so, in its own standard deviations."""
    (report,) = scan.measurements
    d = DIMENSION[scan.space]
    gap = residual(scan.space, np.array(report.z), predicted(scan, state).z)
    low = np.linalg.cholesky(np.array(report.covariance).reshape(d, d))
    return np.asarray(np.linalg.solve(low, gap), np.float64)


def test_every_folder_is_a_kind_that_a_site_file_may_name() -> None:
    assert tuple(FOLDERS) == sensors.sensor_kinds()
    for kind in FOLDERS:
        (sensor,) = site_of(kind).sensors.values()
        assert sensor.config.kind == kind


@pytest.mark.parametrize("kind", FOLDERS)
def test_reports_are_unbiased_and_as_uncertain_as_they_say(kind: str) -> None:
    seen = [(state, scans_of(kind, state, seed)) for seed, state in enumerate(STATES)]
    gaps = np.array([standardised(scan, state) for state, scans in seen for scan in scans])
    count, d = gaps.shape
    assert count >= DRAWS  # seen at all
    assert np.abs(gaps.mean(axis=0)).max() * math.sqrt(count) < 4.5
    nees = (gaps**2).sum(axis=1).mean() / d  # of DRAWS and more: 1 ± sqrt(2 / (count d)); rounding may add to it
    assert abs(nees - 1.0) < 5.0 * math.sqrt(2.0 / (count * d)) + 0.1


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_derivative_is_that_of_the_prediction(kind: str) -> None:
    for state in STATES:
        for scan in scans_of(kind, state, 0)[:1]:
            step = np.eye(6) * 1e-3
            ahead, behind = predicted(scan, state + step).z, predicted(scan, state - step).z
            slopes = residual(scan.space, ahead, behind).T / 2e-3
            here = predicted(scan, state)
            np.testing.assert_allclose(here.jacobian, slopes, rtol=1e-4, atol=1e-6 * max(1.0, np.abs(here.z).max()))


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_same_seed_says_the_same_and_reading_changes_nothing(kind: str) -> None:
    one, two = (line_of(kind, STATES[0], np.random.default_rng(5)) for _ in range(2))
    assert one == two
    assert one is not None
    before = copy.deepcopy(one)
    scans = [read_report(one, 1, site_of(kind)) for _ in range(2)]
    assert scans[0] == scans[1]
    assert one == before


# ── Bad input ───────────────────────────────────────────────────────────────────────────────────────────────────────

UGLY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, math.nan, math.inf, 10**400, -1000.0, 90.0, 180.0, 360.0]),
    st.text(max_size=60),
    st.text("0123456789abcdef", max_size=120),
    st.lists(st.one_of(st.floats(), st.integers(), st.text(max_size=3)), max_size=40),
)


def read_or_refuse(fields: Fields, site: Site) -> None:
    """Either a scan whose numbers are fit for the fusion, or a plain reason; nothing else may come out."""
    try:
        scan = read_report(fields, 1, site)
    except Refused:
        return
    (report,) = scan.measurements
    d = DIMENSION[scan.space]
    spread = np.array(report.covariance).reshape(d, d)
    assert np.isfinite(report.z).all()
    assert (np.linalg.eigvalsh(spread) > 0.0).all()
    assert 0 <= scan.time_ns < 2**63


@pytest.mark.parametrize("kind", FOLDERS)
def test_any_value_in_any_field_is_read_or_refused(kind: str) -> None:
    good = next(line for state in STATES if (line := line_of(kind, state, np.random.default_rng(1))) is not None)
    names = sorted(
        {*good, "covariance", "velocity", "enu", "latitude", "id", "point", "messages", "wave", "sigma_range"}
    )

    @given(st.dictionaries(st.sampled_from(names), UGLY, min_size=1, max_size=3))
    @settings(deadline=None, max_examples=120)
    def spoiled(ugly: dict[str, Any]) -> None:
        read_or_refuse({**good, **ugly}, site_of(kind))

    spoiled()


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_refused_with_a_reason(line: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_line(line, 1, site_of("external"))
    assert str(caught.value)


@given(st.sampled_from(sorted(readers())), st.dictionaries(st.text(max_size=8), UGLY, max_size=4))
@settings(deadline=None, max_examples=100)
def test_any_reader_takes_any_sensor(kind: str, fields: dict[str, Any]) -> None:
    for folder in FOLDERS:
        sensor = next(iter(site_of(folder).sensors))
        read_or_refuse({**fields, "time": 1.0, "sensor_id": sensor, "kind": kind}, site_of(folder))


# ── Remote ID ───────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_by_hand() -> bytes:
    """From ASTM F3411-22a, tables 4 to 7: Basic ID (serial number of a multirotor) and Location (airborne, track 225°,
    10 m/s, climbing 1.5 m/s, 47.4° N 8.5° E, 512.5 m, ±10 m, ±10 m, ±1 m/s, 12.3 s after the hour)."""
    latitude, longitude = (474_000_000).to_bytes(4, "little"), (85_000_000).to_bytes(4, "little")
    basic = bytes([0x02, 0x12]) + b"DRONE-1".ljust(20, b"\0") + bytes(3)
    location = bytes([0x12, 0x22, 45, 40, 3]) + latitude + longitude + bytes(2) + (3025).to_bytes(2, "little")
    location += bytes(2) + bytes([0x4A, 0x03]) + (123).to_bytes(2, "little") + bytes(2)
    return bytes([0xF2, 25, 2]) + basic + location


def test_a_broadcast_written_by_hand_is_read() -> None:
    who, where = decode(pack_by_hand())
    assert getattr(who, "text", "") == "DRONE-1"
    assert isinstance(where, Location)
    assert (where.latitude, where.longitude) == pytest.approx((47.4, 8.5))
    assert (where.status, where.altitude_m, where.pressure_altitude_m, where.hour_s) == (2, 512.5, None, 12.3)
    assert where.velocity_mps == pytest.approx((-10 / math.sqrt(2), -10 / math.sqrt(2), 1.5))
    assert (where.horizontal_m, where.vertical_m, where.speed_mps) == (10.0, 10.0, 1.0)


def report(pack: bytes) -> Fields:
    return {"time": 1.0, "sensor_id": "receiver", "kind": "remote_id", "message": pack.hex()}


def test_no_fix_is_refused_and_an_unknown_height_is_vague() -> None:
    site, basic = site_of("remote_id"), encode_basic_id("DRONE-1")
    nowhere = encode_location(0.0, 0.0, 100.0, (0.0, 0.0, 0.0), None, (10, 4, 3))
    with pytest.raises(Refused, match="no fix"):
        read_report({**report(b""), "messages": [basic.hex(), nowhere.hex()]}, 1, site)
    flat = encode_location(47.4, 8.5, None, (0.0, 0.0, 0.0), None, (10, 4, 3))
    (claim,) = read_report({**report(b""), "messages": [basic.hex(), flat.hex()]}, 1, site).measurements
    assert claim.claimed_id == "DRONE-1"
    assert claim.covariance[14] == 100.0**2
    for missing in (basic, flat):
        with pytest.raises(Refused, match="join it"):
            read_report(report(missing), 1, site)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_broadcast_is_decoded_or_no_message(data: bytes) -> None:
    for head in (data, b"\xf2\x19\x03" + data, b"\x12" + data[:24].ljust(24, b"\0")):
        try:
            found = list(itertools.islice(decode(head), 10))
        except NoMessage:
            continue
        for each in found:
            if isinstance(each, Location) and each.latitude is not None:
                assert -90 <= each.latitude <= 90
