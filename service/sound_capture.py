"""One array's blocks of sound, whatever they come from; `service.capture` for ears.

| source | read by | blocks the worker is too slow for | when it breaks |
| --- | --- | --- | --- |
| stream, device | a process of its own, killable | the oldest go, counted: `overtaken` | made anew, with back-off |
| file, paced | a thread | the same | `failed`, `ended` |
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import Block, SoundError, open_recording
from fusion.sensors.microphone_array.stream import MOST_BYTES, fits
from fusion.sensors.microphone_array.timing import SampleClock
from service.capture_live import ENVIRONMENT, POLL_S, REAP_S, how_ended
from service.clock import Clock
from service.handoff import Handoff
from service.types import SensorHealth, SensorState
from service.watchdog import SECOND_NS, Arrival, Backoff, LiveStatus, Tally

HELD = 256  # blocks: some seconds, while the worker does not take them
BLOCK_S = 0.05  # of a file
LEAST_GAP_S = 1e-3  # a stream that says itself when its samples were taken rounds to less

#: Blocks of one pass through a recording or a simulation; they carry its own times from 0 on.
OpenBlocks = Callable[[], Iterable[Block]]


@dataclass(frozen=True, slots=True)
class SoundTiming:
    """How well an array keeps time.

    Attributes:
        drift_ppm: how much faster than ours its clock runs, parts per million; None until it is known.
        gaps, lost: how often samples were missing, and how many.
        wrong_rate_hz: samples that come a second where that is not what the source says; else None.
    """

    drift_ppm: float | None = None
    gaps: int = 0
    lost: int = 0
    wrong_rate_hz: float | None = None


class SoundFeed(Protocol):
    """Blocks of one array in order: start, take the next, ask how it is, stop."""

    @property
    def ended(self) -> bool: ...

    @property
    def timing(self) -> SoundTiming: ...

    def start(self) -> None: ...

    def next(self, timeout_s: float) -> Block | None: ...

    def health(self) -> SensorHealth: ...

    def stop(self) -> None: ...


def sound_feed(config: ArrayConfig, clock: Clock) -> SoundFeed:
    """The feed of `config.source`."""
    assert config.source is not None
    if config.source.live:
        return LiveSound(config, clock)
    return PlayedSound(config, clock, lambda: recorded_blocks(config))


def recorded_blocks(config: ArrayConfig) -> Iterator[Block]:
    """A file's blocks with the file's own times.

    Raises:
        SoundError, OSError: it cannot be heard, or is not of this array.
    """
    assert config.source is not None
    with open_recording(Path(config.source.reveal())) as recording:
        fits(str(config.source), recording.rate_hz, recording.channels, config)
        step = max(round(BLOCK_S * recording.rate_hz), 1)
        for start in range(0, recording.length, step):
            samples = recording.read(start, start + step)
            yield Block(config.id, start, start * SECOND_NS // recording.rate_hz, recording.rate_hz, samples)


class SoundProcess:
    """One run of `service.sound_process`.

    Raises:
        OSError: the machine has no process or file descriptor to give.
    """

    def __init__(self, config: ArrayConfig) -> None:
        assert config.source is not None
        self._link, theirs = Pipe()
        try:
            self._process = _spawn(theirs.fileno())
        except OSError:
            self._link.close()
            raise
        finally:
            theirs.close()
        job = {**config.model_dump(mode="json"), "source": config.source.reveal()}
        with suppress(OSError):  # it died at once: `receive` says so
            self._link.send_bytes(json.dumps(job).encode())

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], bytes] | None:
        """Its next message and, of a block, the samples; None if there is none in time.

        Raises:
            EOFError: it is gone.
            ValueError: it does not speak as agreed.
        """
        try:
            if not self._link.poll(timeout_s):
                return None
            message = json.loads(self._link.recv_bytes(maxlength=1 << 12))
            sound = message["event"] == "sound"
            return message, self._link.recv_bytes(maxlength=64 * MOST_BYTES) if sound else b""
        except OSError as error:
            raise EOFError from error

    def how_it_ended(self) -> str:
        """In plain words, once `receive` said that it is gone."""
        return how_ended(self._process)

    def close(self) -> None:
        """Kill it, whatever it hangs in."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)
        self._link.close()


