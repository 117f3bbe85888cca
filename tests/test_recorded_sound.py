"""Sound in a flight: kept by policy, bounded, heard again as it was, and given out as a sound file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import Block
from fusion.site import Site, parse_site
from fusion.types import Heartbeat, Scan
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS, Architecture
from service import foxglove
from service.bus import Bus, Full, Subscription
from service.clock import SystemClock
from service.export import ExportError, export
from service.export_sound import sound_of
from service.flight_file import Flight
from service.hearing import Hearings, Listener
from service.journal import CAPACITY, Journal
from service.journal_about import About, site_text
from service.journal_format import canonical
from service.recording import RecordingPolicy, RecordingSettings
from service.replay import Replay, Run, Stage, pieces_of
from service.sound_capture import SoundTiming
from service.sound_shelf import AFTER_S, BEFORE_S, SoundShelf
from service.types import Message, SensorHealth, SensorState
from simulation.array_field import array_field
from simulation.sound_field import Air, Emitter, Rotor, straight

from flight_scene import START_NS, SceneClock  # isort: skip
from fusion_scene import ORIGIN  # isort: skip
from test_hearing import PLACES  # isort: skip

RATE = 16_000
FLIES_S = (3.0, 5.0)  # of the scene
SECONDS = 9.0
TEMPERATURE = 3.0


class Loud:
    """A recogniser that takes what is loud for a drone."""

    architecture = Architecture()

    def __init__(self, limit: float = 0.02) -> None:
        self._limit = limit

    def resampled(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        return samples

    def scores(self, windows: np.ndarray) -> np.ndarray:
        flies = 0.9 if windows.std() > self._limit else 0.05
        row = {"drone": flies, "helicopter": 0.0, "background": 1.0 - flies}
        return np.array([[row[name] for name in SOUNDS]])


def acoustic_site() -> Site:
    lat, lon, alt = ORIGIN
    return parse_site(
        f"site: {{origin: {{latitude: {lat}, longitude: {lon}, altitude: {alt}}}}}\nfusion: {{lag: 0.5}}\nsensors:\n"
        f"  - {{id: north, kind: microphone_array, position: {{enu: [0, 75, 1]}}, microphones: "
        f"{json.dumps(PLACES.tolist())}, capture: {{temperature: {TEMPERATURE}, transport: udp}}}}\n"
    )


def blocks() -> Iterator[Block]:
    """Hiss, and a drone that is loud from 3 to 5 s; 16 bits."""
    generator, step = np.random.default_rng(1), RATE // 20
    path = straight([-20.0, 60.0, 30.0], [12.0, 0.0, 0.0])
    rotor: list[Emitter] = [Rotor(path, (0.0,), (5200.0,), 2, tuple(1.0 / np.arange(1.0, 15.0)))]
    air = Air(TEMPERATURE)
    for start in range(0, round(SECONDS * RATE), step):
        samples = 1e-3 * generator.standard_normal((len(PLACES), step))
        if FLIES_S[0] <= start / RATE < FLIES_S[1]:
            samples += 2.0 * array_field(rotor, PLACES + np.array([0.0, 75.0, 1.0]), start / RATE, step, RATE, air)
        exact = (np.clip(np.rint(samples * 32768), -32768, 32767) / 32768).astype(np.float32)
        yield Block("north", start, START_NS + start * 1_000_000_000 // RATE, RATE, exact, 1000)


class Feed:
    """Gives the blocks one by one and does, after each, what pulse, monitor and journal do: all in one thread."""

    timing = SoundTiming()
    ended = False

    def __init__(self, journal: Journal, subscription: Subscription, bus: Bus, clock: SceneClock) -> None:
        self._blocks = blocks()
        self._journal, self._subscription, self._bus, self._clock = journal, subscription, bus, clock
        self.given: list[Block] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def health(self) -> SensorHealth:
        return SensorHealth("north", SensorState.ONLINE)

    def next(self, timeout_s: float) -> Block | None:
        if self.given:
            self._bus.publish("clock", Heartbeat(self._clock.now))
            self._journal.step(self._subscription.take(0.0))
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
            return None
        self._clock.now = block.time_ns + 60_000_000
        self.given.append(block)
        return block


def recorded(folder: Path, policy: RecordingPolicy) -> tuple[Path, list[Block]]:
    """A flight of one array, and the blocks that it heard."""
    site, clock = acoustic_site(), SceneClock()
    bus = Bus(clock.now_ns)
    subscription = bus.subscribe("journal", capacity=CAPACITY, full=Full.REFUSE_NEWEST)
    shelf = SoundShelf(policy)
    settings = RecordingSettings(folder=folder, reserve_gb=0.0, sound=policy)
    journal = Journal(settings, About("test", "scene", site=site_text(site)), clock, site=site, sounds=shelf)
    feed, sensor = Feed(journal, subscription, bus, clock), site.sensors["north"]
    config = ArrayConfig.model_validate({"id": "north", "microphones": PLACES.tolist(), "temperature": TEMPERATURE})
    listener = Listener(config, feed, lambda: cast(Recogniser, Loud()), pose=sensor.pose, coverage=sensor.coverage,
                        hearings=Hearings(), bus=bus, clock=clock, sounds=shelf)  # fmt: skip
    listener.start()
    assert listener.join(200.0)
    journal.follow(subscription)
    bus.close()
    journal.close(30.0)
    (flight,) = journal.folder.flights()
    return flight.path, feed.given


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Block]]:
    return recorded(tmp_path_factory.mktemp("all"), "all")


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Block]]:
    return recorded(tmp_path_factory.mktemp("detections"), "detections")


def kept(path: Path) -> list[Block]:
    with Flight(path) as flight:
        return list(sound_of(flight, "north"))


def scans_of(messages: Iterable[Message]) -> list[bytes]:
    return [canonical(message) for message in messages if isinstance(message, Scan)]


def heard_again(path: Path, monkeypatch: pytest.MonkeyPatch, recogniser: Loud) -> tuple[list[bytes], list[bytes]]:
    """Scans as they were recorded, and as they are from the recorded sound."""
    monkeypatch.setattr("service.replay.load_recogniser", lambda **_: recogniser)
    with Flight(path) as flight:
        run = Run(Replay(flight.about, Stage.RAW, SystemClock()))
        said = [message for _, (_, message) in run.over(pieces_of([flight]))]
        return scans_of(each.message for each in flight.envelopes()), scans_of(said)


def test_all_sound_is_recorded_to_the_bit(whole: tuple[Path, list[Block]]) -> None:
    path, given = whole
    found = kept(path)
    assert len(found) >= len(given) - 8  # the last ones come with the next message of the array
    for ours, theirs in zip(found, given, strict=False):
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert replace(ours, samples=theirs.samples) == theirs
    with Flight(path) as flight:
        places = [stored.line for stored in flight.messages()]
    assert ("/array/north/sound", "foxglove.RawAudio") in places


def test_what_is_heard_again_is_what_was_heard(
    whole: tuple[Path, list[Block]], monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = heard_again(whole[0], monkeypatch, Loud())
    assert len(then) > 10
    assert now == then


def test_another_recogniser_may_hear_nothing(whole: tuple[Path, list[Block]], monkeypatch: pytest.MonkeyPatch) -> None:
    then, now = heard_again(whole[0], monkeypatch, Loud(limit=1e9))
    assert len(then) > 10
    assert now == []


def test_around_detections_alone(around: tuple[Path, list[Block]], monkeypatch: pytest.MonkeyPatch) -> None:
    found = kept(around[0])
    begin_s, end_s = ((each.time_ns - START_NS) / 1e9 for each in (found[0], found[-1]))
    assert FLIES_S[0] - BEFORE_S - 0.1 <= begin_s <= FLIES_S[0] - 0.5
    assert FLIES_S[1] + 0.5 <= end_s <= FLIES_S[1] + 1.5 + AFTER_S  # what is recognised is of the second before
    assert [b.index - a.index for a, b in pairwise(found)] == [RATE // 20] * (len(found) - 1)
    then, now = heard_again(around[0], monkeypatch, Loud())
    assert abs(len(now) - len(then)) <= 5  # what is recognised is asked twice a second, from the first look on


def test_without_sound_the_recorded_scans_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = recorded(tmp_path, "none")
    assert kept(path) == []
    then, now = heard_again(path, monkeypatch, Loud(limit=1e9))
    assert len(then) > 10
    assert now == then


def test_sound_that_nobody_takes_goes_oldest_first() -> None:
    block = Block("north", 0, 0, RATE, np.zeros((8, 800), np.float32))
    shelf = SoundShelf("all", most_bytes=3 * block.samples.nbytes)
    for k in range(5):
        shelf.put(replace(block, index=800 * k), flies=False)
    assert [each.index // 800 for each in shelf.take("north")] == [2, 3, 4]
    assert shelf.dropped == 2
    assert shelf.take("north") == []
    shelf.put(block, flies=False)
    assert len(shelf.take("north")) == 1


def test_a_flight_gives_its_sound_as_a_file(whole: tuple[Path, list[Block]], tmp_path: Path) -> None:
    path, given = whole
    told = export(path, "wav", tmp_path / "north.wav")
    assert told[:2] == [f"sound of north written to {tmp_path / 'north.wav'}", "0.000 s is 2026-05-01T12:00:00.000000Z"]
    samples, rate_hz = soundfile.read(tmp_path / "north.wav", dtype="float32")
    expected = np.concatenate([block.samples for block in given], axis=1).T
    assert rate_hz == RATE
    np.testing.assert_array_equal(samples, expected[: len(samples)])
    with pytest.raises(ExportError, match="holds no sound of south: record with"):
        export(path, "wav", tmp_path / "x.wav", array="south")
    with pytest.raises(ExportError, match="cannot go to standard output"):
        export(path, "wav", Path("-"))
    assert not (tmp_path / "x.wav").exists()


@pytest.mark.parametrize("wrong", [
    {"format": "opus"}, {"sample_rate": 0}, {"number_of_channels": 3}, {"data": "?"}, {"data": None}, {"timestamp": 3},
])  # fmt: skip
def test_what_is_no_sound_is_refused(wrong: dict[str, object]) -> None:
    block = Block("north", 7, START_NS + 1, RATE, np.zeros((2, 5), np.float32), 3)
    good = json.loads(foxglove.raw_audio(block))
    assert foxglove.block_of("north", json.dumps(good).encode()).index == 7
    with pytest.raises(ValueError, match="sound"):
        foxglove.block_of("north", json.dumps(good | wrong).encode())
