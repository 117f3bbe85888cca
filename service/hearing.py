"""One array's line: blocks → looks → live state, scans for the fusion and health; in a thread of its own.

SoundFeed ──Block──▶ Ear ──Heard──┬──▶ Hearings    newest look and the last minute of each array ──▶ REST, console
                       └──────────┼──▶ SoundShelf  the block itself, for the journal
                                  ├──▶ Bus scan.…  bearings whose wave is sound
                                  └──▶ Bus sensor. health, so that the compass of the console turns
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion.sensors.microphone_array.bearings import bearing, bearings_scan
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.types import Coverage, Scan, SensorPose
from models.acoustic_infer import Recogniser
from models.types import CLASSES
from service.bus import Publisher
from service.clock import Clock
from service.ear import STEP_S, Ear, Heard
from service.sound_capture import SoundFeed, SoundTiming
from service.sound_shelf import SoundShelf
from service.types import SensorHealth, SensorState

POLL_S = 0.25  # longest wait for a block before looking whether to stop
TOLD_EVERY = 2  # looks: five times a second clients are told
SPECTROGRAM_S = 60
GAP_SAID_NS = 60_000_000_000
DRIFT_SAID_PPM = 30.0
WINDY = "masked by wind: what flies is not heard"


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of one array now: the newest look, how well it keeps time, and the last minute's spectra.

    Attributes:
        spectrogram: times in ns and `[SPECTRUM_BANDS]` in dB, oldest first.
    """

    heard: Heard
    timing: SoundTiming
    rate_hz: int
    spectrogram: tuple[tuple[int, np.ndarray[Any, np.dtype[np.float32]]], ...]


