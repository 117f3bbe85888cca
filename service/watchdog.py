"""What is known of a source and what that makes of it: pure, every instant is an argument.

Instants are nanoseconds of the monotonic clock, so that a step of the wall clock changes no state.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.types import TimeSource
from service.types import SensorHealth, SensorState

SECOND_NS = 1_000_000_000
STALE_NS = SECOND_NS  # no frame for so long: late (three periods for a camera slower than 3 fps)
STALL_NS = 5 * SECOND_NS  # … : the connection is given up and made anew
DOWN_NS = 10 * SECOND_NS  # … : lost
FIRST_FRAME_NS = 7 * SECOND_NS  # after the time allowed for opening: the wait for a key frame
START_NS = 30 * SECOND_NS  # for a process to start, on a machine that is very busy
FROZEN_NS = 5 * SECOND_NS  # the same picture for so long
STILL_NS, STILL_REPEATS = SECOND_NS // 4, 3  # repeated for so long and so often, a picture stands still
LIVE_AGAIN = 3  # different pictures after that: an encoder draws a still picture anew now and then
STEADY_NS = 2 * SECOND_NS  # a connection that held for so long counts as recovered
RATE_WINDOW_NS = 2 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Arrival:
    """What there is to know of a frame besides its pixels; `picture` is equal for equal pictures."""

    time_ns: int
    time_source: TimeSource
    picture: int = 0


class Tally:
    """Counts what a source delivered."""

    def __init__(self, sensor_id: str) -> None:
        self.sensor_id = sensor_id
        self.frames_in = 0
        self.dropped: Counter[str] = Counter()
        self._last: Arrival | None = None
        self._recent: deque[int] = deque()

    def frame(self, arrival: Arrival, now_ns: int, *, of: int = 1) -> None:
        """One frame came; `of` counts it and those that were lost before it."""
        self.frames_in += of
        self._last = arrival
        self._recent.append(now_ns)
        self._forget(now_ns)

    def fps(self, now_ns: int) -> float:
        """Frames per second over the last two seconds."""
        self._forget(now_ns)
        if len(self._recent) < 2:
            return 0.0
        span_ns = max(now_ns - self._recent[0], RATE_WINDOW_NS // 4)  # a burst after silence is no rate
        return (len(self._recent) - 1) * SECOND_NS / span_ns

    def health(self, state: SensorState, reason: str, now_ns: int, reconnects: int = 0) -> SensorHealth:
        return SensorHealth(
            self.sensor_id,
            state,
            reason,
            fps=round(self.fps(now_ns), 2),
            frames_in=self.frames_in,
            dropped={reason: count for reason, count in sorted(self.dropped.items()) if count},
            time_source=self._last.time_source if self._last else "arrival",
            last_frame_ns=self._last.time_ns if self._last else 0,
            reconnects=reconnects,
        )

    def _forget(self, now_ns: int) -> None:
        while self._recent and now_ns - self._recent[0] > RATE_WINDOW_NS:
            self._recent.popleft()


class LiveStatus:
    """State of a live source, and when its connection is to be given up.

    Args:
        open_ns: how long opening may take.
        now_ns: when the source was started.
        what: it gives, in words.
    """

    def __init__(self, sensor_id: str, open_ns: int, now_ns: int, what: str = "picture") -> None:
        self._what = what
        self.tally = Tally(sensor_id)
        self.reconnects = 0
        self.clock_error_ns: int | None = None
        self._first_frame_ns = open_ns + FIRST_FRAME_NS
        self._deadline_ns = now_ns + START_NS  # of this connection's first frame
        self._sessions = 0
        self._lost = ""  # why there is no connection, empty while there is one
        self._first_ns: int | None = None  # of this connection
        self._last_ns: int | None = None
        self._period_ns = 0
        self._picture = 0
        self._same_since_ns = now_ns

    def connect(self, now_ns: int) -> None:
        """A connection is being made. What was wrong stays said until a frame comes."""
        self.reconnects = self._sessions
        self._sessions += 1
        self._deadline_ns = now_ns + START_NS
        self._first_ns = None

    def open(self, now_ns: int) -> None:
        """The process is up and calls the camera."""
        self._deadline_ns = now_ns + self._first_frame_ns

    def frame(self, arrival: Arrival, now_ns: int, *, of: int = 1) -> None:
        self.tally.frame(arrival, now_ns, of=of)
        if self._first_ns is None:
            self._first_ns = now_ns
        elif self._last_ns is not None:
            self._period_ns += (now_ns - self._last_ns - self._period_ns) // 8
        if arrival.picture != self._picture or self._lost:
            self._picture, self._same_since_ns = arrival.picture, now_ns
        self._last_ns = now_ns
        self._lost = ""

    def lose(self, reason: str) -> None:
        """The connection is over."""
        self._lost = reason

    def steady(self, now_ns: int) -> bool:
        """This connection has delivered for a while."""
        return self._first_ns is not None and now_ns - self._first_ns >= STEADY_NS

    def stalled(self, now_ns: int) -> str:
        """Why this connection is to be given up; empty while it is not."""
        if self._first_ns is None or self._last_ns is None:
            return f"no {self._what} in time" if now_ns > self._deadline_ns else ""
        silent_ns = now_ns - self._last_ns
        return f"no {self._what} for {_seconds(silent_ns)}" if silent_ns > max(STALL_NS, 5 * self._period_ns) else ""

    def health(self, now_ns: int) -> SensorHealth:
        state, reason = self._state(now_ns)
        return self.tally.health(state, reason, now_ns, self.reconnects)

    def _state(self, now_ns: int) -> tuple[SensorState, str]:
        if self._lost:
            return SensorState.DOWN, f"{self._lost}; trying again"
        if self._last_ns is None:
            return SensorState.STARTING, ""
        silent_ns = now_ns - self._last_ns
        if silent_ns > DOWN_NS:
            return SensorState.DOWN, f"no {self._what} for {_seconds(silent_ns)}"
        if silent_ns > max(STALE_NS, 3 * self._period_ns):
            return SensorState.STALE, f"no {self._what} for {_seconds(silent_ns)}"
        if now_ns - self._same_since_ns >= FROZEN_NS:
            return SensorState.FROZEN, f"the same {self._what} for {_seconds(now_ns - self._same_since_ns)}"
        return SensorState.ONLINE, self._clock_words()

    def _clock_words(self) -> str:
        if self.clock_error_ns is None:
            return ""
        side = "ahead" if self.clock_error_ns > 0 else "behind"
        return f"its clock is {_seconds(abs(self.clock_error_ns))} {side} of ours, so frames are timed by arrival"


class Stillness:
    """Which frames of a camera are no news, because the picture before comes again.

    A thermal camera repeats its picture while its shutter is shut to calibrate, half a second or two every few minutes;
    an encoder or a converter that hangs does it for ever; one that makes 30 frames of 9 repeats two of three. What
    counts is equality bit for bit: of the recordings of `val` no frame equals the one before, so hardly anything live
    is left out. An encoder that keeps refining a still picture hides it, and one that has no bits for a quarter of
    a second looks frozen (figures: docs/robustness.md).
    """

    def __init__(self) -> None:
        self._pixels: NDArray[np.uint8] | None = None
        self._run_ns = 0  # when this picture came first
        self._repeats = 0
        self._frozen_ns: int | None = None  # when the first of those that stand still came
        self._changes = 0  # since a picture last stood still
        self._now_ns = 0

    def see(self, pixels: NDArray[np.uint8], now_ns: int) -> str:
        """Why a frame is left out, `repeated` or `frozen`; empty for a new picture. It keeps the pixels."""
        repeated = self._pixels is not None and _same(pixels, self._pixels)
        self._pixels, self._now_ns = pixels, now_ns
        if repeated:
            self._repeat()
        else:
            self._change()
        return "frozen" if self._frozen_ns is not None else "repeated" if repeated else ""

    @property
    def frozen_ns(self) -> int:
        """For how long the picture has been standing still; 0 while it does not."""
        return 0 if self._frozen_ns is None else self._now_ns - self._frozen_ns

    def _repeat(self) -> None:
        self._repeats += 1
        if self._repeats >= STILL_REPEATS and self._now_ns - self._run_ns >= STILL_NS:
            self._changes = 0
            if self._frozen_ns is None:
                self._frozen_ns = self._run_ns

    def _change(self) -> None:
        self._run_ns, self._repeats = self._now_ns, 0
        self._changes += 1
        if self._changes >= LIVE_AGAIN:
            self._frozen_ns = None


def _same(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """A few rows tell almost always."""
    return np.array_equal(a[::64], b[::64]) and np.array_equal(a, b)


class Backoff:
    """Seconds to wait before the next try: 0.5 doubling to 30, each ±20 %, so that cameras do not come in step."""

    FIRST_S = 0.5
    LONGEST_S = 30.0

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._base_s = self.FIRST_S

    def next_s(self) -> float:
        base_s, self._base_s = self._base_s, min(2 * self._base_s, self.LONGEST_S)
        return base_s * self._random.uniform(0.8, 1.2)

    def reset(self) -> None:
        self._base_s = self.FIRST_S


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / SECOND_NS:.0f} s"
