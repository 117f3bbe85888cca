"""A live source: its process, the watch over it, and trying again, without a word to any other source."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from fusion.sensors.camera.config import CameraConfig
from models.types import Frame
from service.clock import Clock
from service.handoff import Handoff
from service.shared_frames import FrameRing, allocate
from service.types import SensorHealth
from service.watchdog import SECOND_NS, Arrival, Backoff, LiveStatus

POLL_S = 0.1  # longest time before a stop or a stall is noticed
REAP_S = 5.0  # a killed process that is not gone by then hangs in the kernel and is left to it

#: All that the reading process is given of our environment, which may hold the passwords of all cameras.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH")


class CaptureChild:
    """One run of `service.capture_process`.

    Raises:
        OSError: the machine has no process, memory or file descriptor to give.
    """

    def __init__(self, config: CameraConfig) -> None:
        self._sending = threading.Lock()  # also: never write to a descriptor that `close` has given away
        self._link, theirs = Pipe()
        memory = allocate()
        try:
            self.ring = FrameRing(memory)
            self._process = _spawn(theirs.fileno(), memory)
        except OSError:
            self._link.close()
            raise
        finally:
            theirs.close()
            os.close(memory)
        with suppress(OSError):  # it died at once: `receive` says so
            self._link.send_bytes(_job(config))

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """Its next message, None if there is none in time.

        Raises:
            EOFError: it is gone.
            ValueError: it does not speak as agreed.
        """
        try:
            if not self._link.poll(timeout_s):
                return None
            message = json.loads(self._link.recv_bytes(maxlength=1 << 16))
        except OSError as error:
            raise EOFError from error
        if not isinstance(message, dict):
            raise ValueError("not an object")
        return message

    def release(self, slot: int) -> None:
        """Give a slot back. It cannot block: no more of these are under way than there are slots."""
        with self._sending, suppress(OSError):
            self._link.send_bytes(str(slot).encode())

    def how_it_ended(self) -> str:
        """In plain words, once `receive` said that it is gone."""
        return how_ended(self._process)

    def close(self) -> None:
        """Kill it, whatever it hangs in."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)
        with self._sending:
            self._link.close()


@dataclass(frozen=True, slots=True)
class _Announced:
    """A frame that lies in shared memory and is ours until released."""

    child: CaptureChild
    slot: int
    frame: Frame  # its pixels are the slot

    def fetch(self) -> Frame:
        """The frame with pixels of its own."""
        frame = replace(self.frame, pixels=self.frame.pixels.copy())
        self.child.release(self.slot)
        return frame


