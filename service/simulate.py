"""`deeplomatics simulate`: a scenario as if its site had recorded it, as fast as the machine can.

    SimulatedSite ──pictures──▶ detector ──▶ CameraLine ──▶ network ──▶ ╔═════╗ ──▶ World
                  ──reports───────────────▶ Scan ─────────▶ network ──▶ ║ Bus ║
                  ──truth──────────────────────────────────────────────▶╚═════╝ ──▶ Journal ──▶ FLIGHT.mcap

What is simulated are the sensors, the network and the clock, which jumps from event to event; all behind them is the
code that runs live. One thread does everything in the order of time, and only the pictures are drawn and looked at
ahead of it, a thread for each camera: so the same scenario and build give the same flight, to the last byte.
"""

from __future__ import annotations

import heapq
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Generic, Self, TypeVar

from fusion.reports import Refused, read_report
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.site import Sensor
from fusion.types import NS
from models.acoustic_infer import Recogniser, load_recogniser
from models.types import Band, Detections, Frame
from service import journal
from service.bus import Bus, Full, Publisher
from service.camera_line import CameraLine, FrameDetector
from service.clock import Clock
from service.detection import DetectorPool
from service.ear import Ear, Heard
from service.hearing import heard_scan
from service.journal import FrameShelf, Journal
from service.journal_about import About, CameraAbout, site_text
from service.live import LiveState
from service.recording import RecordingPolicy, RecordingSettings
from service.replay import Outcome, said
from service.schemas import rfc3339
from service.settings import DetectorSettings
from service.simulated_sound import BLOCK_NS, array_config, sound_blocks
from service.track import Progress
from service.types import Message, ZoneChange
from service.world import BEAT_S, World, camera_measure
from service.zones import by_id
from simulation.network import Network
from simulation.scenario import ScenarioFile
from simulation.site import SimulatedSite
from simulation.truth import PictureTruth
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings

#: When the scenes begin, always the same, so that a flight depends on its scenario alone: 2026-06-01, noon UTC.
EPOCH_NS = 1_780_315_200 * NS
PICTURE_LATENCY_NS = 50_000_000  # from the middle of the exposure until the camera's update, as live
SOUND_LATENCY_NS = 30_000_000  # from the end of a block of sound until what was heard in it
LISTEN_S = TRUTH_S = 0.1
AHEAD = 4  # pictures of each camera that are drawn and looked at before their turn
UNBOUNDED = 1e6  # minutes and GB of a part: the flight is one file

Item = TypeVar("Item")


