"""Flights of scenarios: always the same ones, with the truth in them, and what replay makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fusion.types import NS, Scan
from service.cli import app
from service.clock import SystemClock
from service.flight_file import Flight
from service.replay import Stage
from service.replay_command import replay
from service.simulate import EPOCH_NS, Simulated, simulate
from service.types import CameraUpdate, Envelope, Message
from simulation.network import Network
from simulation.scenario import ScenarioFile, read_scenario
from simulation.truth import PictureTruth, Truth

SECONDS = 2.5
TEXT = """
seed: 3
site: {name: Here, origin: {latitude: 50, longitude: 10, altitude: 100}}
fusion: {lag: 0.5}
sensors:
  - {id: cam, kind: camera, spectrum: infrared, width: 160, height: 128, horizontal_fov: 12, capture: {fps: 10},
     position: {enu: [0, 0, 3]}, orientation: {azimuth: 0, elevation: 8}}
  - {id: rid, kind: remote_id, position: {enu: [0, 0, 3]}}
faults:
  cam: {clock: {offset: 0.03}, silent: [[1.0, 1.3]]}
  rid: {delay: 0.2}
zones: [{name: Field, polygon: [[49.99, 9.99], [50.01, 9.99], [50.01, 10.01], [49.99, 10.01]]}]
aircraft:
  - {name: drone, class: drone, motion: {kind: waypoints, points: [[0, 60, 12], [2, 61, 12]]},
     remote_id: {id: DE-1, offset: [50, 0, 0], begins: 1.05}}
  - {name: gull, class: bird, motion: {kind: orbit, centre: [0, 90, 15], axes: [[5, 0, 0], [0, 5, 0]], speed: 9}}
"""


def scene(text: str = TEXT) -> ScenarioFile:
    return read_scenario(text)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    path = tmp_path_factory.mktemp("flown") / "a.mcap"
    return path, simulate(scene(), path, SECONDS, SystemClock())


def messages(path: Path) -> list[Message]:
    with Flight(path) as flight:
        return [piece.message for piece in flight.read() if isinstance(piece, Envelope)]


def test_the_same_scenario_gives_the_same_bytes(flown: tuple[Path, Simulated], tmp_path: Path) -> None:
    again, other = tmp_path / "b.mcap", tmp_path / "c.mcap"
    assert simulate(scene(), again, SECONDS, SystemClock()).digest == flown[1].digest
    assert again.read_bytes() == flown[0].read_bytes()
    assert simulate(scene(TEXT.replace("seed: 3", "seed: 4")), other, SECONDS, SystemClock()).digest != flown[1].digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.mcap", "c.mcap"], "nothing else is left behind"


@pytest.mark.parametrize("stage", [Stage.DETECTIONS, Stage.MEASUREMENTS])
def test_a_simulated_flight_is_replayed_bit_for_bit(flown: tuple[Path, Simulated], stage: Stage) -> None:
    result = replay([flown[0]], stage, None, None, SystemClock())
    assert result.difference == ""
    assert result.digest == flown[1].digest


def test_the_truth_is_in_the_flight_and_each_picture_has_its_own(flown: tuple[Path, Simulated]) -> None:
    said = messages(flown[0])
    truths = [m for m in said if isinstance(m, Truth)]
    assert [t.time_ns for t in truths] == [EPOCH_NS + k * NS // 10 for k in range(26)]
    first, last = (np.array(t.objects[0].position_m) for t in (truths[0], truths[-1]))
    np.testing.assert_allclose(first, [0.0, 60.0, 12.0], atol=0.01)
    assert 0.3 < np.linalg.norm(last - first) < 2.5
    assert [o.name for o in truths[0].objects] == ["drone", "gull"]
    assert [t.objects[0].lies for t in truths] == [t.time_ns >= EPOCH_NS + 1.05 * NS for t in truths]
    updates = [m for m in said if isinstance(m, CameraUpdate)]
    pictures = [m for m in said if isinstance(m, PictureTruth)]
    assert [(p.time_ns, p.sequence) for p in pictures] == [(u.time_ns, u.sequence) for u in updates]
    assert {box.name for picture in pictures for box in picture.objects} == {"drone", "gull"}


def test_clock_silence_and_delay_are_those_of_the_scenario(flown: tuple[Path, Simulated]) -> None:
    with Flight(flown[0]) as flight:
        pieces = [piece for piece in flight.read() if isinstance(piece, Envelope)]
    updates = [e for e in pieces if isinstance(e.message, CameraUpdate)]
    sequences = [e.message.sequence for e in updates if isinstance(e.message, CameraUpdate)]
    assert sequences == [*range(10), *range(13, 25)], "silent from 1.0 s to 1.3 s"
    behind = [e.received_ns - e.message.time_ns for e in updates if isinstance(e.message, CameraUpdate)]
    assert set(behind) == {20_000_000}, "50 ms of latency, and a clock that is 30 ms ahead"
    reports = [e for e in pieces if isinstance(e.message, Scan) and e.message.sensor_id == "rid"]
    waited = [e.received_ns - e.message.time_ns for e in reports if isinstance(e.message, Scan)]
    assert len(set(waited)) == len(waited), "each took its own time"
    assert min(waited) > 0


def test_a_network_loses_repeats_and_delays_as_many_as_it_is_told() -> None:
    network = Network(1, "cam", lost=0.2, repeated=0.1, delay_s=0.05)
    sent = [network.delays_ns(n) for n in range(4000)]
    assert sent == [network.delays_ns(n) for n in range(4000)]
    copies = np.array([len(delays) for delays in sent])
    assert np.mean(copies == 0) == pytest.approx(0.2, abs=0.03)
    assert np.mean(copies == 2) == pytest.approx(0.1, abs=0.02)
    assert np.mean([d for delays in sent for d in delays]) == pytest.approx(0.05e9, rel=0.1)
    assert Network(1, "cam").delays_ns(5) == (0,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT.replace("seed: 3", "sead: 3"), ["line 2", "seed: is missing", "sead: is not known here"]),
        (TEXT.replace("lost", "").replace("{delay: 0.2}", "{lost: 0.6, repeated: 0.6}"), ["together at most 1"]),
        (TEXT.replace("{delay: 0.2}", "{turned: {azimuth: 2}}"), ["rid is no camera"]),
        (TEXT.replace("[[1.0, 1.3]]", "[[1.3, 1.0]]"), ["must end after it begins"]),
    ],
)
def test_a_wrong_scenario_is_refused_with_all_that_is_wrong(text: str, says: list[str], tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text)
    call = ["simulate", str(tmp_path / "s.yaml"), "--output", str(tmp_path / "f.mcap")]
    result = CliRunner().invoke(app, call)
    for each in says:
        assert each in str(result.exception), result
    assert not (tmp_path / "f.mcap").exists()
