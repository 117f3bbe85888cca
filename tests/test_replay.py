"""A flight again: the same bits, at any speed, under any hash seed; and what is different when something is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.types import Detections
from service.clock import SystemClock
from service.flight_file import Flight, FlightError
from service.replay import Changes, Replay, ReplayError, Run, Stage, pieces_of
from service.replay_command import replay
from service.types import CameraUpdate, TracksEnded, WorldUpdate

from flight_scene import record_scene  # isort: skip


class Blind:
    """A detector for flights without pictures."""

    def detect(self, _: object) -> list[Detections]:
        raise AssertionError("nobody asks")

    def forget(self, _: str) -> None:
        """There is nothing to forget."""


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = record_scene(tmp_path_factory.mktemp("flights"))
    return path


def test_the_scene_has_what_a_flight_has(flight: Path) -> None:
    with Flight(flight) as opened:
        messages = [envelope.message for envelope in opened.envelopes()]
    worlds = [message for message in messages if isinstance(message, WorldUpdate)]
    assert max(len(world.tracks) for world in worlds) >= 2
    assert min(int(world.tracks[0].track.track_id[1:]) for world in worlds if world.tracks) >= 7
    assert {type(message).__name__ for message in messages} >= {
        "TracksEnded",
        "Scan",
        "Heartbeat",
        "ZoneChange",
        "Alert",
    }


@pytest.mark.parametrize("stage", [Stage.TRACKS, Stage.MEASUREMENTS, Stage.DETECTIONS, Stage.RAW])
def test_the_same_comes_out_from_every_stage(flight: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.replay.load", lambda *_: Blind())
    result = replay([flight], stage, None, None, SystemClock())
    assert result.difference == ""
    assert result.outputs > 150
    assert not any(result.losses)


ONE_CORE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "


def test_the_same_under_other_hash_seeds_speeds_and_numbers_of_cores(flight: Path, tmp_path: Path) -> None:
    main = "from service.cli import main; main()"
    arguments = ["replay", str(flight), "--from", "detections", "--check"]
    lines = []
    for seed, speed, before in (("0", "max", ""), ("1", "7.3", ONE_CORE)):
        output = tmp_path / f"{seed}.jsonl"
        environment = dict(os.environ, PYTHONHASHSEED=seed)
        command = [sys.executable, "-c", before + main, *arguments, "--speed", speed, "--output", str(output)]
        subprocess.run(command, check=True, env=environment, timeout=100)
        lines.append(output.read_bytes().split(b"\n", 1))
    assert lines[0] == lines[1]
    assert lines[0][1].count(b'"type":"track"') > 10


def test_a_difference_is_found_and_placed(flight: Path) -> None:
    result = replay([flight], Stage.MEASUREMENTS, None, None, SystemClock(), Changes(without=("east",)))
    assert "camera east" in result.difference
    result = replay([flight], Stage.DETECTIONS, None, None, SystemClock(), Changes(thresholds={"drone": 0.95}))
    assert "differs from its message" in result.difference


def test_a_sensor_that_the_flight_does_not_have_is_not_left_out_in_silence(flight: Path) -> None:
    with pytest.raises(ReplayError, match="no sensor 'cam-b': it has east, south, west"):
        replay([flight], Stage.MEASUREMENTS, None, None, SystemClock(), Changes(without=("east", "cam-b")))


def test_parts_of_a_run_are_replayed_as_one(tmp_path: Path) -> None:
    paths = record_scene(tmp_path, 2.0, part_gb=60e-6)
    assert len(paths) > 2
    assert replay(paths, Stage.DETECTIONS, None, None, SystemClock()).difference == ""
    alone = replay(paths[1:2], Stage.DETECTIONS, None, None, SystemClock())
    assert alone.begins_within
    assert any("begins within a run" in sentence for sentence in alone.sentences())
    with pytest.raises(FlightError, match="not the part that follows"):
        replay([paths[0], paths[2]], Stage.DETECTIONS, None, None, SystemClock())


def test_a_damaged_flight_is_replayed_before_and_behind_the_damage(flight: Path, tmp_path: Path) -> None:
    data = bytearray(flight.read_bytes())
    with Flight(flight) as opened:
        assert opened.spans is not None
        middle = opened.spans[len(opened.spans) // 2]
    data[middle.offset + 100] ^= 4
    damaged = tmp_path / "damaged.mcap"
    damaged.write_bytes(data)
    result = replay([damaged], Stage.DETECTIONS, None, None, SystemClock())
    assert result.losses[0].damages  # how many messages went is known only where others follow
    assert any("part of the recording is missing" in sentence for sentence in result.sentences())


def test_only_what_was_recorded_decides(flight: Path) -> None:
    """Each camera alone gives what it gave among the others, and an ending ends."""
    with Flight(flight) as opened:
        run = Run(Replay(opened.about, Stage.DETECTIONS, SystemClock(), Changes(without=("east", "south"))))
        said = [message for _, (_, message) in run.over(pieces_of([opened]))]
    names = {message.sensor_id for message in said if isinstance(message, CameraUpdate)}
    assert names == {"west"}
    with Flight(flight) as opened:
        recorded = [e.message for e in opened.envelopes()]
    expected = [m for m in recorded if isinstance(m, CameraUpdate | TracksEnded) and m.sensor_id == "west"]
    tracks = [m.tracks if isinstance(m, CameraUpdate) else m for m in said if isinstance(m, CameraUpdate | TracksEnded)]
    assert tracks == [m.tracks if isinstance(m, CameraUpdate) else m for m in expected]