class LiveFeed:
    """Latest frame of a live source, for ever: when the connection is lost or hangs it is made anew."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._handoff: Handoff[_Announced] = Handoff()
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of the status
        self._status = LiveStatus(config.id, round(config.open_timeout_s * SECOND_NS), clock.monotonic_ns())
        self._backoff = Backoff(config.id)
        self._sequence = 0  # of the first frame of this connection
        self._next_sequence = 0
        self._last_time_ns = 0
        self._missed: Mapping[str, int] = {}  # what this connection has counted as dropped so far
        self._thread = threading.Thread(target=self._run, name=f"capture-{config.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self, timeout_s: float) -> Frame | None:
        announced = self._handoff.take(timeout_s)
        return announced.fetch() if announced else None

    @property
    def ended(self) -> bool:
        return self._stopping.is_set()

    def health(self) -> SensorHealth:
        with self._lock:
            return self._status.health(self._clock.monotonic_ns())

    def stop(self) -> None:
        self._stopping.set()
        self._handoff.close()
        if self._thread.is_alive():
            self._thread.join()
        self._handoff.take(0.0)  # what nobody took holds shared memory

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._status.connect(self._clock.monotonic_ns())
            reason = self._connection()
            with self._lock:
                self._status.lose(reason)
                if self._status.steady(self._clock.monotonic_ns()):
                    self._backoff.reset()
            self._clock.wait(self._stopping, self._backoff.next_s())

    def _connection(self) -> str:
        """From opening until it is lost; returns why."""
        self._sequence, self._missed = self._next_sequence, {}
        try:
            child = CaptureChild(self._config)
        except OSError as error:
            return f"the machine cannot start another process ({os.strerror(error.errno or 0).lower()})"
        reason = self._watch(child)
        child.close()
        return reason

    def _watch(self, child: CaptureChild) -> str:
        """Take what it sends until it ends, stalls or is to stop; returns why."""
        while not self._stopping.is_set():
            with self._lock:
                stalled = self._status.stalled(self._clock.monotonic_ns())
            if stalled:
                return stalled
            try:
                message = child.receive(POLL_S)
                if message is not None and message["event"] == "ended":
                    return str(message["reason"])
                self._hear(child, message)
            except EOFError:
                return child.how_it_ended()
            except (ValueError, KeyError, TypeError):
                return "the capture program does not speak as agreed"
        return "stopped"

    def _hear(self, child: CaptureChild, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message["event"] == "opening":
            with self._lock:
                self._status.open(self._clock.monotonic_ns())
        else:
            self._take(child, message)

    def _take(self, child: CaptureChild, message: dict[str, Any]) -> None:
        announced = self._announced(child, message)
        frame = announced.frame
        lost = max(0, frame.sequence - self._next_sequence)
        self._next_sequence, self._last_time_ns = frame.sequence + 1, frame.time_ns
        with self._lock:
            arrival = Arrival(frame.time_ns, frame.time_source, int(message["picture"]))
            self._status.frame(arrival, self._clock.monotonic_ns(), of=lost + 1)
            self._status.clock_error_ns = message["clock_error_ns"]
            self._count({"crowded": message["crowded"], "unreadable": message["unreadable"]})
        overtaken = self._handoff.put(announced)
        if overtaken is not None:
            overtaken.child.release(overtaken.slot)
            with self._lock:
                self._status.tally.dropped["overtaken"] += 1

    def _announced(self, child: CaptureChild, message: dict[str, Any]) -> _Announced:
        height, width, channels = map(int, message["shape"])
        slot = int(message["slot"])
        frame = Frame(
            sensor_id=self._config.id,
            time_ns=max(int(message["time_ns"]), self._last_time_ns + 1),  # rising across connections too
            sequence=self._sequence + int(message["sequence"]),
            band=self._config.spectrum,
            pixels=child.ring.slot(slot, (height, width, channels)),
            time_source=message["time_source"],
            time_sigma_ns=int(message["sigma_ns"]),
            received_ns=int(message["received_ns"]),
        )
        return _Announced(child, slot, frame)

    def _count(self, missed: Mapping[str, int]) -> None:
        for reason, count in missed.items():
            self._status.tally.dropped[reason] += count - self._missed.get(reason, 0)
        self._missed = missed


def how_ended(process: subprocess.Popen[bytes]) -> str:
    """In plain words, of a capture program whose line is closed."""
    try:
        code = process.wait(REAP_S)
    except subprocess.TimeoutExpired:
        return "the capture program closed its line"
    if code < 0:
        return f"the capture program was ended by {signal.Signals(-code).name}"
    return f"the capture program could not go on (exit status {code})"


def _spawn(link: int, memory: int) -> subprocess.Popen[bytes]:
    """Its words go nowhere: FFmpeg's hold the URL. It has its own session, so that Ctrl-C reaches only us."""
    return subprocess.Popen(
        [sys.executable, "-m", "service.capture_process", str(link), str(memory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(link, memory),
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        cwd=Path(__file__).resolve().parents[1],
        start_new_session=True,
    )


def _job(config: CameraConfig) -> bytes:
    return json.dumps({**config.model_dump(mode="json"), "source": config.source.reveal()}).encode()
