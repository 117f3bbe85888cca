"""Puts messages into order of event time, within a stated lag; what comes later than that is counted and refused.

Out-of-sequence reports are then exact: the engine never sees them out of sequence. The order is complete (time, sensor,
space, content), so it does not depend on the order of arrival. How far time has come is said by heartbeats of the
site's own clock or, for a recording, by the reports themselves: the newest time that two sensors agree on (for a lone
sensor its second newest), so that one wrong clock or one wild line moves nothing.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace

from fusion.types import NS, Heartbeat, Measurement, Scan

DEFAULT_LAG_NS = 2 * NS


class Sequencer:
    """A pure fold: `push` a message, get those whose turn has come; `flush` at the end of a recording.

    Args:
        lag_ns: how much later than newer reports a report may come.
        heartbeats: whether heartbeats say how far time has come (live); else the reports do (a recording).
        limit: most messages held; beyond it the oldest are let go early and counted.

    `counts` says what was refused, by reason; `refused` collects (sequence, reason) until `take_refused`.
    """

    def __init__(self, lag_ns: int = DEFAULT_LAG_NS, *, heartbeats: bool, limit: int = 200_000) -> None:
        self.lag_ns = lag_ns
        self.heartbeats = heartbeats
        self.limit = limit
        self.counts: Counter[str] = Counter()
        self._heap: list[tuple[_Key, int, Scan]] = []
        self._pushed = 0
        self._newest: dict[str, list[int]] = {}
        self._horizon_ns: int | None = None
        self._refused: list[tuple[int, str]] = []

    def push(self, message: Scan | Heartbeat) -> list[Scan | Heartbeat]:
        """Messages in order whose time is now further back than the lag."""
        if isinstance(message, Heartbeat):
            out = self._release(message.time_ns - self.lag_ns) if self.heartbeats else []
            return [*out, *self._beat()] if self.heartbeats else []
        if self._horizon_ns is not None and message.time_ns <= self._horizon_ns:
            self._refuse(message, "later than the lag allows")
            return []
        self._pushed += 1
        heapq.heappush(self._heap, (_key(message), self._pushed, message))
        if self.heartbeats:
            return self._relieve()
        return self._release(self._agreed_time(message) - self.lag_ns) + self._relieve()

    def flush(self) -> list[Scan | Heartbeat]:
        """All that is left, in order: a recording has ended."""
        return self._release(max((look[0] for (look, _), _, _ in self._heap), default=0))

    def take_refused(self) -> list[tuple[int, str]]:
        """(sequence, reason) of messages refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    @property
    def held(self) -> int:
        return len(self._heap)

    def _beat(self) -> list[Scan | Heartbeat]:
        return [Heartbeat(self._horizon_ns)] if self._horizon_ns is not None else []

    def _release(self, horizon_ns: int) -> list[Scan | Heartbeat]:
        if self._horizon_ns is not None and horizon_ns <= self._horizon_ns:
            return []
        ready: list[Scan] = []
        while self._heap and self._heap[0][0][0][0] <= horizon_ns:
            ready.append(heapq.heappop(self._heap)[2])
        if ready or self.heartbeats:
            self._horizon_ns = horizon_ns
        return list(self._grouped(ready))

    def _relieve(self) -> list[Scan | Heartbeat]:
        if len(self._heap) <= self.limit:
            return []
        self.counts["let go early, too many held"] += 1
        return self._release(self._heap[0][0][0][0])

    def _agreed_time(self, scan: Scan) -> int:
        newest = self._newest.setdefault(scan.sensor_id, [])
        newest.append(scan.time_ns)
        newest.sort(reverse=True)
        del newest[2:]
        if len(self._newest) == 1:
            return newest[-1] if len(newest) > 1 else newest[0] - self.lag_ns
        return sorted((times[0] for times in self._newest.values()), reverse=True)[1]

    def _grouped(self, ready: list[Scan]) -> list[Scan]:
        """One scan of the reports of one look; a report that is there twice is taken once."""
        out: list[Scan] = []
        for scan in ready:
            if out and _look(out[-1]) == _look(scan):
                fresh = tuple(m for m in scan.measurements if m not in out[-1].measurements)
                if len(fresh) < len(scan.measurements):
                    self._refuse(scan, "a duplicate")
                out[-1] = replace(out[-1], measurements=out[-1].measurements + fresh)
            else:
                out.append(scan)
        return out

    def _refuse(self, scan: Scan, reason: str) -> None:
        self.counts[reason] += 1
        self._refused.append((scan.sequence, reason))


class _Content:
    """What a scan says, for an order of those that are equal in all else; written out only where that is asked."""

    __slots__ = ("_measurements",)

    def __init__(self, measurements: tuple[Measurement, ...]) -> None:
        self._measurements = measurements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and str(self) == str(other)

    def __lt__(self, other: _Content) -> bool:
        return str(self) < str(other)

    def __str__(self) -> str:
        return ";".join(map(repr, self._measurements))

    __hash__ = None  # type: ignore[assignment]


_Look = tuple[int, str, str, float]
_Key = tuple[_Look, _Content]


def _key(scan: Scan) -> _Key:
    return _look(scan), _Content(scan.measurements)


def _look(scan: Scan) -> _Look:
    """What the reports of one look have in common."""
    wave = next((m.propagation_mps for m in scan.measurements if m.propagation_mps), 0.0)
    return scan.time_ns, scan.sensor_id, scan.space, wave