class Hearings:
    """The newest of each array; written by the arrays' threads, read by the API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[Heard, SoundTiming, int]] = {}
        self._spectra: dict[str, deque[tuple[int, np.ndarray[Any, np.dtype[np.float32]]]]] = {}

    def put(self, heard: Heard, timing: SoundTiming, rate_hz: int) -> None:
        with self._lock:
            self._newest[heard.sensor_id] = heard, timing, rate_hz
            spectra = self._spectra.setdefault(heard.sensor_id, deque(maxlen=round(SPECTROGRAM_S / STEP_S)))
            spectra.append((heard.time_ns, heard.spectrum_db))

    def get(self, sensor_id: str) -> Hearing | None:
        """None before the first look and for an unknown sensor."""
        with self._lock:
            newest = self._newest.get(sensor_id)
            return None if newest is None else Hearing(*newest, tuple(self._spectra[sensor_id]))

    def newest(self, sensor_id: str) -> tuple[Heard, SoundTiming, int] | None:
        """As `get`, without the spectra: cheap."""
        with self._lock:
            return self._newest.get(sensor_id)


def heard_scan(
    heard: Heard, speed_mps: float, pose: SensorPose, coverage: Coverage | None, recognises: bool
) -> Scan | None:
    """Bearings of what may fly, for the fusion; a look without any only where silence means something.

    Args:
        speed_mps: of sound.
        recognises: whether the scores are there to be asked; else every direction that is not fixed may fly.
    """
    label, score = heard.label or (None, 1.0)
    known = label if label in CLASSES else None
    bearings = [bearing(each, speed_mps, known, score) for each in heard.reported(recognises)]
    told = None if heard.masked else coverage
    if not bearings and told is None:
        return None
    return bearings_scan(pose, heard.time_ns, heard.sequence, bearings, told, heard.time_sigma_ns)


class Listener:
    """Listens to one array until stopped or its recording ends. As `service.camera.Camera` it is watched and begun
    again by the monitor.

    Args:
        make_recogniser: called for each start; may give None: directions alone.
        pose: where the array stands; None where the site does not say: nothing is reported to the fusion.
        coverage: where its silence means something, see `fusion.types.Coverage`.
        sounds: takes the blocks for the journal.
    """

    def __init__(
        self,
        config: ArrayConfig,
        feed: SoundFeed,
        make_recogniser: Callable[[], Recogniser | None],
        *,
        pose: SensorPose | None,
        coverage: Coverage | None,
        hearings: Hearings,
        bus: Publisher,
        clock: Clock,
        sounds: SoundShelf | None = None,
    ) -> None:
        self.sensor_id = config.id
        self.processed = 0
        self._config = config
        self._feed = feed
        self._make_recogniser = make_recogniser
        self._pose, self._coverage = pose, coverage
        self._hearings = hearings
        self._sounds = sounds or SoundShelf("none")
        self._bus = bus
        self._clock = clock
        self._gaps, self._gap_ns = 0, 0
        self._recognises = False
        self._stopping = threading.Event()
        self._finished = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or begin again after a crash."""
        if self._thread is None:
            self._feed.start()
        self._thread = threading.Thread(target=self._run, name=f"listen-{self.sensor_id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the line to end; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until the last look is published, then stop the feed. False: not done in time."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._feed.stop()
        return self._thread is None or not self._thread.is_alive()

    @property
    def crashed(self) -> bool:
        return self._thread is not None and not self._thread.is_alive() and not self._finished

    def health(self) -> SensorHealth:
        health = replace(self._feed.health(), processed=self.processed)
        if self.crashed:
            return replace(health, state=SensorState.DOWN, reason="the program failed on its sound; see the log")
        if health.state is not SensorState.ONLINE:
            return health
        said = [health.reason] if health.reason else []
        return replace(health, reason="; ".join([*said, *self._complaints()]))

    def _run(self) -> None:
        recogniser = self._make_recogniser()
        self._recognises = recogniser is not None
        ear: Ear | None = None
        while not self._stopping.is_set() and not self._feed.ended:
            block = self._feed.next(POLL_S)
            if block is None:
                continue
            if ear is None or ear.rate_hz != block.rate_hz:
                if ear is not None:
                    ear.close()
                ear = Ear(self._config, block.rate_hz, recogniser)
            looks = list(ear.step(block))
            self._sounds.put(block, any(heard.flies(self._recognises) for heard in looks))
            for heard in looks:
                self._tell(heard, block.rate_hz)
        if ear is not None:
            ear.close()
        self._finished = True

    def _tell(self, heard: Heard, rate_hz: int) -> None:
        timing = self._feed.timing
        self._hearings.put(heard, timing, rate_hz)
        self._note_gaps(timing)
        self._report(heard)
        self.processed += 1
        if self.processed % TOLD_EVERY == 0:
            self._bus.publish(f"sensor.{self.sensor_id}", self.health())

    def _report(self, heard: Heard) -> None:
        if self._pose is None:
            return
        scan = heard_scan(heard, self._config.speed_mps, self._pose, self._coverage, self._recognises)
        if scan is not None:
            self._bus.publish(f"scan.{self.sensor_id}", scan)

    def _note_gaps(self, timing: SoundTiming) -> None:
        if timing.gaps != self._gaps:
            self._gaps, self._gap_ns = timing.gaps, self._clock.monotonic_ns()

    def _complaints(self) -> list[str]:
        """What is not as it should be though sound comes, as sentences."""
        newest = self._hearings.newest(self.sensor_id)
        if newest is None:
            return []
        heard, timing, rate_hz = newest
        said = [WINDY] if heard.masked else []
        said += heard.faults
        if self._gaps and self._clock.monotonic_ns() - self._gap_ns < GAP_SAID_NS:
            said.append(
                f"sound was lost {timing.gaps} times, {timing.lost / rate_hz:.2f} s in all: look at its network"
            )
        if timing.drift_ppm is not None and abs(timing.drift_ppm) >= DRIFT_SAID_PPM:
            side = "fast" if timing.drift_ppm > 0.0 else "slow"
            said.append(f"its clock runs {round(abs(timing.drift_ppm), -1):.0f} ppm {side}, which is allowed for")
        return said
