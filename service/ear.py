"""One array's blocks of sound to what is heard, ten times a second: directions, scores, surroundings, channel faults.

The directions are of the window that ends with the newest sample; the scores of the newest second, made anew twice a
second. Channels are examined at first and every half minute, beside the work: that takes a few tenths of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fusion.geometry import FloatArray, angles_to_direction
from fusion.sensors.microphone_array.ambience import Ambience, Surroundings, decibels
from fusion.sensors.microphone_array.channels import Kind, mended
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.fixed import Emitter, FixedEmitters, Tones, tones_from
from fusion.sensors.microphone_array.measure import Direction, check_geometry
from fusion.sensors.microphone_array.pcm import Samples
from fusion.sensors.microphone_array.source import Block, SoundError
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS
from service.wiring import Wiring, examine, window_of

STEP_S = 0.1
SCORED_S = 1.0
SCORED_EVERY = 5  # looks
FORGOTTEN_S = 2.0  # a longer gap, and what was recognised before it is not believed any more
EXAMINED_S = 2.0  # of sound
EXAMINED_EVERY_S, EXAMINED_FIRST_S = 30.0, 0.5  # the second while there is less sound than that
EXAMINED_TOLD_S = 1.0  # of sound: then, and not when the thread is done, so that the same sound is heard the same
FLYING = 0.5  # probability from which on something flies: then nothing is learned of the surroundings
REPORTED = 0.3  # probability from which on directions are for the fusion
NO_NUMBERS_S = 10.0  # so long it is said that there were some
CALM_S = 1.0  # so long without a direction, wind masks what there is

SPECTRUM_HZ = (50.0, 8000.0)
SPECTRUM_BANDS = 96


@dataclass(frozen=True, slots=True)
class Heard:
    """What one array hears at one moment.

    Attributes:
        time_ns: middle of the directions' window, UTC.
        sequence: counts looks.
        directions: strongest first; `fixed` says which of them are of fixed emitters.
        scores: in the order of `SOUNDS`; None in the first second and where there is no recogniser.
        masked: by wind: it hears nothing, and that means nothing.
        spectrum_db: `[SPECTRUM_BANDS]` of the recognised channel, density.
        emitters: the fixed ones it knows.
        faults: what is wrong with its channels, sentences.
    """

    sensor_id: str
    time_ns: int
    time_sigma_ns: int
    sequence: int
    directions: tuple[Direction, ...]
    fixed: tuple[bool, ...]
    scores: tuple[float, ...] | None
    ambience: Ambience
    masked: bool
    spectrum_db: NDArray[np.float32]
    emitters: tuple[Emitter, ...]
    faults: tuple[str, ...]

    @property
    def flying(self) -> float:
        """Probability that something flies."""
        return 0.0 if self.scores is None else 1.0 - self.scores[SOUNDS.index("background")]

    def flies(self, recognises: bool) -> bool:
        """Whether something may fly; without a recogniser, all that has a direction and is not fixed."""
        return self.flying >= REPORTED if recognises else not all(self.fixed)

    def reported(self, recognises: bool) -> tuple[Direction, ...]:
        """Directions of what may fly."""
        if not self.flies(recognises):
            return ()
        return tuple(each for each, fixed in zip(self.directions, self.fixed, strict=True) if not fixed)

    @property
    def label(self) -> tuple[str, float] | None:
        """What most probably flies, and how probably; None where nothing does."""
        if self.scores is None or self.flying < FLYING:
            return None
        score, name = max((s, name) for s, name in zip(self.scores, SOUNDS, strict=True) if name != "background")
        return name, score


class Ear:
    """Listens to one array at one sample rate. Blocks with a gap before them begin it anew; what it learned stays.

    Args:
        recogniser: None: directions alone.
    """

    def __init__(self, config: ArrayConfig, rate_hz: int, recogniser: Recogniser | None) -> None:
        self.rate_hz = rate_hz
        self._config = config
        self._recogniser = recogniser
        self._window = window_of(rate_hz)
        self._step = round(STEP_S * rate_hz)
        self._held = _Held(len(config.microphones), max(round(EXAMINED_S * rate_hz), self._window))
        self._surroundings = Surroundings(rate_hz, self._window, STEP_S)
        self._fixed = FixedEmitters(STEP_S)
        self._delays_s = check_geometry(config.microphones) / config.speed_mps
        self._taper = np.hanning(self._window).astype(np.float32)
        self._frequency: FloatArray = np.arange(self._window // 2 + 1, dtype=np.float64) * (rate_hz / self._window)
        self._spectrum = _spectrum_bands(self._frequency)
        self._examining = _Examining(config, rate_hz)
        self._scores: tuple[float, ...] | None = None
        self._sequence = 0
        self._due = 0  # number of the sample before which the next look ends
        self._calm_s = 0.0  # since the last direction
        self._no_numbers: tuple[str, ...] = ()
        self._no_numbers_until = 0

    def step(self, block: Block) -> Iterator[Heard]:
        """The looks that a block completes."""
        if block.index != self._held.end:
            if block.index - self._held.end > FORGOTTEN_S * self.rate_hz:
                self._scores = None
            self._held.begin(block.index)
            self._due = block.index + self._window
        samples = self._numbers(block)
        for start in range(0, samples.shape[1], self._step):
            self._held.add(samples[:, start : start + self._step])
            while self._due <= self._held.end:
                middle = self._due - self._window // 2
                time_ns = block.time_ns + (middle - block.index) * 1_000_000_000 // self.rate_hz
                yield self._look(time_ns, block.time_sigma_ns)
                self._due += self._step

    def _numbers(self, block: Block) -> Samples:
        """Floats from a network may be no numbers: those are silence, and said."""
        wrong = ~np.isfinite(block.samples)
        if wrong.any():
            channels = " and ".join(str(channel + 1) for channel in np.flatnonzero(wrong.any(axis=1)))
            self._no_numbers = (f"channel {channels} sends samples that are no numbers: mend what sends them",)
            self._no_numbers_until = block.index + round(NO_NUMBERS_S * self.rate_hz)
            return np.where(wrong, np.float32(0.0), block.samples)
        if block.index > self._no_numbers_until:
            self._no_numbers = ()
        return block.samples

    def close(self) -> None:
        self._examining.close()

    def _look(self, time_ns: int, sigma_ns: int) -> Heard:
        wiring = self._examining.look(self._held, self._due)
        window = mended(self._held.before(self._due, self._window), wiring.faults)
        if self._sequence % SCORED_EVERY == 0 or self._scores is None:
            self._scores = self._recognised(wiring) or self._scores
        flying = self._scores is not None and self._scores[SOUNDS.index("background")] < 1.0 - FLYING
        directions = self._directions(window, wiring)
        fixed = self._fixed.step(self._described(window, directions, wiring), flying)
        ambience = self._surroundings.step(window[_alive(wiring, len(window))], learn=not flying)
        self._calm_s = 0.0 if any(not each for each in fixed) else self._calm_s + STEP_S
        self._sequence += 1
        return Heard(
            sensor_id=self._config.id,
            time_ns=time_ns,
            time_sigma_ns=sigma_ns,
            sequence=self._sequence,
            directions=directions,
            fixed=fixed,
            scores=self._scores,
            ambience=ambience,
            masked=ambience.windy and self._calm_s >= CALM_S,
            spectrum_db=self._density_db(window[wiring.heard]),
            emitters=self._fixed.emitters,
            faults=(*wiring.sentences, *self._examining.failure, *self._no_numbers),
        )

    def _directions(self, window: Samples, wiring: Wiring) -> tuple[Direction, ...]:
        if wiring.array is None:
            return ()
        channels, finder = wiring.array
        return finder.find(window[channels])

    def _described(
        self, window: Samples, directions: tuple[Direction, ...], wiring: Wiring
    ) -> list[tuple[FloatArray, Tones]]:
        """Unit vector and tones of each direction."""
        if not directions or wiring.array is None:
            return []
        channels, _ = wiring.array
        spectra = np.fft.rfft(window[channels] * self._taper)
        towards = [angles_to_direction(each.azimuth_rad, each.elevation_rad) for each in directions]
        return [(u, tones_from(spectra, self._frequency, self._delays_s[channels], u)) for u in towards]

    def _recognised(self, wiring: Wiring) -> tuple[float, ...] | None:
        count = round(SCORED_S * self.rate_hz)
        if self._recogniser is None or self._held.length(self._due) < count:
            return None
        heard = self._recogniser.resampled(self._held.before(self._due, count)[wiring.heard], self.rate_hz)
        window = self._recogniser.architecture.window
        row = self._recogniser.scores(np.pad(heard, (max(window - len(heard), 0), 0))[None, -window:])[0]
        return tuple(float(score) for score in row)

    def _density_db(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.square(np.abs(np.fft.rfft(samples * self._taper))) / float(np.square(self._taper).sum())
        return decibels(self._spectrum @ power).astype(np.float32)


class _Held:
    """The newest samples of all channels; `end` is the number of the sample after the last."""

    def __init__(self, channels: int, most: int) -> None:
        self._room = np.zeros((channels, 4 * most), np.float32)
        self._most = most
        self._count = 0
        self.end = -1

    def begin(self, index: int) -> None:
        self._count, self.end = 0, index

    def add(self, samples: Samples) -> None:
        count = samples.shape[1]
        if self._count + count > self._room.shape[1]:
            kept = min(self._count, 2 * self._most)
            self._room[:, :kept] = self._room[:, self._count - kept : self._count].copy()
            self._count = kept
        self._room[:, self._count : self._count + count] = samples
        self._count += count
        self.end += count

    def length(self, end: int) -> int:
        """How many samples there are before number `end`."""
        return self._count - (self.end - end)

    def before(self, end: int, count: int) -> Samples:
        """`[M, count]` before number `end`."""
        stop = self.length(end)
        return self._room[:, stop - count : stop]


class _Examining:
    """The examination of channels, in a thread of its own; what was found stands until the next one is done."""

    def __init__(self, config: ArrayConfig, rate_hz: int) -> None:
        self.failure: tuple[str, ...] = ()
        self._config, self._rate_hz = config, rate_hz
        self._pool = ThreadPoolExecutor(1, f"examine-{config.id}")
        self._next: Future[Wiring] | None = None
        self._due = self._told = 0
        self._wiring: Wiring | None = None

    def look(self, held: _Held, end: int) -> Wiring:
        """What is known; begins another examination where one is due. The first is waited for."""
        count = min(held.length(end), round(EXAMINED_S * self._rate_hz))
        if self._next is None and (self._wiring is None or end >= self._due):
            samples = held.before(end, count).copy()
            name = str(self._config.source or self._config.id)
            self._next = self._pool.submit(examine, name, samples, self._rate_hz, self._config)
            whole = count == round(EXAMINED_S * self._rate_hz)
            self._due = end + round((EXAMINED_EVERY_S if whole else EXAMINED_FIRST_S) * self._rate_hz)
            self._told = end + round(EXAMINED_TOLD_S * self._rate_hz)
        if self._next is not None and (self._wiring is None or end >= self._told):
            self._take(self._next)
            self._next = None
        assert self._wiring is not None
        return self._wiring

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _take(self, examined: Future[Wiring]) -> None:
        """Wrong wires stay known: silence about them is no proof."""
        before = self._wiring.faults if self._wiring is not None else ()
        try:
            wiring = examined.result()
            self.failure = ()
        except SoundError as error:
            wiring, self.failure = Wiring((), 0, None), (str(error),)
        crossed = (Kind.INVERTED, Kind.SWAPPED)
        if not any(fault.kind in crossed for fault in wiring.faults):
            kept = tuple(fault for fault in before if fault.kind in crossed)
            wiring = replace(wiring, faults=(*wiring.faults, *kept))
        self._wiring = wiring


def _alive(wiring: Wiring, count: int) -> list[int]:
    return wiring.array[0] if wiring.array is not None else list(range(count))


def _spectrum_bands(frequency: FloatArray) -> FloatArray:
    """`[SPECTRUM_BANDS, K]`: mean over the frequencies of each band, logarithmic; the nearest where it holds none."""
    edges = np.geomspace(*SPECTRUM_HZ, SPECTRUM_BANDS + 1)
    first = np.minimum(np.searchsorted(frequency, edges), len(frequency) - 1)
    bands = np.zeros((SPECTRUM_BANDS, len(frequency)))
    for row, (start, stop) in enumerate(pairwise(first)):
        bands[row, start : max(stop, start + 1)] = 1.0 / max(stop - start, 1)
    return bands
