"""A recording or a simulated scene, played by a thread: at its own pace, or as fast as it is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from fusion.sensors.camera.source import SourceError
from models.types import Frame
from service.clock import Clock
from service.handoff import Handoff
from service.types import SensorHealth, SensorState
from service.watchdog import SECOND_NS, Arrival, Tally

#: Frames of one pass through a recording. Given the UTC of its first frame; None: the recording's own times.
OpenFrames = Callable[[int | None], Iterable[Frame]]

AHEAD = 4  # frames decoded ahead of an unpaced reader
PERIOD_NS = SECOND_NS // 30  # of a recording that is one single picture
LATE_NS = 2 * SECOND_NS  # further behind, a recording is played slower rather than shown as the past
HELD_S = 1.0  # a person who stops the service waits no longer than this for the decoder


class PlayedFeed:
    """Frames of a recording.

    Paced, a frame is handed over when it is due, as from a camera: the newest wins and its time is now. Unpaced, every
    frame is handed over and keeps the recording's own time.

    Args:
        loop: begin again at the end; only when paced.
    """

    def __init__(self, sensor_id: str, open_frames: OpenFrames, clock: Clock, *, paced: bool, loop: bool) -> None:
        self._open_frames = open_frames
        self._clock = clock
        self._paced = paced
        self._loop = loop and paced
        self._handoff: Handoff[Frame] = Handoff() if paced else Handoff(keep_all=True, capacity=AHEAD)
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of the tally and the state
        self._tally = Tally(sensor_id)
        self._state, self._reason = SensorState.STARTING, ""
        self._sequence = 0
        self._thread = threading.Thread(target=self._run, name=f"capture-{sensor_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self, timeout_s: float) -> Frame | None:
        return self._handoff.take(timeout_s)

    @property
    def ended(self) -> bool:
        return self._handoff.finished

    def health(self) -> SensorHealth:
        with self._lock:
            return self._tally.health(self._state, self._reason, self._clock.monotonic_ns())

    def stop(self) -> None:
        self._stopping.set()
        self._handoff.close()
        if self._thread.is_alive():
            self._thread.join(HELD_S)

    def _run(self) -> None:
        state, reason = SensorState.FAILED, "the program failed on it; see the log"
        try:
            self._play_all()
            state, reason = SensorState.ENDED, "the recording is over"
        except SourceError as error:
            reason = str(error)
        finally:
            self._become(state, reason)
            self._handoff.close()

    def _play_all(self) -> None:
        self._play_once()
        while self._loop and not self._stopping.is_set():
            self._play_once()

    def _play_once(self) -> None:
        pace = _Pace(self._clock.now_ns(), self._clock.monotonic_ns()) if self._paced else None
        for frame in self._open_frames(pace.start_ns if pace else None):
            if pace is not None:
                frame = pace.place(frame, self._clock.monotonic_ns())
                self._wait_until(pace.due_ns)
            if self._stopping.is_set():
                return
            self._hand_over(frame)
        if pace is not None:  # the last frame has its time too, before the end or the next beginning
            self._wait_until(pace.due_ns + pace.period_ns)

    def _wait_until(self, due_ns: int) -> None:
        wait_ns = due_ns - self._clock.monotonic_ns()
        if wait_ns > 0:
            self._clock.wait(self._stopping, wait_ns / SECOND_NS)

    def _hand_over(self, frame: Frame) -> None:
        received_ns = self._clock.now_ns() if self._paced else 0
        frame = replace(frame, sequence=self._sequence, received_ns=received_ns)
        self._sequence += 1
        with self._lock:
            self._tally.frame(Arrival(frame.time_ns, frame.time_source), self._clock.monotonic_ns())
            self._state = SensorState.ONLINE
        overtaken = self._handoff.put(frame)
        if overtaken is not None and not self._stopping.is_set():
            with self._lock:
                self._tally.dropped["overtaken"] += 1

    def _become(self, state: SensorState, reason: str) -> None:
        with self._lock:
            self._state, self._reason = state, reason


class _Pace:
    """When each frame of one pass is due, and the time it then carries.

    Args:
        start_ns: UTC of the first frame.
        began_ns: the same instant on the monotonic clock.
    """

    def __init__(self, start_ns: int, began_ns: int) -> None:
        self.start_ns = start_ns
        self.due_ns, self.period_ns = began_ns, PERIOD_NS
        self._began_ns = began_ns
        self._slipped_ns = 0  # by how much a machine that is too slow has played slower

    def place(self, frame: Frame, now_ns: int) -> Frame:
        """Set `due_ns` and `period_ns` for a frame that is ready at `now_ns`; the frame with its time."""
        last_ns, due_ns = self.due_ns, self._began_ns + self._slipped_ns + frame.time_ns - self.start_ns
        late_ns = now_ns - due_ns
        if late_ns > LATE_NS:
            self._slipped_ns += late_ns
            due_ns = now_ns
        self.due_ns, self.period_ns = due_ns, due_ns - last_ns or PERIOD_NS
        return replace(frame, time_ns=frame.time_ns + self._slipped_ns) if self._slipped_ns else frame
