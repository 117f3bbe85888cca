"""The only file of the service that reads time. Everything else is given a clock, so that tests can give their own."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """UTC for what is stored and shown, and a time that never steps for durations. Nanoseconds."""

    def now_ns(self) -> int:
        """UTC since 1970."""

    def monotonic_ns(self) -> int:
        """Time since some fixed instant; only differences mean anything."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Sleep until the event is set (True) or the time is over (False)."""


class SystemClock:
    """The machine's own."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)
