"""One camera's line and the detector that cameras share; source, detector and tracker are a few lines each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from models.types import Detections, Frame
from service.bus import Bus, Full, Subscription
from service.camera import Camera
from service.detection import OwnDetector, SharedDetector
from service.live import LiveState
from service.monitor import RESTARTS, Monitor
from service.types import CameraUpdate, SensorHealth, SensorState, TracksEnded
from tracking.types import ImageTrack, ImageTracks, Status

WAIT_S = 20.0


class Clock:
    """Real enough for a test: every look at it is a millisecond later."""

    def __init__(self) -> None:
        self._ticks = count(1)

    def now_ns(self) -> int:
        return next(self._ticks) * 1_000_000

    monotonic_ns = now_ns

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.is_set()


class Script:
    """A source that plays a list: frames, and `None` for a time without any."""

    def __init__(self, sensor_id: str, steps: Sequence[Frame | None]) -> None:
        self._sensor_id = sensor_id
        self._steps = list(steps)

    @property
    def ended(self) -> bool:
        return not self._steps

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def next(self, timeout_s: float) -> Frame | None:
        return self._steps.pop(0) if self._steps else None

    def health(self) -> SensorHealth:
        return SensorHealth(self._sensor_id, SensorState.ENDED if self.ended else SensorState.ONLINE)


class BrightPixels:
    """Finds one box per frame and remembers what it was asked."""

    name, sha256, backend = "bright-pixels", "", "test"
    thresholds: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, fail_at: int | None = None) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self.forgotten: list[str] = []
        self._fail_at = fail_at

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.batches.append([(frame.sensor_id, frame.sequence) for frame in frames])
        if any(frame.sequence == self._fail_at for frame in frames):
            raise RuntimeError("the device is gone")
        return [detections_of(frame) for frame in frames]

    def forget(self, sensor_id: str) -> None:
        self.forgotten.append(sensor_id)


class OneTrack:
    """A fold that holds one track with the id it was given."""

    def __init__(self, first_id: int) -> None:
        self._id = first_id

    def step(self, detections: Detections) -> ImageTracks:
        box = (0.0, 0.0, 8.0, 8.0)
        track = ImageTrack(
            self._id, Status.CONFIRMED, box, (0.0, 0.0), (0.0,) * 16, 0.9, (1.0, 0.0, 0.0, 0.0), 0.9, 0, 0
        )
        of = detections
        return ImageTracks(of.sensor_id, of.time_ns, of.sequence, of.width, of.height, (track,))

    def snapshot(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None: ...


def frame(sequence: int, sensor_id: str = "a", size: tuple[int, int] = (8, 8)) -> Frame:
    pixels = np.full((*size, 1), sequence % 256, np.uint8)  # a picture is never the same twice
    return Frame(sensor_id, sequence * 10**9, sequence, "infrared", pixels)


def detections_of(frame: Frame) -> Detections:
    height, width = frame.pixels.shape[:2]
    boxes, scores = np.zeros((1, 4), np.float32), np.full(1, 0.9, np.float32)
    return Detections(
        frame.sensor_id, frame.time_ns, frame.sequence, width, height, boxes, scores, np.zeros((1, 4), np.float32)
    )


def line(
    steps: Sequence[Frame | None],
    make_detector: Callable[[], BrightPixels] = BrightPixels,
    first_id: int = 7,
) -> tuple[Camera, Subscription, LiveState]:
    clock = Clock()
    bus = Bus(clock.now_ns)
    live = LiveState(("a",))
    camera = Camera(
        "a",
        Script("a", steps),
        lambda: OwnDetector(make_detector()),
        OneTrack,
        first_id=first_id,
        live=live,
        bus=bus,
        clock=clock,
    )
    return camera, bus.subscribe("test", capacity=1000, full=Full.REFUSE_NEWEST), live


def summary(subscription: Subscription) -> list[tuple[str, int, tuple[int, ...]]]:
    """What went over the bus: `frame` with its number and the ids alive, or `ended` with the ids that ended."""
    told: list[tuple[str, int, tuple[int, ...]]] = []
    for envelope in subscription.take(0):
        message = envelope.message
        if isinstance(message, CameraUpdate):
            told.append(("frame", message.sequence, tuple(track.track_id for track in message.tracks.tracks)))
        elif isinstance(message, TracksEnded):
            told.append(("ended", -1, message.track_ids))
    return told


def run(camera: Camera) -> None:
    camera.start()
    assert camera.join(WAIT_S)


def test_each_frame_becomes_one_message_and_the_newest_picture_is_kept_with_what_was_found_in_it() -> None:
    camera, bus, live = line([frame(0), None, frame(1), frame(2)])
    run(camera)
    assert summary(bus) == [("frame", 0, (7,)), ("frame", 1, (7,)), ("frame", 2, (7,)), ("ended", -1, (7,))]
    latest = live.latest("a")
    assert latest is not None
    assert latest.frame.sequence == latest.update.sequence == 2
    assert camera.health().processed == 3


def test_silence_ends_the_tracks_and_their_ids_are_not_used_again() -> None:
    camera, bus, _ = line([frame(0), *[None] * 2500, frame(1)])  # the clock moves a millisecond per look
    run(camera)
    assert summary(bus) == [("frame", 0, (7,)), ("ended", -1, (7,)), ("frame", 1, (8,)), ("ended", -1, (8,))]


class Watched(Script):
    """Asks the camera how it is before each step."""

    camera: Camera

    def __init__(self, steps: Sequence[Frame | None]) -> None:
        super().__init__("a", steps)
        self.said: list[SensorHealth] = []

    def next(self, timeout_s: float) -> Frame | None:
        self.said.append(self.camera.health())
        return super().next(timeout_s)


def test_a_picture_that_stands_still_is_said_to_be_frozen_counted_and_not_followed() -> None:
    frozen = [replace(frame(k), pixels=frame(0).pixels) for k in range(1, 1400)]  # two milliseconds each
    script = Watched([frame(0), *frozen, frame(2001), frame(2002), frame(2003), frame(2004)])
    camera, bus, live = line([])
    camera._capture, script.camera = script, camera
    run(camera)
    early, late, last = script.said[100], script.said[1000], camera.health()
    assert early.state is SensorState.ONLINE  # so short a repetition is left out but not spoken of
    assert (late.state, late.processed) == (SensorState.FROZEN, 1)
    assert late.reason.startswith("the same picture for 2.")
    assert summary(bus) == [
        ("frame", 0, (7,)), ("ended", -1, (7,)), ("frame", 2003, (8,)), ("frame", 2004, (8,)), ("ended", -1, (8,))
    ]  # fmt: skip
    assert last.dropped["repeated"] + last.dropped["frozen"] == 1399 + 2  # an encoder may draw a still picture anew
    assert last.processed == 3
    latest = live.latest("a")
    assert latest is not None
    assert latest.frame.sequence == 2004


def test_a_new_picture_size_ends_the_tracks_and_begins_new_ones() -> None:
    camera, bus, _ = line([frame(0), frame(1, size=(16, 8)), frame(2, size=(16, 8))])
    run(camera)
    updates = [each.message for each in bus.take(0) if isinstance(each.message, CameraUpdate)]
    assert [[track.track_id for track in update.tracks.tracks] for update in updates] == [[7], [8], [8]]
    assert [update.tracks.deleted for update in updates] == [(), (7,), ()]


def test_after_a_fault_the_line_says_so_and_can_begin_again_with_new_ids() -> None:
    faults: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, faults.append
    try:
        camera, bus, _ = line([frame(0), frame(1), frame(2)], lambda: BrightPixels(fail_at=1))
        run(camera)
        assert camera.crashed
        assert camera.health().state is SensorState.DOWN
        camera.start()
        assert camera.join(WAIT_S)
    finally:
        threading.excepthook = before
    assert [str(fault.exc_value) for fault in faults] == ["the device is gone"]
    assert not camera.crashed
    assert summary(bus) == [("frame", 0, (7,)), ("ended", -1, (7,)), ("frame", 2, (8,)), ("ended", -1, (8,))]


class Gate(BrightPixels):
    """Holds the first batch until told, so that others must gather."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__(fail_at)
        self.entered, self.open = threading.Event(), threading.Event()

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.entered.set()
        assert self.open.wait(WAIT_S)
        return super().detect(frames)


