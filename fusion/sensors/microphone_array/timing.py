"""When was this sample captured? A straight line through block arrivals; pure arithmetic, every time comes in.

A sample's number says when it was captured by the array's own clock, an arrival says when it came by ours, late by a
delay that is never negative. So the samples' times lie on the line below all arrivals that is nearest to them: the edge
of their lower convex hull over the middle (Moon, Skelly and Towsley, "Estimation and removal of clock skew from network
delay measurements", INFOCOM 1999). Its slope is the drift of the array's clock; what lies above it is jitter.
"""

from __future__ import annotations

from collections import deque

SECOND_NS = 1_000_000_000
KEPT_S = 60  # long enough for the drift, short enough for a clock that warms up
DRIFT_AFTER_S = 10.0  # before, the slope says more of the jitter than of the clock
MOST_DRIFT = 500e-6  # quartz is ten times better
GAP_S = 0.02  # blocks that all come so much later than the line have lost samples before them
GAP_SURE_S = 1.0  # for as long; a network that stalls catches up
GAP_BLOCKS = 3
WRONG_RATE = 0.02  # a rate so far from the stated one is another rate

Point = tuple[float, float]


class SampleClock:
    """Capture times of one stream of samples, numbered from its start.

    Args:
        rate_hz: as stated.
        latency_ns: from capture to the earliest possible arrival.

    Attributes:
        jitter_ns: how late the newest block was.
    """

    def __init__(self, rate_hz: float, latency_ns: int = 0) -> None:
        self.rate_hz = rate_hz
        self.jitter_ns = 0
        self._latency_ns = latency_ns
        self._zero_ns: int | None = None  # arrival of the first block: the zero of seconds
        self._zero = 0
        self._least: deque[Point] = deque(maxlen=KEPT_S)  # of each second the block that was delayed least
        self._late: deque[Point] = deque()  # of the newest second: when, how late
        self._seconds: deque[tuple[int, int]] = deque(maxlen=int(DRIFT_AFTER_S) + 1)  # end and arrival, one a second
        self._offset_s, self._slope = 0.0, 0.0
        self._missed = 0  # samples so far

    def observe(self, end: int, arrival_ns: int) -> int:
        """Learn from a block that ends before sample number `end`. Samples that are missing before it, mostly 0:
        numbers from here on are to be that much higher."""
        if self._zero_ns is None:
            self._zero_ns, self._zero = arrival_ns, end
        nominal_s = (end - self._zero) / self.rate_hz
        delay_s = (arrival_ns - self._zero_ns) / SECOND_NS - nominal_s
        self._count(end, arrival_ns)
        self._learn(nominal_s, delay_s)
        late_s = delay_s - self._line(nominal_s)
        self.jitter_ns = round(late_s * SECOND_NS)
        return self._missing(nominal_s, late_s)

    def time_ns(self, sample: int) -> int:
        """UTC of a sample's capture.

        Raises:
            ValueError: nothing was observed yet.
        """
        if self._zero_ns is None:
            raise ValueError("no block was observed")
        nominal_s = (sample - self._zero) / self.rate_hz
        return self._zero_ns + round((nominal_s + self._line(nominal_s)) * SECOND_NS) - self._latency_ns

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than ours the array's clock runs, parts per million; None until it is known."""
        return None if self._span_s() < DRIFT_AFTER_S else -1e6 * self._slope

    @property
    def measured_rate_hz(self) -> float | None:
        """Samples that come a second, where that is far from what was stated; else None."""
        if len(self._seconds) <= DRIFT_AFTER_S:
            return None
        (first, first_ns), (last, last_ns) = self._seconds[0], self._seconds[-1]
        rate_hz = (last - first) * SECOND_NS / (last_ns - first_ns)
        return rate_hz if abs(rate_hz / self.rate_hz - 1.0) > WRONG_RATE else None

    def _count(self, end: int, arrival_ns: int) -> None:
        if not self._seconds or arrival_ns - self._seconds[-1][1] >= SECOND_NS:
            self._seconds.append((end - self._missed, arrival_ns))

    def _learn(self, nominal_s: float, delay_s: float) -> None:
        if not self._least or int(nominal_s) > int(self._least[-1][0]):
            self._least.append((nominal_s, delay_s))
        elif delay_s < self._least[-1][1]:
            self._least[-1] = (nominal_s, delay_s)
        else:
            return
        if self._span_s() >= DRIFT_AFTER_S:
            self._slope = min(max(slope_below(list(self._least)), -MOST_DRIFT), MOST_DRIFT)
        self._offset_s = min(delay - self._slope * when for when, delay in self._least)

    def _line(self, nominal_s: float) -> float:
        return self._offset_s + self._slope * nominal_s

    def _span_s(self) -> float:
        return self._least[-1][0] - self._least[0][0] if self._least else 0.0

    def _missing(self, nominal_s: float, late_s: float) -> int:
        self._late.append((nominal_s, late_s))
        while nominal_s - self._late[0][0] > GAP_SURE_S:
            self._late.popleft()
        least_s = min(late for _, late in self._late)
        sure = nominal_s - self._late[0][0] > 0.9 * GAP_SURE_S and len(self._late) >= GAP_BLOCKS
        if least_s < GAP_S or not sure:
            return 0
        self._late.clear()
        self._least.pop()  # this second's: it was learned with the numbers as they were
        missing = round(least_s * self.rate_hz)
        self._missed += missing
        return missing


def slope_below(points: list[Point]) -> float:
    """Slope of the line below all points (first coordinates rising) with the least sum of distances to them."""
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = sum(x for x, _ in points) / len(points)
    right = next(k for k, (x, _) in enumerate(hull) if x >= middle)
    (x0, y0), (x1, y1) = hull[max(right - 1, 0)], hull[max(right, 1)]
    return (y1 - y0) / (x1 - x0)


def _turns_down(a: Point, b: Point, c: Point) -> bool:
    """`b` lies on or above the line from `a` to `c`."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
