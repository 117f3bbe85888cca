"""Arrays over HTTP and WebSocket: what `schemas.Sensor` says of an array, and its spectrogram as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, HTTPException, Path, Response
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from fusion.geometry import direction_to_angles, wrap_azimuth_deg
from fusion.sensors.microphone_array.ambience import CENTRES_HZ
from fusion.sensors.microphone_array.config import ArrayConfig
from models.acoustic_network import SOUNDS
from service.ear import SPECTRUM_BANDS, Heard
from service.hearing import SPECTROGRAM_S, Hearing, Hearings
from service.listen import direction_json
from service.problems import documented
from service.schemas import Json, rfc3339
from service.sound_capture import SoundTiming
from service.types import SensorHealth

COLUMNS = 600  # one for each look of the minute
ROW_PX = 2
RANGE_DB = 50.0  # from the softest that is drawn to the loudest
SOFTEST = 0.05  # of all is drawn black

ArrayId = Annotated[str, Path(examples=["mic-north"])]


class Sounds:
    """The arrays of a service as clients see them."""

    def __init__(self, arrays: Sequence[ArrayConfig], hearings: Hearings) -> None:
        self._arrays = {array.id: array for array in arrays}
        self._hearings = hearings

    def describe(self, health: SensorHealth) -> Json | None:
        """An array as `schemas.Sensor`; None for any other sensor."""
        array = self._arrays.get(health.sensor_id)
        return None if array is None else array_json(array, health, self._hearings.newest(array.id))

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/v1", responses=documented(422))
        content = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
        answers: dict[int | str, dict[str, Any]] = {200: {"content": content}, **documented(404, 503)}
        router.add_api_route(
            "/sensors/{id}/spectrogram.png",
            self.spectrogram,
            tags=["sensors"],
            summary="The last minute of an array's sound",
            responses=answers,
            response_class=Response,
        )
        return router

    async def spectrogram(self, id: ArrayId) -> Response:
        """PNG of 600 x 192: time runs right, 100 ms a column, the newest at the right edge (`X-Time`); frequency runs
        up from 50 Hz to 8 kHz, logarithmic; brightness is level, 50 dB from black to white."""
        if id not in self._arrays:
            raise HTTPException(404, f"There is no microphone array {id!r}. See /api/v1/sensors for the sensors.")
        hearing = self._hearings.get(id)
        if hearing is None:
            raise HTTPException(503, f"The array {id!r} has not been heard yet: try again.", {"Retry-After": "1"})
        headers = {"X-Time": rfc3339(hearing.heard.time_ns)}
        return Response(await run_in_threadpool(spectrogram_png, hearing), media_type="image/png", headers=headers)


def spectrogram_png(hearing: Hearing) -> bytes:
    """The last minute as a picture; where nothing was heard it is black."""
    picture = np.zeros((SPECTRUM_BANDS, COLUMNS), np.uint8)
    newest_ns = hearing.heard.time_ns
    levels = np.stack([level for _, level in hearing.spectrogram], axis=1)
    ages = np.array([newest_ns - time_ns for time_ns, _ in hearing.spectrogram])
    columns = COLUMNS - 1 - np.round(ages * (COLUMNS / (SPECTROGRAM_S * 1e9))).astype(int)
    shown = (columns >= 0) & (columns < COLUMNS)
    softest = float(np.quantile(levels, SOFTEST))
    picture[:, columns[shown]] = _brightness(levels[::-1, shown], softest)
    tall: NDArray[np.uint8] = np.repeat(picture, ROW_PX, axis=0)
    _, encoded = cv2.imencode(".png", cv2.applyColorMap(tall, cv2.COLORMAP_INFERNO))
    return encoded.tobytes()


def _brightness(level_db: NDArray[np.float32], softest_db: float) -> NDArray[np.uint8]:
    bright: NDArray[np.uint8] = np.clip((level_db - softest_db) * (255.0 / RANGE_DB), 0.0, 255.0).astype(np.uint8)
    return bright


def array_json(array: ArrayConfig, health: SensorHealth, newest: tuple[Heard, SoundTiming, int] | None) -> Json:
    """A `schemas.Sensor` that is an array."""
    picture = f"/api/v1/sensors/{array.id}/spectrogram.png"
    return {
        "id": array.id,
        "kind": "microphone_array",
        "spectrum": None,
        "source": str(array.source),
        "state": health.state.value,
        "reason": health.reason,
        "fps": round(health.fps, 2),
        "frames_in": health.frames_in,
        "processed": health.processed,
        "dropped": dict(health.dropped),
        "reconnects": health.reconnects,
        "time_source": health.time_source,
        "last_frame": rfc3339(health.last_frame_ns) if health.last_frame_ns else None,
        "width": None,
        "height": None,
        "snapshot": None,
        "stream": None,
        "sound": None if newest is None else {**sound_json(*newest), "spectrogram": picture},
    }


def sound_json(heard: Heard, timing: SoundTiming, rate_hz: int) -> Json:
    """A `schemas.Sound` but for the address of its spectrogram."""
    ambience = heard.ambience
    bands = zip(CENTRES_HZ, ambience.band_db.tolist(), ambience.floor_db.tolist(), strict=False)
    directions = zip(heard.directions, heard.fixed, strict=True)
    return {
        "time": rfc3339(heard.time_ns),
        "state": "masked by wind" if heard.masked else "listening",
        "sample_rate_hz": rate_hz,
        "level_db": round(ambience.level_db, 1),
        "noise_floor_db": round(ambience.noise_floor_db, 1),
        "excess_db": round(ambience.excess_db, 1),
        "bands": [{"frequency": hz, "level": round(db, 1), "floor": round(floor, 1)} for hz, db, floor in bands],
        "scores": _scores(heard),
        "directions": [{**direction_json(each), "fixed": fixed} for each, fixed in directions],
        "fixed_emitters": [_place(emitter.direction) for emitter in heard.emitters],
        "faults": list(heard.faults),
        "clock": _clock(timing, rate_hz),
    }


def _scores(heard: Heard) -> Json | None:
    if heard.scores is None:
        return None
    return {name: round(score, 4) for name, score in zip(SOUNDS, heard.scores, strict=True)}


def _place(direction: NDArray[np.float64]) -> Json:
    azimuth, elevation = (math.degrees(float(angle)) for angle in direction_to_angles(direction))
    return {"azimuth": round(wrap_azimuth_deg(azimuth), 1), "elevation": round(elevation, 1)}


def _clock(timing: SoundTiming, rate_hz: int) -> Json:
    drift = timing.drift_ppm
    return {
        "drift_ppm": None if drift is None else round(drift, 1),
        "gaps": timing.gaps,
        "lost_s": round(timing.lost / rate_hz, 3),
        "measured_rate_hz": None if timing.wrong_rate_hz is None else round(timing.wrong_rate_hz, 1),
    }
