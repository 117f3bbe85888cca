"""`deeplomatics calibrate` on files: what it says, what it writes, and how it fails."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fusion_scene import site_text

from fusion import geometry as g
from fusion.calibration import Calibration, Residuals
from fusion.mounting import SIZE, TURN, moved
from fusion.site import parse_site
from service import cli
from service.calibrate import Found, corrected, mounting_of, rows

Line = dict[str, Any]
RID = "  # who speaks of itself\n  - {id: rid, kind: remote_id}\n"


def weaving(t: float) -> g.FloatArray:
    return np.array([20 * math.sin(0.31 * t), 20 * math.sin(0.17 * t + 1), 24 + 7 * math.sin(0.23 * t)])


def flight(text: str, sensor_id: str, late_s: float) -> list[Line]:
    """Forty seconds: five looks a second with one false report each, and the drone's GPS twice a second."""
    sensor, rng = parse_site(text).sensors[sensor_id], np.random.default_rng(0)
    assert sensor.pose is not None
    assert sensor.camera is not None
    to_camera = g.matrix_from_quaternion(sensor.pose.attitude).T
    lines: list[Line] = [
        {"time": 1000.0 + t, "sensor_id": "rid", "kind": "position", "enu": weaving(t).tolist(),
         "id": "DRONE-1", "sigma_horizontal": 1.0, "sigma_vertical": 2.0}
        for t in np.arange(0.0, 40.0, 0.5)
    ]  # fmt: skip
    lines.append({**lines[-1], "id": "OTHER"})
    for t in np.arange(1.0, 39.0, 0.2):
        at = sensor.camera.project(g.rotate(to_camera, weaving(t) - np.array(sensor.pose.position_m)))
        points = ((at.pixels + rng.normal(size=2)).tolist(), [rng.random() * 1920, rng.random() * 1080])
        stamp = {"time": 1000.0 + t + late_s, "sensor_id": sensor_id, "kind": "pixel"}
        lines += [{**stamp, "point": point} for point in points]
    return lines


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["deeplomatics", "calibrate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def write(folder: Path, lines: list[Line]) -> Path:
    path = folder / "flight.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\nnot a line\n")
    return path


def test_a_camera_turned_by_hand_is_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = site_text(("east", "south"), RID)
    recorded = write(tmp_path, flight(truth, "south", 0.35))
    (tmp_path / "truth.yaml").write_text(truth)
    (tmp_path / "site.yaml").write_text(truth.replace("azimuth: 0.0, elevation: 20", "azimuth: 340.0, elevation: 28"))
    new, picture = tmp_path / "new.yaml", tmp_path / "residuals.png"
    options = ("--output", new, "--plot", picture, "--truth", tmp_path / "truth.yaml")
    assert call(monkeypatch, tmp_path / "site.yaml", recorded, "--sensor", "south", *options) == 0
    said = capsys.readouterr().out
    assert "DRONE-1 found in 19" in said  # of 190 looks
    assert "not told" in said  # the position: no better than the drone's own GPS
    assert picture.read_bytes().startswith(b"\x89PNG")
    east, south, rid = yaml.safe_load(new.read_text())["sensors"]
    assert (east, rid) == (yaml.safe_load(truth)["sensors"][0], {"id": "rid", "kind": "remote_id"})
    assert "# who speaks of itself" in new.read_text()
    assert g.wrap_angle(math.radians(south["orientation"]["azimuth"])) == pytest.approx(0.0, abs=math.radians(1.0))
    assert south["orientation"]["elevation"] == pytest.approx(20.0, abs=1.0)
    assert south["clock_offset"] == pytest.approx(0.35, abs=0.05)
    assert 0.0 < south["attitude_sigma"] < 2.0
    assert 0.0 < south["clock_sigma"] < 0.1
    capsys.readouterr()
    assert call(monkeypatch, new, recorded, "--sensor", "south", "--output", new) == 0  # once more changes nothing
    again = yaml.safe_load(new.read_text())["sensors"][1]
    assert again["clock_offset"] == pytest.approx(south["clock_offset"], abs=0.02)
    assert again["orientation"]["azimuth"] == pytest.approx(south["orientation"]["azimuth"], abs=0.5)


def test_an_array_is_corrected_by_turning_its_microphones() -> None:
    """It stands a quarter turn clockwise of what was thought: what was north of its middle is east of it."""
    array = "  - {id: mic, kind: microphone_array, position: {enu: [1, 2, 3]}, microphones: %s}\n"
    text = site_text(("east",), array % [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])
    site = parse_site(text)
    start = mounting_of(site.sensors["mic"], 343.0)
    parameters = np.zeros(SIZE)
    parameters[TURN] = 0.0, 0.0, math.pi / 2
    none = np.zeros((0, 2))
    found = Calibration(moved(start, parameters), parameters, 1e-4 * np.eye(SIZE), np.ones(SIZE),
                        Residuals(np.zeros(0), none, none, none), 0, 0, 1.0)  # fmt: skip
    whole = Found(site.sensors["mic"], site.frame, start, found, "DRONE-1")
    new = parse_site(corrected(text, whole)).sensors["mic"].config
    np.testing.assert_allclose(np.array(new.microphones), [[1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, 0]], atol=1e-4)
    assert [row.found for row in rows(whole) if row.name == "turned clockwise"] == pytest.approx([90.0])


def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = site_text(("east", "south"), RID)
    (tmp_path / "site.yaml").write_text(text)
    lines = flight(text, "south", 0.0)
    silent = write(tmp_path, [line for line in lines if "id" not in line])
    for status, sensor, sentence in ((1, "south", "no drone reports where it is"), (1, "east", "no report by east"),
                                     (2, "west", "no sensor west: give one of east, south")):  # fmt: skip
        assert call(monkeypatch, tmp_path / "site.yaml", silent, "--sensor", sensor) == status
        (line,) = capsys.readouterr().err.splitlines()
        assert sentence in line
