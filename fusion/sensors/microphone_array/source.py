"""Recordings of microphones: wav, flac and whatever else libsndfile reads, any number of channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from fusion.sensors.microphone_array.pcm import Samples


class SoundError(Exception):
    """A recording that cannot be heard; one plain sentence with the mend."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some samples of all microphones, one after the other.

    Attributes:
        index: number of the first sample since the source was begun, those that were lost counted too: a block that
            does not begin where the last one ended comes after a gap.
        time_ns: capture of the first sample, UTC.
        samples: `[M, N]`, ±1 is full scale.
        time_sigma_ns: standard deviation of `time_ns`.
        received_ns: when the block reached this machine, UTC; 0 for a recording.
    """

    sensor_id: str
    index: int
    time_ns: int
    rate_hz: int
    samples: Samples
    time_sigma_ns: int = 0
    received_ns: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """An open file.

    Attributes:
        path: of the file.
        rate_hz, channels, length: samples a second, microphones, samples of each.
    """

    path: Path
    rate_hz: int
    channels: int
    length: int
    _file: soundfile.SoundFile

    def read(self, start: int, stop: int) -> Samples:
        """Samples `[M, stop − start]`, as far as the file goes.

        Raises:
            SoundError: the file ends before the length it states, or holds samples that are no numbers.
        """
        wanted = min(stop, self.length) - start
        try:
            self._file.seek(start)
            block: Samples = self._file.read(wanted, dtype="float32", always_2d=True).T
        except soundfile.SoundFileError:
            block = np.zeros((self.channels, 0), np.float32)
        if block.shape[1] < wanted:
            at = (start + block.shape[1]) / self.rate_hz
            raise SoundError(
                f"{self.path} is damaged: nothing can be read of it from {at:.2f} s on; record or copy it anew"
            )
        if not np.isfinite(block).all():
            channel, sample = (int(v[0]) for v in np.nonzero(~np.isfinite(block)))
            at = (start + sample) / self.rate_hz
            raise SoundError(
                f"{self.path} holds a sample that is no number, in channel {channel + 1} at {at:.3f} s: export it anew"
            )
        return block


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """The recording in a file.

    Raises:
        SoundError: it is no sound that can be read, or has no samples.
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        if not stream.read(1):
            raise SoundError(f"{path} is empty: it holds no sound")
        stream.seek(0)
        try:
            file = soundfile.SoundFile(stream)
        except soundfile.SoundFileError:
            raise SoundError(f"{path} is no sound file that can be read: give wav, flac, ogg or aiff") from None
        with file:
            if file.frames <= 0:
                raise SoundError(f"{path} is empty: it holds no sound")
            yield Recording(path, int(file.samplerate), int(file.channels), int(file.frames), file)
