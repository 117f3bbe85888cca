"""One camera: capture → line (detector → tracker → live state and bus), in a thread of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fusion.types import Scan
from models.types import Frame
from service.bus import Publisher
from service.camera_line import CameraLine, FrameDetector
from service.clock import Clock
from service.live import LiveState
from service.stage import TrackerFold
from service.types import CameraUpdate, SensorHealth, SensorState
from service.watchdog import SECOND_NS

POLL_S = 0.25  # longest wait for a frame before looking whether to stop


class FrameSource(Protocol):
    """What `service.capture.Capture` is to its camera."""

    @property
    def ended(self) -> bool: ...

    def start(self) -> None: ...

    def next(self, timeout_s: float) -> Frame | None: ...

    def health(self) -> SensorHealth: ...

    def stop(self) -> None: ...


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
        bus: Publisher,
        clock: Clock,
        measure: Callable[[CameraUpdate], Scan] | None = None,
    ) -> None:
        self.sensor_id = sensor_id
        self._capture = capture
        self._make_detector = make_detector
        self._line = CameraLine(
            sensor_id, make_tracker, first_id=first_id, live=live, bus=bus, clock=clock, measure=measure
        )
        self._stopping = threading.Event()
        self._finished = False
        self._thread: threading.Thread | None = None

    @property
    def processed(self) -> int:
        """Frames so far."""
        return self._line.processed

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
        health = self._capture.health()
        dropped = Counter(health.dropped) + self._line.dropped
        health = replace(health, processed=self.processed, dropped=dict(sorted(dropped.items())))
        if self.crashed:
            return replace(health, state=SensorState.DOWN, reason="the program failed on its picture; see the log")
        frozen_s = self._line.frozen_ns / SECOND_NS
        if frozen_s and health.state in (SensorState.ONLINE, SensorState.FROZEN):
            reason = f"the same picture for {frozen_s:.1f} s; nothing is followed in it"
            return replace(health, state=SensorState.FROZEN, reason=reason)
        return health

    def _run(self) -> None:
        detector = self._make_detector()
        self._line.forget(detector)
        while not self._stopping.is_set() and not self._capture.ended:
            frame = self._capture.next(POLL_S)
            if frame is not None:
                self._line.process(frame, detector)
            else:
                self._line.wait(detector)
        self._line.forget(detector)
        self._finished = True
