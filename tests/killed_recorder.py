"""A process that records until it is killed, on a clock of its own."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from fusion.types import Heartbeat
from service.journal import Journal
from service.journal_about import About
from service.recording import RecordingSettings
from service.types import Envelope

STEP_NS = 50_000_000


class OwnClock:
    now = 1_777_636_800_000_000_000

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("nobody waits here")


def envelope(number: int) -> Envelope:
    time_ns = OwnClock.now + number * STEP_NS
    return Envelope(number + 1, "clock", time_ns, Heartbeat(time_ns))


def _leave_out(fd: object) -> None:
    """In place of a sync."""


def record(folder: Path, told: Path) -> None:
    """A message every 50 ms of the clock; `told` grows by a byte for each that is out. What the system has been given
    outlives a killed process, so the disk itself, which may take a tenth of a second for each sync, is left out."""
    os.fsync = os.fdatasync = _leave_out
    tell = os.open(told, os.O_WRONLY | os.O_CREAT)
    clock = OwnClock()
    journal = Journal(RecordingSettings(folder=folder, reserve_gb=0.0, part_gb=12e-6), About("1", "s"), clock)
    for number in range(100_000):
        journal.step([envelope(number)])
        clock.now += STEP_NS
        os.write(tell, b".")


def main() -> None:
    """For each folder named on standard input a process that records there; its number on standard output."""
    for line in sys.stdin:
        folder = Path(line.strip())
        process = os.fork()
        if process == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            record(folder, folder.with_suffix(".told"))
        print(process, flush=True)
        os.waitpid(process, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
