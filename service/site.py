"""A site file as the service uses it: read, checked whole, its cameras made ready to be captured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.microphone_array.config import ArrayConfig, SoundAddress
from fusion.site import Fault, SensorConfig, Site, SiteError, parse_site
from service.base_map import map_of
from service.recording import RecordingSettings


def arrays_of(site: Site, path: Path) -> tuple[ArrayConfig, ...]:
    """The arrays of a site file that are listened to here, in the order of the file.

    Raises:
        SiteError: all that is wrong with their sources.
    """
    arrays: list[ArrayConfig] = []
    faults: list[Fault] = []
    for index, sensor in enumerate(site.file.sensors):
        if sensor.kind == "microphone_array" and sensor.source is not None:
            try:
                arrays.append(_array(sensor, path.parent))
            except ValidationError as error:
                faults += _faults(error, index, _lines(path.read_text(encoding="utf-8"))[index])
    if faults:
        raise SiteError(faults)
    return tuple(arrays)


def _array(sensor: SensorConfig, folder: Path) -> ArrayConfig:
    """Names of files are as seen from the site file."""
    places = sensor.microphones or ()
    values = {**sensor.capture, "id": sensor.id, "source": sensor.source, "microphones": places}
    array = ArrayConfig.model_validate(values)
    if array.source is not None and array.source.kind == "path":
        return array.model_copy(update={"source": SoundAddress.of_file(str(folder / array.source.reveal()))})
    return array


def read_site(path: Path) -> tuple[Site, tuple[CameraConfig, ...]]:
    """The site of a file, and its cameras in the order of the file; one without a source is not captured here.

    Raises:
        SiteError: all that is wrong with it.
        OSError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SiteError([Fault(1, "", "the file is not UTF-8 text; a site is written in YAML")]) from None
    site, cameras = checked_site(text, path.parent)
    map_of(site, path)  # its files are there
    return site, cameras


def checked_site(text: str, folder: Path) -> tuple[Site, tuple[CameraConfig, ...]]:
    """The site that a text is, and its cameras; names of files are as seen from `folder`.

    Raises:
        SiteError: all that is wrong with it.
    """
    site = parse_site(text)
    cameras: list[CameraConfig] = []
    faults: list[Fault] = []
    for index, sensor in enumerate(site.file.sensors):
        if sensor.kind == "camera" and sensor.source is not None:
            try:
                cameras.append(_camera(sensor, folder))
            except ValidationError as error:
                faults += _faults(error, index, _lines(text)[index])
    if faults:
        raise SiteError(faults)
    return site, tuple(cameras)


def recording_of(site: Site, folder: Path) -> RecordingSettings | None:
    """How a site of that folder records; None where it does not."""
    wanted = site.file.recording
    if wanted is None:
        return None
    return RecordingSettings(**wanted.model_dump(exclude_none=True) | {"folder": folder / wanted.folder})


def _camera(sensor: SensorConfig, folder: Path) -> CameraConfig:
    """Names of files are as seen from the site file."""
    values: dict[str, Any] = {**sensor.capture, "id": sensor.id, "spectrum": sensor.spectrum, "source": sensor.source}
    camera = CameraConfig.model_validate(values)
    if camera.source.kind == "path":
        inside = SourceAddress(str(folder / camera.source.reveal()), environ={})
        return camera.model_copy(update={"source": inside})
    return camera


def _faults(error: ValidationError, index: int, line: int) -> Iterator[Fault]:
    for each in error.errors(include_input=False, include_url=False):
        name = ".".join(map(str, each["loc"])) or "source"  # an array's address may not say enough
        own = name.startswith(("source", "microphones"))
        where = f"sensors[{index}].{name if own else f'capture.{name}'}"
        yield Fault(line, where, each["msg"].removeprefix("Value error, "))


def _lines(text: str) -> list[int]:
    """1-based line of each sensor of a file that is known to be well formed."""
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    (sensors,) = (value for key, value in root.value if key.value == "sensors")
    return [node.start_mark.line + 1 for node in sensors.value]