class SimulateError(Exception):
    """The flight cannot be written; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """How it went.

    Attributes:
        digest: SHA-256 of all that cameras, fusion and alerts said, as `replay` prints it.
        flight_s, took_s: how long the flight lasts, and how long it took.
    """

    digest: str
    messages: int
    flight_s: float
    took_s: float

    def sentence(self) -> str:
        """For people."""
        speed = self.flight_s / self.took_s if self.took_s > 0.0 else 0.0
        took = f"{self.flight_s:g} s of flight in {self.took_s:.1f} s, {speed:.1f} times real time"
        return f"{took}; {self.messages} messages, sha256 {self.digest}"


def simulate(
    scenario: ScenarioFile,
    output: Path,
    seconds: float,
    clock: Clock,
    *,
    frames: RecordingPolicy = "none",
    detector: DetectorSettings | None = None,
    progress: Progress | None = None,
) -> Simulated:
    """Write the first `seconds` of a scenario as a flight.

    Raises:
        SimulateError, OSError: it cannot be written.
        models.infer.WeightsError: the detector cannot be used.
    """
    progress = progress or Progress()
    began_ns = clock.monotonic_ns()
    progress.begin(scenario.site.name, round(seconds / BEAT_S))
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix=".simulate-", dir=output.parent))
        run = opened.enter_context(Simulation(scenario, Path(folder), frames, detector or DetectorSettings()))
        run.until(seconds, progress)
        os.replace(run.end(), output)
    return Simulated(run.outcome.digest(), run.messages, seconds, (clock.monotonic_ns() - began_ns) / NS)


class SteppedClock:
    """A clock that somebody sets; nobody waits for it."""

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.is_set()


class Agenda:
    """What is to be done, in order of time; of what is due together, what was planned first."""

    def __init__(self) -> None:
        self._planned: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = count()

    def plan(self, time_ns: int, act: Callable[[], object]) -> None:
        heapq.heappush(self._planned, (time_ns, next(self._numbers), act))

    def until(self, last_ns: int) -> Iterator[tuple[int, Callable[[], object]]]:
        """All that is due up to then, also what is planned meanwhile."""
        while self._planned and self._planned[0][0] <= last_ns:
            time_ns, _, act = heapq.heappop(self._planned)
            yield time_ns, act


class Simulation:
    """One scenario on a bus of its own, written to a flight in `folder`. A context: it has threads to end."""

    def __init__(
        self, scenario: ScenarioFile, folder: Path, frames: RecordingPolicy, detector: DetectorSettings
    ) -> None:
        self.outcome = Outcome()
        self.messages = 0
        self._truth = SimulatedSite(scenario, EPOCH_NS)
        self._agenda = Agenda()
        self._recogniser: Recogniser | None = None
        self._clock = SteppedClock(EPOCH_NS)
        self._bus = Bus(self._clock.now_ns)
        self._said = self._bus.subscribe("journal", capacity=journal.CAPACITY, full=Full.REFUSE_NEWEST)
        self._world = World(self._truth.site, self._bus, self._clock)
        live, shelf = LiveState(tuple(self._truth.scene.cameras)), FrameShelf(frames)
        live.watch(shelf.put)
        self._detectors = DetectorPool(detector, [camera.band for camera in self._truth.scene.cameras.values()])
        self._eyes = [self._eye(sensor_id, live) for sensor_id in self._truth.scene.cameras]
        self._hearers = [self._hearer(sensor_id) for sensor_id in self._truth.ears]
        self._receivers = {r.sensor_id: self._network(r.sensor_id) for r in self._truth.receivers}
        self._reports = count(1)
        self._journal = self._begin_journal(folder, frames, shelf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for eye in self._eyes:
            eye.close()
        for hearer in self._hearers:
            hearer.close()
        self._journal.close()

    def until(self, seconds: float, progress: Progress) -> None:
        """From the beginning until then; each beat is a step of the progress.

        Raises:
            SimulateError: the flight cannot be written on.
        """
        for name, zone in by_id(self._truth.site.file.zones).items():
            self._bus.publish(f"zone.{name}", ZoneChange(name, zone))
        self._every(TRUTH_S, self._tell_truth)
        for eye in self._eyes:
            self._agenda.plan(EPOCH_NS + PICTURE_LATENCY_NS, partial(self._look, eye))
        for hearer in self._hearers:
            self._agenda.plan(EPOCH_NS + BLOCK_NS + SOUND_LATENCY_NS, partial(self._hear, hearer))
        self._every(LISTEN_S, self._listen)
        self._every(BEAT_S, partial(self._beat, progress))
        for time_ns, act in self._agenda.until(EPOCH_NS + round(seconds * NS)):
            self._clock.time_ns = time_ns
            act()

    def end(self) -> Path:
        """Close the flight; where it lies."""
        self._write()
        path = self._journal.writing
        self._journal.close()
        if path is None:
            raise SimulateError("nothing was simulated: give more seconds")
        return path

    # ── What happens ────────────────────────────────────────────────────────────────────────────────────────────────

    def _every(self, seconds: float, act: Callable[[], object]) -> None:
        """Now, and again and again."""
        now_ns = self._clock.time_ns

        def again() -> None:
            nonlocal now_ns
            act()
            now_ns += round(seconds * NS)
            self._agenda.plan(now_ns, again)

        self._agenda.plan(now_ns, again)

    def _tell_truth(self) -> None:
        self._bus.publish("truth", self._truth.truth(self._clock.time_ns))

    def _look(self, eye: _Eye) -> None:
        due_ns = eye.look(self._bus)
        self._agenda.plan(due_ns + PICTURE_LATENCY_NS, partial(self._look, eye))

    def _hear(self, hearer: _Hearer) -> None:
        due_ns = hearer.hear()
        self._agenda.plan(due_ns + SOUND_LATENCY_NS, partial(self._hear, hearer))

    def _listen(self) -> None:
        """What the receivers heard of late."""
        now_ns = self._clock.time_ns
        for report in self._truth.heard(now_ns - round(LISTEN_S * NS), now_ns):
            try:
                scan = read_report(report, next(self._reports), self._truth.site)
            except Refused:  # a scenario may place a claim where no report can be
                continue
            self._receivers[scan.sensor_id].publish(f"scan.{scan.sensor_id}", scan)

    def _beat(self, progress: Progress) -> None:
        self._world.beat()
        self._world.follow(0.0)
        self._write()
        progress.step()

    def _write(self) -> None:
        envelopes = self._said.take(0.0)
        self._journal.step(envelopes)
        self.messages += len(envelopes)
        for envelope in envelopes:
            self.outcome.add(said(envelope.message))
        if self._journal.state.state != "recording":
            raise SimulateError(f"the flight cannot be written: {self._journal.state.reason}")

    # ── What it is made of ──────────────────────────────────────────────────────────────────────────────────────────

    def _network(self, sensor_id: str) -> _Sender:
        return _Sender(self._truth.network(sensor_id), self._bus, self._agenda, self._clock)

    def _eye(self, sensor_id: str, live: LiveState) -> _Eye:
        band: Band = self._truth.scene.cameras[sensor_id].band
        thresholds = self._detectors.thresholds(band)
        settings = TrackerSettings.at(thresholds)
        line = CameraLine(
            sensor_id,
            lambda first_id: ImageTracker(settings, first_id=first_id),
            first_id=1,
            live=live,
            bus=self._network(sensor_id),
            clock=self._clock,
            measure=camera_measure(self._truth.site.sensors[sensor_id], thresholds),
        )
        return _Eye(line, looks(self._truth, sensor_id, self._detectors.get(band)))

    def _hearer(self, sensor_id: str) -> _Hearer:
        sensor = self._truth.site.sensors[sensor_id]
        config = array_config(self._truth, sensor_id)
        if self._recogniser is None:
            self._recogniser = load_recogniser(device="cpu")
        return _Hearer(config, sensor, heard_blocks(self._truth, config, self._recogniser), self._network(sensor_id))

    def _begin_journal(self, folder: Path, frames: RecordingPolicy, shelf: FrameShelf) -> Journal:
        settings = RecordingSettings(
            folder=folder, frames=frames, part_minutes=UNBOUNDED, part_gb=UNBOUNDED, max_gb=UNBOUNDED
        )
        return Journal(settings, self._about(), _Unhurried(EPOCH_NS), site=self._truth.site, shelf=shelf)

    def _about(self) -> About:
        cameras = {
            sensor_id: CameraAbout(
                camera.band, self._detectors.weights[camera.band], dict(self._detectors.thresholds(camera.band))
            )
            for sensor_id, camera in self._truth.scene.cameras.items()
        }
        return About(
            version=version("deeplomatics"),
            session=rfc3339(EPOCH_NS),
            started_ns=EPOCH_NS,
            site_name=self._truth.site.file.site.name,
            site=site_text(self._truth.site),
            cameras=cameras,
            scenario=self._truth.file.model_dump_json(exclude_defaults=True, by_alias=True),
            detections="rendered",
        )


class _Unhurried(SteppedClock):
    """By it nothing is ever due: so what is written together hangs on its size alone, and is always the same."""

    def monotonic_ns(self) -> int:
        return 0


class _Sender:
    """A sensor's way to the bus, with what its network does to scans."""

    def __init__(self, network: Network, bus: Bus, agenda: Agenda, clock: SteppedClock) -> None:
        self._network = network
        self._bus = bus
        self._agenda = agenda
        self._clock = clock
        self._numbers = count()

    def publish(self, subject: str, message: Message) -> None:
        if not subject.startswith("scan."):
            self._bus.publish(subject, message)
            return
        for delay_ns in self._network.delays_ns(next(self._numbers)):
            if delay_ns:
                self._agenda.plan(self._clock.time_ns + delay_ns, partial(self._bus.publish, subject, message))
            else:
                self._bus.publish(subject, message)


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Look:
    """A picture of a camera with what was found in it and what really is there, or none: it is silent.

    Attributes:
        next_ns: true time of the next.
    """

    next_ns: int
    frame: Frame | None = None
    detections: Detections | None = None
    truth: PictureTruth | None = None


