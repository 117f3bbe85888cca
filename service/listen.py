"""`deeplomatics listen`: a recording to what it is and, with an array, where from; the same lines each time.

Ten estimates a second. The scores are of the second of sound around an estimate's time, the directions of the tenth of
a second around it; at either end of the recording of the nearest that lies inside. A recording goes through in parts of
ten seconds, so its length does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import orjson
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from fusion.geometry import wrap_azimuth_deg
from fusion.sensors.microphone_array.channels import mended
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.measure import Direction
from fusion.sensors.microphone_array.pcm import Samples
from fusion.sensors.microphone_array.source import Recording, SoundError, open_recording
from fusion.sensors.microphone_array.stream import fits
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS
from service.partial import written
from service.track import Progress, RequestError
from service.wiring import WINDOW_S, Wiring, examine, window_of

STEP_S = 0.1
_PART_S = 10.0
_SCORED_S = 1.0
_BATCH = 64

Warn = Callable[[str], None]


class Estimate(NamedTuple):
    """What is heard at `time_s` of the recording: scores in the order of `SOUNDS`, and directions."""

    time_s: float
    scores: NDArray[np.float32]
    directions: tuple[Direction, ...]


def read_array(path: Path, source: str | None = None) -> ArrayConfig:
    """The array that a YAML file describes.

    Args:
        source: where it is heard, in place of what the file says.

    Raises:
        RequestError: with what is wrong and the mend.
        OSError: it cannot be read.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise RequestError(f"{path} is no YAML file: see `microphones` in the manual") from None
    if not isinstance(data, dict):
        raise RequestError(f"{path} describes no array: write `microphones: [[east, north, up], …]` in metres")
    try:
        return ArrayConfig.model_validate(data if source is None else data | {"source": source})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "source"
        message = first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{path}, {place}: {message[:1].lower()}{message[1:]}") from None


def listen(
    audio: Path,
    array: ArrayConfig | None,
    output: Path,
    recogniser: Callable[[], Recogniser],
    progress: Progress,
    warn: Warn,
) -> None:
    """Write a header and one line for each tenth of a second of `audio` to `output` (`-`: standard output).

    Args:
        recogniser: gives the network; called once the recording is known to be good.
        warn: told in a sentence what is wrong with a channel.

    Raises:
        SoundError, WeightsError, OSError: then nothing stands under the output's name.
    """
    with ExitStack() as opened:
        recording = opened.enter_context(open_recording(audio))
        _fits(recording, array)
        first = recording.read(0, _samples(recording, _PART_S))
        wiring = examine(str(recording.path), first, recording.rate_hz, array)
        for fault in wiring.sentences:
            warn(f"{audio}: {fault}")
        network = recogniser()
        stream = opened.enter_context(written(output))
        _line(stream, header(recording, wiring, network))
        progress.begin(str(audio), _estimates(recording))
        for estimate in estimates(recording, wiring, network):
            _line(stream, sound(estimate))
            progress.step()
        stream.flush()


def _fits(recording: Recording, array: ArrayConfig | None) -> None:
    """The recording is one of this array."""
    if array is None:
        return
    fits(str(recording.path), recording.rate_hz, recording.channels, array)
    if recording.length < window_of(recording.rate_hz):
        raise SoundError(f"{recording.path} is too short for directions: {WINDOW_S:.2f} s are needed")


def estimates(recording: Recording, wiring: Wiring, network: Recogniser) -> Iterator[Estimate]:
    """All estimates of a recording in order of time."""
    rate, count = recording.rate_hz, _estimates(recording)
    margin = _samples(recording, 0.5 * _SCORED_S) + 1
    a_part = round(_PART_S / STEP_S)
    for first in range(0, count, a_part):
        numbers = range(first, min(first + a_part, count))
        centres = [round((number + 0.5) * STEP_S * rate) for number in numbers]
        start = max(min(centres[0], recording.length - margin) - margin, 0)
        part = mended(recording.read(start, centres[-1] + margin), wiring.faults)
        inside = [min(centre, recording.length) - start for centre in centres]
        scores = _scores(part[wiring.heard], inside, rate, network)
        for number, centre, row in zip(numbers, inside, scores, strict=True):
            yield Estimate((number + 0.5) * STEP_S, row, _directions(part, centre, wiring))


def _scores(samples: Samples, centres: list[int], rate_hz: int, network: Recogniser) -> NDArray[np.float32]:
    """`[B, 3]` of the second around each centre."""
    heard = network.resampled(samples, rate_hz)
    window, ratio = network.architecture.window, network.architecture.rate_hz / rate_hz
    looks = np.stack([_around(heard, round(centre * ratio), window) for centre in centres])
    return np.concatenate([network.scores(looks[i : i + _BATCH]) for i in range(0, len(looks), _BATCH)])


def _directions(part: Samples, centre: int, wiring: Wiring) -> tuple[Direction, ...]:
    if wiring.array is None:
        return ()
    channels, finder = wiring.array
    return finder.find(_around(part, centre, finder.window)[channels])


def _around(samples: Samples, centre: int, window: int) -> Samples:
    """`[…, window]` around a centre, moved to lie inside; sound shorter than it is repeated."""
    length = samples.shape[-1]
    if length < window:
        return samples[..., np.arange(window) % length]
    start = min(max(centre - window // 2, 0), length - window)
    inside: Samples = samples[..., start : start + window]
    return inside


def _samples(recording: Recording, seconds: float) -> int:
    return round(seconds * recording.rate_hz)


def _estimates(recording: Recording) -> int:
    return max(round(recording.length / recording.rate_hz / STEP_S), 1)


def header(recording: Recording, wiring: Wiring, network: Recogniser) -> dict[str, Any]:
    """The first line. A sound file does not say when it was recorded: `t0` is 0."""
    return {
        "type": "header",
        "source": str(recording.path),
        "sample_rate_hz": recording.rate_hz,
        "channels": recording.channels,
        "t0": 0.0,
        "step": STEP_S,
        "faults": list(wiring.sentences),
        "model": network.name,
        "model_sha256": network.sha256,
        "version": version("deeplomatics"),
    }


def sound(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON, degrees."""
    return {
        "type": "sound",
        "time": round(estimate.time_s, 6),
        "scores": {name: round(float(score), 4) for name, score in zip(SOUNDS, estimate.scores, strict=True)},
        "directions": [direction_json(each) for each in estimate.directions],
    }


def direction_json(direction: Direction) -> dict[str, float]:
    """A direction, degrees."""
    return {
        "azimuth": round(wrap_azimuth_deg(math.degrees(direction.azimuth_rad)), 3),
        "elevation": round(math.degrees(direction.elevation_rad), 3),
        "sigma_azimuth": round(math.degrees(direction.sigma_azimuth_rad), 3),
        "sigma_elevation": round(math.degrees(direction.sigma_elevation_rad), 3),
        "score": round(direction.score, 4),
    }


def _line(stream: IO[bytes], record: dict[str, Any]) -> None:
    stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
