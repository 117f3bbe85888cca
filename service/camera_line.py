"""What happens to a camera's frames: detector → tracker → live state and bus. No thread of its own, so that what runs
live and what is simulated faster than time are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from fusion.types import Scan
from models.types import Detections, Frame
from service.bus import Publisher
from service.clock import Clock
from service.live import LiveState
from service.stage import TrackerFold, TrackerStage
from service.types import CameraUpdate, StageTimes, TracksEnded
from service.watchdog import Stillness

SILENCE_NS = 2_000_000_000  # without a frame for so long, nothing may be shown as live


class FrameDetector(Protocol):
    """A detector as one camera sees it: its own, or its share of one that serves many."""

    def detect(self, frame: Frame) -> Detections: ...

    def forget(self, sensor_id: str) -> None: ...


class CameraLine:
    """Finds, follows, publishes.

    Args:
        make_tracker: given the first id that was never used.
        first_id: the first id of a new track, from the store.
        measure: what a camera whose place is known tells the site of each frame.
    """

    def __init__(
        self,
        sensor_id: str,
        make_tracker: Callable[[int], TrackerFold],
        *,
        first_id: int,
        live: LiveState,
        bus: Publisher,
        clock: Clock,
        measure: Callable[[CameraUpdate], Scan] | None = None,
    ) -> None:
        self.sensor_id = sensor_id
        self.processed = 0
        self.dropped: Counter[str] = Counter()
        self._stillness = Stillness()
        self._subject = f"camera.{sensor_id}"
        self._tracker = TrackerStage(make_tracker, first_id)
        self._live = live
        self._bus = bus
        self._clock = clock
        self._measure = measure
        self._last_ns: int | None = None  # when the last frame was done; None: nothing to go on from

    def process(self, frame: Frame, detector: FrameDetector) -> None:
        """One frame, from detecting to publishing. One that shows nothing new is left out, as if it had not come."""
        if reason := self._stillness.see(frame.pixels, self._clock.monotonic_ns()):
            self.dropped[reason] += 1
            self.wait(detector)
            return
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

    @property
    def frozen_ns(self) -> int:
        """For how long the picture has been standing still though frames come; 0 while it does not."""
        return self._stillness.frozen_ns

    def wait(self, detector: FrameDetector) -> None:
        """There is no frame now. After `SILENCE_NS` of that, what was followed is no more."""
        if self._last_ns is not None and self._clock.monotonic_ns() - self._last_ns > SILENCE_NS:
            self.forget(detector)

    def forget(self, detector: FrameDetector) -> None:
        """End all tracks, say so, and go on with a detector and a tracker that know nothing."""
        self._last_ns = None
        detector.forget(self.sensor_id)
        ended = self._tracker.end()
        if ended:
            self._bus.publish(self._subject, TracksEnded(self.sensor_id, self._clock.now_ns(), ended))
