"""Drones' own logs: every real one beside the project, what is broken in them, and what cannot be told is said."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion.geometry import FloatArray, Geodetic, LocalFrame
from fusion.types import NS
from service.export import Path3D, Point, geojson, kml
from service.flight_logs.log import Alignment, Clock, FlightLog, Flown, Heights, LogError, overlap, place
from service.flight_logs.read import read_flown, read_log

LOGS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flight_logs"
FRAME = LocalFrame(Geodetic(47.4, 8.5, 500.0))
START = 1_780_000_000


@pytest.fixture
def logs() -> Path:
    if not LOGS.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no real logs at {LOGS}")
        pytest.skip(f"no real logs at {LOGS}")
    return LOGS


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def path_at(k: float) -> tuple[float, float, float]:
    """Latitude, longitude and height of a drone that flies 10 m/s to the east, 40 m up."""
    latitude, longitude, altitude = (float(v) for v in FRAME.to_geodetic([10.0 * k, 20.0, 40.0]))
    return latitude, longitude, altitude


def stamp(k: int) -> str:
    return f"2026-05-28T20:{26 + k // 60:02d}:{40 + k % 60 - (60 if k % 60 >= 20 else 0):02d}Z"


#: Name, what it is timed by, what its heights are above, positions.
REAL = [
    ("dji_srt/air2s.srt", Clock.LOCAL, Heights.UNSTATED, 17),
    ("dji_srt/broken_incomplete.SRT", Clock.LOCAL, Heights.TAKEOFF, 19),
    ("dji_srt/broken_incomplete2.SRT", Clock.LOCAL, Heights.UNSTATED, 4),
    ("dji_srt/matrice_300.srt", Clock.LOCAL, Heights.TAKEOFF, 381),
    ("dji_srt/mavic_2_style.SRT", Clock.LOCAL, Heights.UNSTATED, 468),
    ("dji_srt/mavic_air2.srt", Clock.LOCAL, Heights.UNSTATED, 25),
    ("dji_srt/mavic_mini.SRT", Clock.OWN, Heights.TAKEOFF, 117),
    ("dji_srt/mavic_pro.SRT", Clock.LOCAL, Heights.TAKEOFF, 468),
    ("dji_srt/mavic_pro_buggy.SRT", Clock.LOCAL, Heights.TAKEOFF, 530),
    ("dji_srt/old_format.SRT", Clock.LOCAL, Heights.TAKEOFF, 468),
    ("dji_srt/p4_rtk.SRT", Clock.OWN, Heights.TAKEOFF, 55),
    ("dji_srt/p4p_sample.SRT", Clock.OWN, Heights.TAKEOFF, 5),
    ("px4_ulog/sample_log_small.ulg", Clock.UTC, Heights.ELLIPSOID, 32),
]
#: Name, and what is said of a log that holds nothing.
USELESS = [
    ("dji_srt/broken_empty.SRT", "is empty"),
    ("dji_srt/broken_empty2.SRT", "none of its 1 entries holds a position"),
    ("dji_srt/mavic_air.SRT", "none of its 2 entries holds a position"),
    ("px4_ulog/sample_appended_multiple.ulg", "no positions of a satellite receiver"),
]


@pytest.mark.recordings
@pytest.mark.parametrize(("name", "clock", "heights", "positions"), REAL)
def test_a_real_log_gives_all_that_it_holds(
    logs: Path, name: str, clock: Clock, heights: Heights, positions: int
) -> None:
    log = read_log(logs / name)
    assert (log.clock, log.heights, len(log.times_s)) == (clock, heights, positions)
    assert np.ptp(log.latitude_deg) < 0.02  # within a flight's reach
    assert np.ptp(log.longitude_deg) < 0.02
    assert (np.diff(log.times_s) >= 0.0).all()


@pytest.mark.recordings
@pytest.mark.parametrize(("name", "reason"), USELESS)
def test_a_real_log_without_positions_is_refused_in_words(logs: Path, name: str, reason: str) -> None:
    with pytest.raises(LogError, match=reason):
        read_log(logs / name)


@pytest.mark.recordings
def test_every_real_log_is_one_of_these(logs: Path) -> None:
    there = {str(path.relative_to(logs)) for path in logs.rglob("*") if path.suffix.lower() in (".srt", ".ulg")}
    assert there == {name for name, *_ in REAL} | {name for name, _ in USELESS}


@pytest.mark.recordings
def test_heights_distances_and_speeds_agree_with_what_a_log_says_of_itself(logs: Path) -> None:
    """The RTK log states distance to home and speed in every entry; its home lies where the first line says."""
    log = read_log(logs / "dji_srt" / "p4_rtk.SRT")
    home = LocalFrame(Geodetic(-34.232707, -58.847509, 0.0))
    flown = place("p4", log, home, Alignment(start_ns=START * NS))
    away = np.hypot(*flown.path.position_m[:, :2].T)
    assert away[0] == pytest.approx(698.7, abs=3.0)  # the entry: D 698.70m
    assert away[-1] == pytest.approx(159.98, abs=3.0)
    assert np.hypot(*flown.path.velocity_mps[-5, :2]) == pytest.approx(13.2, abs=0.5)  # H.S 13.1…13.3
    assert flown.path.position_m[-1, 2] == pytest.approx(85.8, abs=0.1)


@pytest.mark.recordings
def test_what_was_left_out_of_a_real_log_is_said(logs: Path) -> None:
    buggy = read_log(logs / "dji_srt" / "mavic_pro_buggy.SRT")
    assert buggy.notes == ("16 entries left out: no position in them, or only a part of one",)  # GPS(N/A,N/A,3)
    cut = read_log(logs / "dji_srt" / "broken_incomplete2.SRT")
    assert cut.notes[0].startswith("2 entries left out")


# -- other formats, written here ---------------------------------------------------------------------------------------


def gpx(folder: Path) -> Path:
    points = "".join(
        f'<trkpt lat="{lat}" lon="{lon}"><ele>{alt - 47.0}</ele><time>{stamp(k)}</time></trkpt>'
        for k in range(20)
        for lat, lon, alt in [path_at(k)]
    )
    body = f'<gpx xmlns="http://www.topografix.com/GPX/1/1" version="1.1"><trk><trkseg>{points}</trkseg></trk></gpx>'
    return write(folder, "flown.gpx", body)


def table(folder: Path) -> Path:
    lines = ["Time, Latitude, Longitude, Altitude"]
    lines += [", ".join(map(str, (START + k, *path_at(k)))) for k in range(20)]
    return write(folder, "flown.csv", "\n".join(lines) + "\n\ndamaged,line\n")


def milliseconds_and_feet(folder: Path) -> Path:
    lines = ["timestamp;lat;lon;height_above_takeoff(feet)"]
    lines += [";".join(map(str, (1000 * (START + k), *path_at(k)[:2], 40.0 / 0.3048))) for k in range(20)]
    return write(folder, "flown.txt", "\n".join(lines))


def exported(writer: Callable[[list[Path3D], str], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        points = [Point((START + k) * NS, path_at(k)[1], path_at(k)[0], path_at(k)[2]) for k in range(20)]
        path = folder / f"flown.{writer.__name__}"
        path.write_bytes(writer([Path3D("W1", "drone", None, points)], "site"))
        return path

    return make


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (gpx, Alignment(geoid_m=47.0)),
        (table, Alignment()),
        (milliseconds_and_feet, Alignment()),
        (exported(geojson), Alignment()),
        (exported(kml), Alignment(heights=Heights.ELLIPSOID)),
    ],
)
def test_every_format_gives_the_same_path(make: Callable[[Path], Path], known: Alignment, tmp_path: Path) -> None:
    flown = read_flown(make(tmp_path), FRAME, known)
    assert flown.span_ns == (START * NS, (START + 19) * NS)
    there = flown.path.at(np.array([7.5]))
    assert there.position_m[0] == pytest.approx([75.0, 20.0, 40.0], abs=0.05)
    assert there.velocity_mps[0] == pytest.approx([10.0, 0.0, 0.0], abs=0.1)


def test_heights_that_nobody_knows_are_not_guessed(tmp_path: Path) -> None:
    flown = read_flown(gpx(tmp_path), FRAME, Alignment())
    there = flown.path.at(np.array([7.5])).position_m[0]
    assert there[:2] == pytest.approx([75.0, 20.0], abs=0.05)
    assert math.isnan(there[2])
    assert any("--truth-geoid" in note for note in flown.notes)


def test_a_cut_gpx_gives_what_comes_before_the_cut(tmp_path: Path) -> None:
    whole = gpx(tmp_path).read_text()
    log = read_log(write(tmp_path, "cut.gpx", whole[: whole.index(stamp(12))]))
    assert len(log.times_s) == 12
    assert "cut off" in log.notes[0]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.gpx", "", "is empty"),
        ("a.gpx", "no xml at all", "damaged"),
        ("a.gpx", "<gpx/>", "holds no position"),
        ("a.kml", "<kml><Placemark/></kml>", "no gx:Track"),
        ("a.csv", "time,lat\n1,2\n", "no column longitude"),
        ("a.csv", "time,lat,lon\nx,y,z\n", "1 entries left out"),
        ("a.csv", "time,lat,lon\n1780000000,0,0\n1780000001,99,200\n", "means no fix"),
        ("a.json", "{", "no JSON"),
        ("a.json", "[1, 2]", "no LineString"),
        ("a.ulg", "not a log", "no ULog"),
        ("a.log", "x", "read by their ending: .csv, .geojson, .gpx, .json, .kml, .srt, .txt, .ulg"),
    ],
)
def test_a_useless_log_is_refused_in_words(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(LogError, match=reason):
        read_log(write(tmp_path, name, text))


def test_a_log_of_another_place_is_refused(tmp_path: Path) -> None:
    elsewhere = LocalFrame(Geodetic(52.5, 13.4, 40.0))
    with pytest.raises(LogError, match=r"flown 6\d\d km from the site"):
        read_flown(table(tmp_path), elsewhere, Alignment())


def test_exchanged_coordinates_are_put_right_and_said(tmp_path: Path) -> None:
    lines = ["time,lon,lat,altitude"] + [",".join(map(str, (START + k, *path_at(k)))) for k in range(20)]
    flown = read_flown(write(tmp_path, "a.csv", "\n".join(lines)), FRAME, Alignment())
    assert any("exchanged" in note for note in flown.notes)
    assert flown.path.position_m[0] == pytest.approx([0.0, 20.0, 40.0], abs=0.05)


def log_at(times: FloatArray, clock: Clock = Clock.UTC) -> FlightLog:
    """The drone's log, one position for each of these seconds of its flight, as if it had taken off at START."""
    latitude, longitude, height = (np.array(column) for column in zip(*map(path_at, times), strict=True))
    return FlightLog("CSV", clock, Heights.ELLIPSOID, times, latitude, longitude, height)


