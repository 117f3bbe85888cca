"""One camera's line: capture → detector → tracker → live state and bus, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from models.types import Detections, Frame
from service.bus import Bus
from service.clock import Clock
from service.live import LiveState
from service.stage import Fold, Stage
from service.types import CameraUpdate, SensorHealth, SensorState, StageTimes, TracksEnded
from tracking.types import ImageTracks

POLL_S = 0.25  # longest wait for a frame before looking whether to stop
SILENCE_NS = 2_000_000_000  # without a frame for so long, nothing may be shown as live


class FrameSource(Protocol):
    """What `service.capture.Capture` is to its camera."""

    @property
    def ended(self) -> bool: ...

    def start(self) -> None: ...

    def next(self, timeout_s: float) -> Frame | None: ...

    def health(self) -> SensorHealth: ...

    def stop(self) -> None: ...


class FrameDetector(Protocol):
    """A detector as one camera sees it: its own, or its share of one that serves many."""

    def detect(self, frame: Frame) -> Detections: ...

    def forget(self, sensor_id: str) -> None: ...


class Follower:
    """The tracker of one camera, and which ids it has given: none is used again, not by its successor either."""

    def __init__(
        self,
        make_tracker: Callable[[int], Fold[Detections, ImageTracks]],
        first_id: int,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._next_id = first_id
        self._alive: tuple[int, ...] = ()
        self._stage = Stage(lambda: make_tracker(self._next_id), monotonic_ns)

    @property
    def elapsed_ns(self) -> int:
        """Duration of the last step."""
        return self._stage.elapsed_ns

    def step(self, detections: Detections) -> ImageTracks:
        tracks = self._stage.step(detections)
        self._alive = tuple(track.track_id for track in tracks.tracks)
        self._next_id = max((self._next_id, *(track_id + 1 for track_id in self._alive)))
        return tracks

    def end(self) -> tuple[int, ...]:
        """End all tracks and begin anew; the ids that ended."""
        ended, self._alive = self._alive, ()
        self._stage.renew()
        return ended


class Camera:
    """Takes the newest frame, finds, follows, publishes; again and again until stopped or the source ends.

    The thread ends early only by a fault in the program. `crashed` then says so and `start` begins again with a fresh
    detector and tracker; other cameras have other threads and never notice.

    Args:
        make_detector: called for each start.
        make_tracker: given the first id that was never used.
        first_id: the first id of a new track, from the store.
    """

    def __init__(
        self,
        sensor_id: str,
        capture: FrameSource,
        make_detector: Callable[[], FrameDetector],
        make_tracker: Callable[[int], Fold[Detections, ImageTracks]],
        *,
        first_id: int,
        live: LiveState,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self.sensor_id = sensor_id
        self.processed = 0
        self._subject = f"camera.{sensor_id}"
        self._capture = capture
        self._make_detector = make_detector
        self._follower = Follower(make_tracker, first_id, clock.monotonic_ns)
        self._live = live
        self._bus = bus
        self._clock = clock
        self._size: tuple[int, ...] | None = None  # of the last picture; None: no world to go on from
        self._last_ns = 0
        self._stopping = threading.Event()
        self._finished = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or begin again after a crash."""
        if self._thread is None:
            self._capture.start()
        self._thread = threading.Thread(target=self._run, name=f"camera-{self.sensor_id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the line to end; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until the last frame is published, then stop the capture. False: not done in time."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._capture.stop()
        return self._thread is None or not self._thread.is_alive()

    @property
    def crashed(self) -> bool:
        return self._thread is not None and not self._thread.is_alive() and not self._finished

    def health(self) -> SensorHealth:
        health = replace(self._capture.health(), processed=self.processed)
        if self.crashed:
            return replace(health, state=SensorState.DOWN, reason="the program failed on its picture; see the log")
        return health

    def _run(self) -> None:
        detector = self._make_detector()
        self._forget(detector)
        while not self._stopping.is_set() and not self._capture.ended:
            frame = self._capture.next(POLL_S)
            if frame is not None:
                self._process(frame, detector)
            elif self._silent():
                self._forget(detector)
        self._forget(detector)
        self._finished = True

    def _process(self, frame: Frame, detector: FrameDetector) -> None:
        taken_ns = self._clock.monotonic_ns()
        queued_ns = max(0, self._clock.now_ns() - frame.received_ns) if frame.received_ns else 0
        if self._size != frame.pixels.shape[:2]:  # pixels of one picture size mean nothing in another
            self._forget(detector)
        detections = detector.detect(frame)
        detect_ns = self._clock.monotonic_ns() - taken_ns
        tracks = self._follower.step(detections)
        times = StageTimes(
            frame.time_ns, frame.received_ns, queued_ns, detect_ns, self._follower.elapsed_ns, self._clock.now_ns()
        )
        self._publish(frame, CameraUpdate(detections, tracks, times))

    def _publish(self, frame: Frame, update: CameraUpdate) -> None:
        self._live.put(frame, update)
        self._bus.publish(self._subject, update)
        self.processed += 1
        self._size = frame.pixels.shape[:2]
        self._last_ns = self._clock.monotonic_ns()

    def _silent(self) -> bool:
        return self._size is not None and self._clock.monotonic_ns() - self._last_ns > SILENCE_NS

    def _forget(self, detector: FrameDetector) -> None:
        """End all tracks, say so, and go on with a detector and a tracker that know nothing."""
        self._size = None
        detector.forget(self.sensor_id)
        ended = self._follower.end()
        if ended:
            self._bus.publish(self._subject, TracksEnded(self.sensor_id, self._clock.now_ns(), ended))
