"""The past of one camera that the time planes look back at: which pictures are kept, and which is that of an age."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

#: Pictures are kept at least this fine in time, whatever the frame rate, and so many: more than the largest age.
STEP_NS = 20_000_000
MOST = 28
#: A picture stands for an age that it is this far off; one further off does not.
TOLERANCE_NS = 150_000_000

Kept = TypeVar("Kept")


@dataclass(slots=True)
class History(Generic[Kept]):
    """Of one camera, oldest first: (time_ns, the picture's luma or where it lies)."""

    kept: deque[tuple[int, Kept]] = field(default_factory=lambda: deque(maxlen=MOST))

    def earlier(self, time_ns: int, ages: Iterable[float]) -> list[Kept | None]:
        """What was kept nearest to each age, s; None where there is nothing of about that age."""
        return [self._nearest(time_ns - round(age * 1e9), time_ns) for age in ages]

    def _nearest(self, wanted_ns: int, time_ns: int) -> Kept | None:
        before = [(abs(kept_ns - wanted_ns), kept) for kept_ns, kept in self.kept if kept_ns < time_ns]
        off, nearest = min(before, key=lambda pair: pair[0], default=(TOLERANCE_NS + 1, None))
        return nearest if off <= TOLERANCE_NS else None

    def keep(self, time_ns: int, picture: Kept) -> bool:
        """Whether it was kept; a time not after the last one begins anew."""
        if self.kept and time_ns <= self.kept[-1][0]:
            self.kept.clear()
        if self.kept and time_ns - self.kept[-1][0] < STEP_NS:
            return False
        self.kept.append((time_ns, picture))
        return True