def looks(site: SimulatedSite, sensor_id: str, detector: FrameDetector) -> Iterator[Look]:
    """A camera's looks without end, from the scene's epoch on, stamped by its own clock."""
    rate_hz = site.scene.cameras[sensor_id].rate_hz
    for sequence in count():
        time_ns, next_ns = (site.epoch_ns + round(n * NS / rate_hz) for n in (sequence, sequence + 1))
        if site.is_silent(sensor_id, time_ns):
            yield Look(next_ns)
            continue
        shot = site.scene.shot(sensor_id, time_ns, sequence)
        frame = replace(shot.frame, time_ns=site.stamp_ns(sensor_id, time_ns))
        yield Look(next_ns, frame, detector.detect(frame), site.picture_truth(frame, shot.truth))


class _Eye:
    """One camera: its line, and its looks, made ahead."""

    def __init__(self, line: CameraLine, looks: Iterator[Look]) -> None:
        self._line = line
        self._ahead = _Ahead(looks)
        self._found = _Found()

    def look(self, bus: Bus) -> int:
        """Publish the look that is due; the true time of the next."""
        look = next(self._ahead)
        if look.frame is None or look.truth is None:
            self._line.wait(self._found)
        else:
            bus.publish(f"truth.{self._line.sensor_id}", look.truth)
            self._found.detections = look.detections
            self._line.process(look.frame, self._found)
        return look.next_ns

    def close(self) -> None:
        self._ahead.close()


