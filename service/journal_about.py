"""What a flight says of itself: all that replay needs beside the messages, and what people want to know years later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import orjson
from pydantic import TypeAdapter, ValidationError

from fusion.site import FusionConfig, Site, SiteFile, site_of
from fusion.types import NS
from service.detection import DetectorPool
from service.journal_format import FORMAT, FormatError
from service.schemas import rfc3339
from service.settings import Settings
from service.store import ALERTS, WORLD
from service.world import lag_ns

ABOUT = "deeplomatics"  # name of the metadata record


@dataclass(frozen=True, slots=True)
class CameraAbout:
    """What the tracker of one camera began with.

    Attributes:
        weights: SHA-256 of the detector's.
        thresholds: operating score per class.
        first_id: of the next track at the beginning of the file.
    """

    spectrum: str
    weights: str
    thresholds: dict[str, float]
    first_id: int = 1


@dataclass(frozen=True, slots=True)
class About:
    """All that replay needs beside the messages.

    Attributes:
        version: of the program.
        session: the run of the service; `part` counts its files from 0.
        site: the checked site file as JSON without sources (they hold secrets), or empty.
        settings: of the service, without secrets, for people.
        first_world_id: of the next fused track at the beginning of the file.
        scenario: of a simulation, the scenario file as JSON with its seed; empty for a real flight.
        detections: of a simulation, `rendered` (the detector on drawn pictures) or `drawn` (from the truth, with the
            detector's measured errors, no picture at all); empty for a real flight.
        first_seq: of the bus in this file; what was said before and still holds (zones) is repeated ahead of it.
    """

    version: str
    session: str
    part: int = 0
    started_ns: int = 0
    site_name: str = ""
    site: str = ""
    settings: str = ""
    cameras: dict[str, CameraAbout] = field(default_factory=dict)
    first_world_id: int = 1
    first_alert: int = 1
    first_seq: int = 1
    scenario: str = ""
    detections: str = ""


_ABOUT: TypeAdapter[About] = TypeAdapter(About)


def about_record(about: About) -> dict[str, str]:
    """As a metadata record, which holds texts alone."""
    return {"format": str(FORMAT), "about": orjson.dumps(asdict(about)).decode()}


def read_about(record: dict[str, str]) -> About:
    """What `about_record` wrote.

    Raises:
        FormatError: of a newer version, or not of this program.
    """
    number = record.get("format", "")
    if not number.isdecimal() or len(number) > 9:
        raise FormatError("it does not say which format it has")
    if int(number) > FORMAT:
        raise FormatError(f"it has format {number} and this version reads up to {FORMAT}: update the program")
    try:
        return _ABOUT.validate_json(record.get("about", ""))
    except ValidationError:
        raise FormatError("what it says of itself cannot be read") from None


def about_run(
    settings: Settings, site: Site | None, detectors: DetectorPool, first_ids: Mapping[str, int], now_ns: int
) -> About:
    """Of a service that begins now.

    Args:
        first_ids: the numbers that the first tracks and alerts get, by camera and by kind of the store.
    """
    cameras = {
        camera.id: CameraAbout(
            camera.spectrum,
            detectors.weights[camera.spectrum],
            dict(detectors.thresholds(camera.spectrum)),
            first_ids[camera.id],
        )
        for camera in settings.cameras
    }
    return About(
        version=version("deeplomatics"),
        session=rfc3339(now_ns),
        started_ns=now_ns,
        site_name=settings.site_name,
        site=site_text(site) if site is not None else "",
        settings=settings.model_dump_json(include={"detector", "recording", "store_min_score"}),
        cameras=cameras,
        first_world_id=first_ids.get(WORLD, 1),
        first_alert=first_ids.get(ALERTS, 1),
    )


def site_text(site: Site) -> str:
    """The file without its sources, and with the lag that followed from them. Of a scenario the site alone. Of what a
    sensor's capture says, only what its sound is heard with."""
    sensors = tuple(
        sensor.model_copy(
            update={"source": None, "capture": {k: v for k, v in sensor.capture.items() if k == "temperature"}}
        )
        for sensor in site.file.sensors
    )
    update = {"sensors": sensors, "fusion": FusionConfig(lag=lag_ns(site) / NS), "store": None, "recording": None}
    file = site.file.model_copy(update=update)
    return file.model_dump_json(exclude_defaults=True, include=set(SiteFile.model_fields))


def recorded_site(about: About) -> Site | None:
    """The site as it was; None for a flight of cameras without one.

    Raises:
        FormatError: it is not one that this version understands.
    """
    if not about.site:
        return None
    try:
        return site_of(SiteFile.model_validate_json(about.site))
    except ValidationError as error:
        raise FormatError(f"its site cannot be read: {error.errors()[0]['msg'].lower()}") from None
