"""`deeplomatics listen` of something that has no end: the same lines as of a recording, as they are heard.

`t0` is UTC of the first look; an estimate's `time` counts from it. Nothing but the capture knows of the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import SoundError
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS
from service.clock import Clock
from service.ear import STEP_S, Ear, Heard
from service.listen import Warn, direction_json
from service.partial import written
from service.sound_capture import SoundFeed, sound_feed
from service.track import Progress
from service.types import SensorState

POLL_S = 0.25


def listen_live(
    array: ArrayConfig,
    output: Path,
    recogniser: Callable[[], Recogniser],
    progress: Progress,
    warn: Warn,
    clock: Clock,
) -> None:
    """Write a header and a line for each look at `array.source` to `output` (`-`: standard output) until interrupted.

    Args:
        warn: told in a sentence what is wrong, when that changes.

    Raises:
        SoundError: the first connection fails; later ones are made anew.
        WeightsError, OSError: then nothing stands under the output's name.
    """
    network = recogniser()
    feed = sound_feed(array, clock)
    feed.start()
    try:
        with written(output) as stream, suppress(KeyboardInterrupt):
            for line in _lines(feed, array, network, warn):
                stream.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                stream.flush()
                if line["type"] == "sound":
                    progress.step()
    finally:
        feed.stop()


def _lines(feed: SoundFeed, array: ArrayConfig, network: Recogniser, warn: Warn) -> Iterator[dict[str, Any]]:
    first_ns: int | None = None
    told: set[str] = set()
    for heard, rate_hz in _looks(feed, array, network, warn):
        if first_ns is None:
            first_ns = heard.time_ns
            yield _header(array, rate_hz, first_ns, network)
        for fault in heard.faults:
            if fault not in told:
                warn(f"{array.source}: {fault}")
        told = set(heard.faults)
        yield _sound(heard, first_ns)


def _looks(feed: SoundFeed, array: ArrayConfig, network: Recogniser, warn: Warn) -> Iterator[tuple[Heard, int]]:
    ear: Ear | None = None
    said = ""
    try:
        while not feed.ended:
            block = feed.next(POLL_S)
            if block is None:
                said = _complained(feed, ear is None, said, warn)
                continue
            if ear is None or ear.rate_hz != block.rate_hz:
                ear = Ear(array, block.rate_hz, network)
            for heard in ear.step(block):
                yield heard, block.rate_hz
    finally:
        if ear is not None:
            ear.close()


def _complained(feed: SoundFeed, first: bool, said: str, warn: Warn) -> str:
    """What is wrong with the source while nothing comes; told once.

    Raises:
        SoundError: it never gave anything, or is given up.
    """
    health = feed.health()
    if health.state is SensorState.FAILED or (first and health.state is SensorState.DOWN):
        raise SoundError(health.reason.removesuffix("; trying again"))
    if health.reason and health.reason != said and health.state is not SensorState.ONLINE:
        warn(health.reason)
    return health.reason


def _header(array: ArrayConfig, rate_hz: int, first_ns: int, network: Recogniser) -> dict[str, Any]:
    return {
        "type": "header",
        "source": str(array.source),
        "sample_rate_hz": rate_hz,
        "channels": len(array.microphones),
        "t0": first_ns * 1e-9,
        "step": STEP_S,
        "model": network.name,
        "model_sha256": network.sha256,
        "version": version("deeplomatics"),
    }


def _sound(heard: Heard, first_ns: int) -> dict[str, Any]:
    scores = zip(SOUNDS, heard.scores, strict=True) if heard.scores is not None else ()
    return {
        "type": "sound",
        "time": round((heard.time_ns - first_ns) * 1e-9, 6),
        "scores": {name: round(score, 4) for name, score in scores},
        "directions": [direction_json(each) for each in heard.directions],
        "masked": heard.masked,
    }
