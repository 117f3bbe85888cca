"""What a person says about a camera so that its pictures can be fetched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusion.sensors.address import SourceAddress
from models.types import Band

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class CameraConfig(BaseModel):
    """One camera. Errors never quote the input, which may hold a password.

    Attributes:
        id: unique in the site; part of track ids and of addresses.
        spectrum: decides the detector, and one channel (infrared) or three (visible).
        source: video file, folder of images, `rtsp(s)://` or `http(s)://` URL, device index or `/dev/videoN`;
            secrets as `${ENV_NAME}`.
        fps: pictures per second of a folder (30 where not given), and of a video that says nothing itself.
        loop: a file or folder starts again when it ends.
        transport: how RTSP carries the video.
        open_timeout_s: how long a live source may take to answer.
        latency_s, latency_sigma_s: from mid-exposure to arrival here, and its standard deviation; used when the
            camera does not say its own time.
        clock_tolerance_s: a camera whose clock is further off than this is timed by arrival instead.
        decode_threads: one core decodes about 100 frames per second of 1080p.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    kind: Literal["camera"] = "camera"
    spectrum: Band = "visible"
    source: SourceAddress
    fps: float | None = Field(default=None, gt=0.0, le=1000.0, allow_inf_nan=False)
    loop: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = Field(default=5.0, gt=0.0, le=60.0, allow_inf_nan=False)
    latency_s: Seconds = 0.1
    latency_sigma_s: Seconds = 0.1
    clock_tolerance_s: Seconds = 5.0
    decode_threads: int = Field(default=1, ge=1, le=16)