def flown_from(start: int, seconds: int = 20) -> Flown:
    log = log_at(np.arange(float(seconds)))
    return place("log", replace(log, times_s=log.times_s + start), FRAME, Alignment())


def test_a_log_of_another_time_is_refused_with_both_times() -> None:
    overlap(flown_from(START), (START + 15) * NS, (START + 60) * NS)
    with pytest.raises(LogError, match=r"no time in common$"):
        overlap(flown_from(START), (START + 400) * NS, (START + 460) * NS)


def test_a_clock_of_another_zone_is_named_with_the_mend() -> None:
    with pytest.raises(LogError, match="--truth-offset -7200"):
        overlap(flown_from(START + 7205), START * NS, (START + 60) * NS)


def test_a_log_without_a_day_needs_one() -> None:
    with pytest.raises(LogError, match="--truth-start"):
        place("log", log_at(np.arange(9.0), Clock.OWN), FRAME, Alignment())


def test_a_repeated_fix_does_not_stop_the_drone() -> None:
    """Thirty entries a second of a receiver that answers five times: the steps are not speed."""
    times = np.arange(0.0, 6.0, 1 / 30)
    flown = place("log", replace(log_at(np.floor(5.0 * times) / 5.0), times_s=times), FRAME, Alignment())
    speeds = flown.path.at(np.linspace(1.0, 5.0, 50)).velocity_mps[:, 0]
    assert speeds == pytest.approx(10.0, abs=0.5)