class _Timed:
    """One connection's blocks with capture times; numbers go on from where the last connection stopped."""

    def __init__(self, config: ArrayConfig, rate_hz: int, first: int) -> None:
        self.lost = self.gaps = 0
        self.end = first  # number of the sample after the last
        self._config = config
        self._rate_hz = rate_hz
        self._shift: int | None = None  # from the stream's numbers to ours
        self._clock = SampleClock(rate_hz, round(config.latency_s * SECOND_NS))

    def block(self, index: int, arrival_ns: int, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Block:
        count = samples.shape[1]
        if self._shift is None:
            self._shift = self.end - index
        missing = self._clock.observe(index + self._shift + count, arrival_ns)
        self._shift += missing
        first = index + self._shift
        self._lose(first - self.end)
        self.end = first + count
        time_ns = self._clock.time_ns(first)
        return Block(self._config.id, first, time_ns, self._rate_hz, samples, self._sigma_ns(), arrival_ns)

    def _lose(self, missing: int) -> None:
        if missing > LEAST_GAP_S * self._rate_hz:
            self.gaps, self.lost = self.gaps + 1, self.lost + missing

    def _sigma_ns(self) -> int:
        return round(self._config.latency_sigma_s * SECOND_NS)

    def drift(self) -> tuple[float | None, float | None]:
        """Drift in ppm and a rate other than the stated one."""
        return self._clock.drift_ppm, self._clock.measured_rate_hz


class LiveSound:
    """Blocks of a live source, for ever: when the connection is lost or hangs it is made anew."""

    def __init__(self, config: ArrayConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._handoff: Handoff[Block] = Handoff(capacity=HELD)
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of status and timing
        open_ns = round(config.open_timeout_s * SECOND_NS)
        self._status = LiveStatus(config.id, open_ns, clock.monotonic_ns(), "sound")
        self._backoff = Backoff(config.id)
        self._timed: _Timed | None = None
        self._before = SoundTiming()  # of earlier connections
        self._timing = SoundTiming()
        self._blocks = self._end = self._last_ns = self._rate_hz = 0
        self._thread = threading.Thread(target=self._run, name=f"sound-{config.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self, timeout_s: float) -> Block | None:
        return self._handoff.take(timeout_s)

    @property
    def ended(self) -> bool:
        return self._stopping.is_set()

    @property
    def timing(self) -> SoundTiming:
        with self._lock:
            return self._timing

    def health(self) -> SensorHealth:
        with self._lock:
            health = self._status.health(self._clock.monotonic_ns())
            wrong = self._timing.wrong_rate_hz
        if wrong is None or health.state is not SensorState.ONLINE:
            return health
        reason = (
            f"{self._config.source} sends {wrong:.0f} samples a second, not the {self._rate_hz} it is said to: mend "
            "rate, channels or format"
        )
        return replace(health, reason=reason)

    def stop(self) -> None:
        self._stopping.set()
        self._handoff.close()
        if self._thread.is_alive():
            self._thread.join()

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
        self._timed, self._before = None, self._timing
        try:
            process = SoundProcess(self._config)
        except OSError as error:
            return f"the machine cannot start another process ({os.strerror(error.errno or 0).lower()})"
        reason = self._watch(process)
        process.close()
        return reason

    def _watch(self, process: SoundProcess) -> str:
        """Take what it sends until it ends, stalls or is to stop; returns why."""
        while not self._stopping.is_set():
            with self._lock:
                stalled = self._status.stalled(self._clock.monotonic_ns())
            if stalled:
                return stalled
            try:
                received = process.receive(POLL_S)
                if received is None:
                    continue
                if received[0]["event"] == "ended":
                    return str(received[0]["reason"])
                self._hear(*received)
            except EOFError:
                return process.how_it_ended()
            except (ValueError, KeyError, TypeError):
                return "the capture program does not speak as agreed"
        return "stopped"

    def _hear(self, message: dict[str, Any], data: bytes) -> None:
        match message["event"]:
            case "opening":
                with self._lock:
                    self._status.open(self._clock.monotonic_ns())
            case "open":
                self._rate_hz = int(message["rate_hz"])
                self._timed = _Timed(self._config, self._rate_hz, self._end + self._rate_hz)
            case _ if self._timed is not None:
                samples = np.frombuffer(data, np.float32).reshape(len(self._config.microphones), -1)
                self._take(self._timed, self._timed.block(int(message["index"]), int(message["arrival_ns"]), samples))

    def _take(self, timed: _Timed, block: Block) -> None:
        self._end = timed.end
        block = replace(block, time_ns=max(block.time_ns, self._last_ns + 1))  # rising, across connections too
        self._last_ns = block.time_ns
        drift_ppm, wrong_rate_hz = timed.drift()
        before = self._before
        with self._lock:
            self._blocks += 1  # the same sound twice is told by no microphone: silence has noise
            self._status.frame(Arrival(block.time_ns, "arrival", self._blocks), self._clock.monotonic_ns())
            self._timing = SoundTiming(drift_ppm, before.gaps + timed.gaps, before.lost + timed.lost, wrong_rate_hz)
        overtaken = self._handoff.put(block)
        if overtaken is not None:
            with self._lock:
                self._status.tally.dropped["overtaken"] += 1


class PlayedSound:
    """A recording or a simulated field at its own pace, its times moved to now.

    Args:
        blocks: of one pass; with `config.loop` there is another when it ends.
    """

    timing = SoundTiming(drift_ppm=0.0)

    def __init__(self, config: ArrayConfig, clock: Clock, blocks: OpenBlocks) -> None:
        self._config = config
        self._clock = clock
        self._open = blocks
        self._handoff: Handoff[Block] = Handoff(capacity=HELD)
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of tally and state
        self._tally = Tally(config.id)
        self._state, self._reason = SensorState.STARTING, ""
        self._thread = threading.Thread(target=self._run, name=f"sound-{config.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self, timeout_s: float) -> Block | None:
        return self._handoff.take(timeout_s)

    @property
    def ended(self) -> bool:
        return self._stopping.is_set() or self._handoff.finished

    def health(self) -> SensorHealth:
        with self._lock:
            return self._tally.health(self._state, self._reason, self._clock.monotonic_ns())

    def stop(self) -> None:
        self._stopping.set()
        self._handoff.close()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        first = 0
        try:
            while not self._stopping.is_set():
                first = self._play(first)
                if not self._config.loop:
                    break
            self._say(SensorState.ENDED, "the recording is over")
        except SoundError as error:
            self._say(SensorState.FAILED, str(error))
        except OSError as error:
            words = os.strerror(error.errno or 0).lower()
            self._say(SensorState.FAILED, f"{self._config.source} cannot be opened ({words}): check the name")
        self._handoff.close()

    def _play(self, first: int) -> int:
        """One pass; the number of the sample after its last."""
        zero_ns, began_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        end = first
        for block in self._open():
            count = block.samples.shape[1]
            due_ns = block.time_ns + count * SECOND_NS // block.rate_hz
            wait_ns = due_ns - (self._clock.monotonic_ns() - began_ns)
            if self._clock.wait(self._stopping, max(wait_ns, 0) / SECOND_NS):
                break
            self._hand(replace(block, index=first + block.index, time_ns=zero_ns + block.time_ns))
            end = first + block.index + count
        return end

    def _hand(self, block: Block) -> None:
        overtaken = self._handoff.put(replace(block, received_ns=self._clock.now_ns()))
        with self._lock:
            self._state = SensorState.ONLINE
            self._tally.frame(Arrival(block.time_ns, "pts"), self._clock.monotonic_ns())
            self._tally.dropped["overtaken"] += overtaken is not None

    def _say(self, state: SensorState, reason: str) -> None:
        with self._lock:
            self._state, self._reason = state, reason


def _spawn(link: int) -> subprocess.Popen[bytes]:
    """Its words go nowhere: FFmpeg's hold the URL. It has its own session, so that Ctrl-C reaches only us."""
    return subprocess.Popen(
        [sys.executable, "-m", "service.sound_process", str(link)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(link,),
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        cwd=Path(__file__).resolve().parents[1],
        start_new_session=True,
    )
