"""When was this picture taken? Pure arithmetic: every time comes in as an argument.

A recording counts from its own start. A live stream has three clocks: the stream's own (presentation time, steady but
with an unknown zero), the sender's UTC (RTCP sender reports, RFC 3550 section 6.4.1, a few seconds after the start)
and our arrival time (late and jittered by the network). The stream's clock is kept and its zero is learned from the
best of the other two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from models.types import TimeSource

SECOND_NS = 1_000_000_000
RTCP_SIGMA_NS = 5_000_000  # measured standard deviation 2.5 ms, and the exposure is not known better
WINDOW_NS = 20 * SECOND_NS  # long enough to meet one undelayed packet, short enough for a drifting camera clock
JUMP_NS = 2 * SECOND_NS  # the stream's clock began anew


@dataclass(frozen=True, slots=True)
class Stamp:
    """Mid-exposure as UTC nanoseconds, where it comes from, and its standard deviation."""

    time_ns: int
    source: TimeSource
    sigma_ns: int


class RecordedTime:
    """Times of a recording: exact, counted from `start_ns`, always rising.

    Args:
        start_ns: time of the first picture, UTC nanoseconds.
        period_ns: between pictures where the file gives no presentation times.
    """

    def __init__(self, start_ns: int, period_ns: int) -> None:
        self._start_ns = start_ns
        self._period_ns = period_ns
        self._first_ns: int | None = None
        self._last_ns: int | None = None

    def stamp(self, presentation_ns: int | None) -> Stamp:
        time_ns = self._next_ns(presentation_ns)
        self._last_ns = time_ns
        return Stamp(time_ns, "pts", 0)

    def _next_ns(self, presentation_ns: int | None) -> int:
        if presentation_ns is not None and self._first_ns is None and self._last_ns is None:
            self._first_ns = presentation_ns
        if presentation_ns is not None and self._first_ns is not None:
            time_ns = self._start_ns + presentation_ns - self._first_ns
            if self._last_ns is None or time_ns > self._last_ns:
                return time_ns
        return self._start_ns if self._last_ns is None else self._last_ns + self._period_ns


class LiveTime:
    """Times of a live stream, always rising; a corrected zero is approached, never jumped back to.

    Args:
        latency_ns, latency_sigma_ns: from exposure to arrival, where the sender does not say its UTC.
        tolerance_ns: a sender whose UTC is further from ours than this is not believed.
    """

    def __init__(self, latency_ns: int, latency_sigma_ns: int, tolerance_ns: int) -> None:
        self._latency_ns = latency_ns
        self._latency_sigma_ns = latency_sigma_ns
        self._tolerance_ns = tolerance_ns
        self._arrival = _LeastDelay(WINDOW_NS)
        self._heard = False
        self._sender_zero_ns: int | None = None
        self._last: tuple[int, int] | None = None  # presentation and given time of the last picture
        self.clock_error_ns: int | None = None  #: sender's UTC less ours, while it is too far off to be believed

    def observe(self, presentation_ns: int, arrival_ns: int, sender_ns: int | None) -> None:
        """Learn from a packet: when it is to be shown, when it came, and the UTC its sender gives it."""
        self._arrival.add(presentation_ns, arrival_ns)
        if sender_ns is not None:
            self._hear(sender_ns - presentation_ns)
        elif self._sender_zero_ns is not None and not self._plausible(self._sender_zero_ns):
            self._sender_zero_ns = None  # the stream's clock began anew

    def _hear(self, zero_ns: int) -> None:
        if not self._heard:  # FFmpeg gives the first packet that has a time that of the next one (measured)
            self._heard = True
            return
        believed = self._plausible(zero_ns)
        self._sender_zero_ns = zero_ns if believed else None
        self.clock_error_ns = None if believed else zero_ns - self._arrival_zero_ns()

    def _plausible(self, zero_ns: int) -> bool:
        return abs(zero_ns - self._arrival_zero_ns()) <= self._tolerance_ns

    def _arrival_zero_ns(self) -> int:
        return self._arrival.zero_ns - self._latency_ns

    def stamp(self, presentation_ns: int | None, arrival_ns: int) -> Stamp:
        """Time of a picture; one without presentation time counts as shown when it came."""
        if presentation_ns is None or not self._arrival:
            estimate = Stamp(arrival_ns - self._latency_ns, "arrival", self._latency_sigma_ns)
            return self._rising(estimate, arrival_ns)
        return self._rising(self._estimate(presentation_ns), presentation_ns)

    def _estimate(self, presentation_ns: int) -> Stamp:
        if self._sender_zero_ns is not None:
            return Stamp(self._sender_zero_ns + presentation_ns, "rtcp", RTCP_SIGMA_NS)
        return Stamp(self._arrival_zero_ns() + presentation_ns, "arrival", self._latency_sigma_ns)

    def _rising(self, estimate: Stamp, presentation_ns: int) -> Stamp:
        """Where the estimate went back, go on at half pace until it is reached; the distance is part of sigma."""
        time_ns = estimate.time_ns
        if self._last is not None:
            step_ns = presentation_ns - self._last[0]
            time_ns = max(time_ns, self._last[1] + (step_ns // 2 if 1 < step_ns <= JUMP_NS else 1))
        self._last = (presentation_ns, time_ns)
        return Stamp(time_ns, estimate.source, max(estimate.sigma_ns, time_ns - estimate.time_ns))


class _LeastDelay:
    """Zero of the stream's clock in ours, from the packet that was delayed least within the last `window_ns`."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._least: deque[tuple[int, int]] = deque()  # (arrival, zero), zeros rising: a sliding minimum

    def __bool__(self) -> bool:
        return bool(self._least)

    @property
    def zero_ns(self) -> int:
        return self._least[0][1]

    def add(self, presentation_ns: int, arrival_ns: int) -> None:
        zero_ns = arrival_ns - presentation_ns
        if self._least and abs(zero_ns - self._least[0][1]) > JUMP_NS:
            self._least.clear()
        while self._least and self._least[-1][1] >= zero_ns:
            self._least.pop()
        self._least.append((arrival_ns, zero_ns))
        while arrival_ns - self._least[0][0] > self._window_ns:
            self._least.popleft()
