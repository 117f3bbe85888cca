"""One camera's line: capture → detector → tracker → live state and bus, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fusion.types import Scan
from models.types import Detections, Frame
from service.bus import Bus
from service.clock import Clock
from service.live import LiveState
from service.stage import TrackerFold, TrackerStage
from service.types import CameraUpdate, SensorHealth, SensorState, StageTimes, TracksEnded

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


class Camera:
    """Takes the newest frame, finds, follows, publishes; again and again until stopped or the source ends.

    The thread ends early only by a fault in the program. `crashed` then says so and `start` begins again with a fresh
    detector and tracker; other cameras have other threads and never notice.

    Args:
        make_detector: called for each start.
        make_tracker: given the first id that was never used.
        first_id: the first id of a new track, from the store.
        measure: what a camera whose place is known tells the site of each frame.
    """

    def __init__(
        self,
        sensor_id: str,
        capture: FrameSource,
        make_detector: Callable[[], FrameDetector],
        make_tracker: Callable[[int], TrackerFold],
        *,
        first_id: int,
        live: LiveState,
        bus: Bus,
        clock: Clock,
        measure: Callable[[CameraUpdate], Scan] | None = None,
    ) -> None:
        self.sensor_id = sensor_id
        self.processed = 0
        self._subject = f"camera.{sensor_id}"
        self._capture = capture
        self._make_detector = make_detector
        self._tracker = TrackerStage(make_tracker, first_id)
        self._live = live
        self._bus = bus
        self._clock = clock
        self._measure = measure
        self._last_ns: int | None = None  # when the last frame was done; None: nothing to go on from
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
        queued_ns = max(0, self._clock.now_ns() - frame.received_ns) if frame.received_ns else 0
        taken_ns = self._clock.monotonic_ns()
        detections = detector.detect(frame)
        detected_ns = self._clock.monotonic_ns()
        tracks = self._tracker.step(detections)
        tracked_ns = self._last_ns = self._clock.monotonic_ns()
        times = StageTimes(
            captured_ns=frame.time_ns,
            received_ns=frame.received_ns,
            queued_ns=queued_ns,
            detect_ns=detected_ns - taken_ns,
            track_ns=tracked_ns - detected_ns,
            published_ns=self._clock.now_ns(),
        )
        update = CameraUpdate(detections, tracks, times)
        self._live.put(frame, update)  # first, so that who reads the update finds its picture
        self._bus.publish(self._subject, update)
        if self._measure is not None:
            self._bus.publish(f"scan.{self.sensor_id}", self._measure(update))
        self.processed += 1

    def _silent(self) -> bool:
        return self._last_ns is not None and self._clock.monotonic_ns() - self._last_ns > SILENCE_NS

    def _forget(self, detector: FrameDetector) -> None:
        """End all tracks, say so, and go on with a detector and a tracker that know nothing."""
        self._last_ns = None
        detector.forget(self.sensor_id)
        ended = self._tracker.end()
        if ended:
            self._bus.publish(self._subject, TracksEnded(self.sensor_id, self._clock.now_ns(), ended))