# ── Sound ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Hearing:
    """What follows from a block of sound; nothing where the array is silent.

    Attributes:
        end_ns: true time of its end.
    """

    end_ns: int
    heard: tuple[Heard, ...] = ()


def heard_blocks(site: SimulatedSite, config: ArrayConfig, recogniser: Recogniser) -> Iterator[Hearing]:
    """An array's sound through its ear, without end."""
    ears = site.ears[config.id]
    ear = Ear(config, ears.rate_hz, recogniser)
    for end_ns, block in sound_blocks(site, config.id):
        yield Hearing(end_ns, () if block is None else tuple(ear.step(block)))


class _Hearer:
    """One array: what it hears, made ahead, to scans."""

    def __init__(self, config: ArrayConfig, sensor: Sensor, hearings: Iterator[Hearing], sender: Publisher) -> None:
        assert sensor.pose is not None
        self._config = config
        self._pose, self._coverage = sensor.pose, sensor.coverage
        self._ahead = _Ahead(hearings)
        self._sender = sender

    def hear(self) -> int:
        """Publish what is due; the true time at which the next block ends."""
        hearing = next(self._ahead)
        for heard in hearing.heard:
            scan = heard_scan(heard, self._config.speed_mps, self._pose, self._coverage, True)
            if scan is not None:
                self._sender.publish(f"scan.{self._config.id}", scan)
        return hearing.end_ns + BLOCK_NS

    def close(self) -> None:
        self._ahead.close()


class _Found:
    """A detector that has done its work before."""

    detections: Detections | None = None

    def detect(self, frame: Frame) -> Detections:
        assert self.detections is not None
        return self.detections

    def forget(self, sensor_id: str) -> None:
        """It keeps nothing."""


class _Ahead(Generic[Item]):
    """The items of an endless iterator, made `AHEAD` of when they are taken, in a thread of their own."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._pool = ThreadPoolExecutor(1)
        self._made: deque[Future[Item]] = deque(self._pool.submit(next, items) for _ in range(AHEAD))

    def __next__(self) -> Item:
        self._made.append(self._pool.submit(next, self._items))
        return self._made.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
