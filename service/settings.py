"""Settings of the service: defaults < environment (`DEEPLOMATICS_…`) < what the command line says."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.site import MapConfig
from models.types import CLASSES, Band
from service.recording import RecordingSettings

Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


def default_data_folder() -> Path:
    """Where a service that was told nothing keeps its store: the user's own data folder (XDG)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "deeplomatics"


class DetectorSettings(BaseModel):
    """How pictures become detections.

    Attributes:
        device: `auto` takes CUDA where there is one.
        weights: a file per band in place of the one that comes with the program.
        thresholds: operating threshold per class in place of the one that lies with the weights; a detection below it
            is kept and stored but is not drawn.
        precision: `auto` computes with eight bits on a processor that has the instructions for it, which is 2.5 times
            as quick at half a point of F1; `single` never does.
        operating_point: false drone alarms per hour that are borne; sets the threshold of drones by the curve that was
            measured on `val` and lies with the weights. None: the threshold with the best F1.
        threads: of one detector on the CPU; more than one costs more than it gives when cameras share the machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["auto", "cpu", "cuda"] = "auto"
    weights: dict[Band, Path] = {}
    thresholds: dict[str, Score] = {}
    precision: Literal["auto", "single"] = "auto"
    operating_point: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    threads: int = Field(default=1, ge=1, le=64)

    @field_validator("thresholds")
    @classmethod
    def _known_classes(cls, thresholds: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(thresholds) - set(CLASSES))
        if unknown:
            raise ValueError(f"unknown class {unknown[0]!r}: the classes are {', '.join(CLASSES)}")
        return thresholds


class Settings(BaseSettings):
    """Everything a service is told before it starts.

    Attributes:
        host, port: where HTTP is served; loopback only until there is authentication. Port 0 takes a free one.
        data_folder: made when missing; holds the store.
        store: `sqlite:///PATH` or `postgresql://…`; empty: `deeplomatics.sqlite3` in the data folder.
        store_min_score: fainter detections are not kept (the tracker and the live topic see them, and a track keeps all
            of its points): they are ten times as many as the others, and hardly any is an object.
        cameras: the sources, one each.
        arrays: of microphones, each with its source.
        recording: where flights are recorded, and how much of them is kept; None: not at all.
        map: what lies below the console's map, names of files absolute; None: nothing.
        site_name: shown by the console.
        log_format: `auto` is console on a terminal and JSON elsewhere.
    """

    model_config = SettingsConfigDict(
        env_prefix="DEEPLOMATICS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_folder: Path = Field(default_factory=default_data_folder)
    store: str = ""
    store_min_score: Score = 0.25
    detector: DetectorSettings = DetectorSettings()
    cameras: tuple[CameraConfig, ...] = ()
    arrays: tuple[ArrayConfig, ...] = ()
    recording: RecordingSettings | None = None
    map: MapConfig | None = None
    site_name: str = "Deeplomatics"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if not _is_loopback(host):
            raise ValueError(
                f"refusing to listen on {host!r}: there is no authentication yet, so only this machine may connect; "
                "use --host 127.0.0.1 and an SSH tunnel to reach it from elsewhere"
            )
        return host

    @model_validator(mode="after")
    def _one_name_each(self) -> Settings:
        names = self.sensor_ids
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sensors are called {twice[0]!r}: give each its own id")
        return self

    @property
    def sensor_ids(self) -> tuple[str, ...]:
        """Of all that is read here."""
        return (*(camera.id for camera in self.cameras), *(array.id for array in self.arrays))

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite:///{self.data_folder / 'deeplomatics.sqlite3'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
