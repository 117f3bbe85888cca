"""What happens when the fusion cannot keep up: sensors that the service reads tell it fewer looks, evenly and counted.

Tracks that are seconds old are worse than tracks of every second look. Once the world is more than `BEHIND_NS` behind
the bus, each sensor keeps one of so many scans as the world's own pace allows (time it spends on a scan, times scans
that come), with a margin to catch up; and no fewer than that once it has caught up. It is decided before a scan is
published: what is on the bus, and so in a recording, is what the world followed, and a replay of it is exact. A scan
that is left out is no look at all, not a look that saw nothing.

What others post, claims and heartbeats are never left out; they are bounded by the world's subscription.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping

import structlog

from service.bus import Publisher
from service.clock import Clock
from service.types import Message

BEHIND_NS = 500_000_000
CAUGHT_UP_NS = 250_000_000  # heartbeats bring scans in heaps: some delay is no backlog
MOST_STRIDE = 16
LOOK_NS = 500_000_000  # so often is the pace looked at
SHARE = 0.8  # of its time that the world may spend
WARN_EVERY_NS = 60_000_000_000
REASON = "fusion_behind"

log = structlog.get_logger("service.thinning")


class Thinning:
    """The way of cameras and arrays to the bus. `told` by the world's thread, `publish` by any.

    Attributes:
        behind_ns: how long the newest message that the world finished had waited, its own time included.
        stride: of so many scans of a sensor one is kept.
    """

    def __init__(self, bus: Publisher, clock: Clock) -> None:
        self.behind_ns = 0
        self.stride = 1
        self._bus = bus
        self._clock = clock
        self._looked_ns = clock.monotonic_ns()
        self._warned_ns = -WARN_EVERY_NS
        self._spent_ns = self._done = self._offered = self._was_behind_ns = 0
        self._came: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._lock = threading.Lock()  # around the counters

    def publish(self, subject: str, message: Message) -> object:
        """On to the bus, unless it is a scan that is left out."""
        if subject.startswith("scan.") and self._leaves_out(subject.removeprefix("scan.")):
            return None
        return self._bus.publish(subject, message)

    def told(self, scans: int, spent_ns: int, behind_ns: int) -> None:
        """The world is done with a message, or with some: of which so many scans, the time spent on them, and how long
        the last had been on the bus by then."""
        self._spent_ns += spent_ns
        self._done += scans
        self.behind_ns = behind_ns
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns >= LOOK_NS:
            self._choose(now_ns - self._looked_ns)
            self._looked_ns = now_ns

    @property
    def skipped(self) -> Mapping[str, int]:
        """Scans left out since the start, by sensor."""
        with self._lock:
            return dict(self._skipped)

    def dropped(self, sensor_id: str) -> dict[str, int]:
        """As `SensorHealth.dropped` says it; empty where nothing was left out."""
        count = self.skipped.get(sensor_id, 0)
        return {REASON: count} if count else {}

    @property
    def reason(self) -> str:
        """One sentence while scans are left out, else empty."""
        if self.stride == 1 and self.behind_ns <= BEHIND_NS:
            return ""
        return (
            f"The fusion is {self.behind_ns * 1e-9:.1f} s behind and takes one of {self.stride} looks of each sensor: "
            "give it a quicker machine, fewer cameras, or cameras of fewer frames a second."
        )

    def _choose(self, elapsed_ns: int) -> None:
        """How many are kept, by the pace of the time that has passed."""
        with self._lock:
            came = sum(self._came.values())
        cost_ns = self._spent_ns / self._done if self._done else 0.0
        wanted = math.ceil((came - self._offered) * cost_ns / (SHARE * elapsed_ns))
        if self.behind_ns > BEHIND_NS:
            self._warn()
            self.stride = min(max(wanted, self.stride + (self.behind_ns > self._was_behind_ns)), MOST_STRIDE)
        elif self.behind_ns < CAUGHT_UP_NS and wanted < self.stride:
            self.stride = max(self.stride - 1, 1)
        self._spent_ns, self._done, self._offered, self._was_behind_ns = 0, 0, came, self.behind_ns

    def _warn(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._warned_ns >= WARN_EVERY_NS:
            log.warning("fusion behind", seconds=round(self.behind_ns * 1e-9, 1))
            self._warned_ns = now_ns

    def _leaves_out(self, sensor_id: str) -> bool:
        with self._lock:
            self._came[sensor_id] += 1
            if self._came[sensor_id] % self.stride == 0:
                return False
            self._skipped[sensor_id] += 1
            return True