def together(gate: Gate) -> dict[int, Detections | None]:
    """Frame 0 runs alone while 1, 2 and 3 of other cameras wait; what each camera got, None for a fault."""
    shared = SharedDetector(gate)
    got: dict[int, Detections | None] = {}

    def look(number: int) -> None:
        got[number] = None
        got[number] = shared.detect(frame(number, sensor_id=f"camera-{number}"))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    threads[0].start()
    assert gate.entered.wait(WAIT_S)
    for thread in threads[1:]:
        thread.start()
    while len(shared._waiting) < 3:
        threads[1].join(0.01)
    gate.open.set()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    return got


def test_frames_that_come_while_a_batch_runs_share_the_next_one() -> None:
    gate = Gate()
    got = together(gate)
    assert [len(batch) for batch in gate.batches] == [1, 3]
    assert {number: found and (found.sensor_id, found.sequence) for number, found in got.items()} == {
        number: (f"camera-{number}", number) for number in range(4)
    }


def test_a_fault_in_a_batch_is_one_cameras_and_the_others_are_served() -> None:
    faults: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, faults.append
    try:
        got = together(Gate(fail_at=0))
    finally:
        threading.excepthook = before
    assert len(faults) == 1
    assert [number for number, found in got.items() if found is None] == [0]


def test_the_monitor_begins_a_crashed_camera_again_until_it_crashes_too_often() -> None:
    faults: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, faults.append
    clock = Clock()
    bus, live = Bus(clock.now_ns), LiveState(("a",))
    told = bus.subscribe("test", capacity=1000, full=Full.REFUSE_NEWEST, prefixes=("sensor.",))
    camera = Camera(
        "a",
        Script("a", [replace(frame(number), sequence=0) for number in range(100)]),
        lambda: OwnDetector(BrightPixels(fail_at=0)),
        OneTrack,
        first_id=1,
        live=live,
        bus=bus,
        clock=clock,
    )
    try:
        camera.start()
        monitor = Monitor([camera], live, bus, clock)
        for _ in range(10):
            camera.join(WAIT_S)
            monitor.look()
    finally:
        threading.excepthook = before
    assert len(faults) == 1 + RESTARTS
    states = [each.message.state for each in told.take(0) if isinstance(each.message, SensorHealth)]
    assert (states[0], states[-1]) == (SensorState.DOWN, SensorState.FAILED)
