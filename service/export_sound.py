"""The recorded sound of an array as a sound file: all channels, 16 bits, as they came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import soundfile

from fusion.sensors.microphone_array.source import Block
from service import foxglove
from service.flight_file import Flight
from service.journal import sound_topic
from service.schemas import rfc3339

SILENCE_S = 1.0  # between two pieces; a shorter gap is as long as it was


class NoSoundError(Exception):
    """The flight holds no sound of this array; one plain sentence."""


def arrays_with_sound(flight: Flight) -> list[str]:
    """Arrays of which something was recorded."""
    before, after = sound_topic("\0").split("\0")
    topics = {stored.line.topic for stored in flight.messages() if stored.line.schema == foxglove.SOUND}
    return sorted(topic.removeprefix(before).removesuffix(after) for topic in topics)


def write_sound(flight: Flight, stream: IO[bytes], array: str) -> list[str]:
    """Write a WAV file (RF64 where it is beyond 4 GB); when its pieces began, a sentence each.

    Raises:
        NoSoundError: there is none of this array.
        OSError: the stream cannot be written.
    """
    file: soundfile.SoundFile | None = None
    told: list[str] = []
    end = written = 0
    try:
        for block in sound_of(flight, array):
            if file is None:
                file = soundfile.SoundFile(
                    stream, "w", block.rate_hz, len(block.samples), "PCM_16", format="RF64" if _huge(flight) else "WAV"
                )
            elif block.rate_hz != file.samplerate or len(block.samples) != file.channels:
                told.append(f"from {rfc3339(block.time_ns)} on it has another form and is left out")
                break
            missing = block.index - end
            if file.frames == 0 or not 0 <= missing <= SILENCE_S * block.rate_hz:
                missing = round(SILENCE_S * block.rate_hz) if written else 0
                told.append(f"{(written + missing) / block.rate_hz:.3f} s is {rfc3339(block.time_ns)}")
            file.write(np.zeros((missing, len(block.samples)), np.float32))
            file.write(block.samples.T)
            written += missing + block.samples.shape[1]
            end = block.index + block.samples.shape[1]
    finally:
        if file is not None:
            file.close()
    if file is None:
        raise NoSoundError(f"{flight.path} holds no sound of {array}: record with `sound: all` or `sound: detections`.")
    return told


def sound_of(flight: Flight, array: str) -> Iterator[Block]:
    """The recorded blocks of an array in their order; what cannot be read is left out."""
    for stored in flight.messages():
        if stored.line.schema == foxglove.SOUND and stored.line.topic == sound_topic(array):
            try:
                yield foxglove.block_of(array, bytes(stored.data))
            except ValueError:
                continue


def _huge(flight: Flight) -> bool:
    return flight.size > 2 << 30
