"""`site.yaml`: where the sensors stand and what they are. All faults are found at once, each with line and mend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from fusion.alerts import ZoneArea
from fusion.geometry import CameraModel, Geodetic, LocalFrame, attitude_matrix, quaternion_from_matrix
from fusion.sensors import sensor_kinds
from fusion.types import Coverage, SensorPose

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90.0, le=90.0, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180.0, le=180.0, allow_inf_nan=False)]
Altitude = Annotated[float, Field(ge=-1000.0, le=100_000.0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Triple = tuple[Finite, Finite, Finite]
Checked = TypeVar("Checked", bound=BaseModel)

_MOST_TEXT = 1_000_000
#: A drone this wide, m, is found down to this many pixels: sets how far a camera's silence means something.
_DRONE_M, _LEAST_PX = 0.4, 4.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Origin(_Strict):
    latitude: Latitude
    longitude: Longitude
    altitude: Altitude = 0.0


class SiteConfig(_Strict):
    name: str = "site"
    origin: Origin


class Position(_Strict):
    """Either `enu` or latitude, longitude and altitude."""

    enu: Triple | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    altitude: Altitude | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Position:
        geodetic = (self.latitude, self.longitude, self.altitude)
        if (self.enu is None) == all(v is None for v in geodetic):
            raise ValueError("give either enu: [e, n, u] or latitude, longitude and altitude")
        if self.enu is None and any(v is None for v in geodetic):
            raise ValueError("latitude, longitude and altitude are needed together")
        return self

    def in_frame(self, frame: LocalFrame) -> tuple[float, float, float]:
        if self.enu is not None:
            return self.enu
        e, n, u = frame.to_enu(self.latitude or 0.0, self.longitude or 0.0, self.altitude or 0.0).tolist()
        return e, n, u


class Orientation(_Strict):
    """Degrees; azimuth clockwise from true north."""

    azimuth: Annotated[float, Field(ge=-360.0, le=360.0, allow_inf_nan=False)]
    elevation: Latitude = 0.0
    roll: Longitude = 0.0


class Intrinsics(_Strict):
    width: Annotated[int, Field(gt=0, le=65_535)]
    height: Annotated[int, Field(gt=0, le=65_535)]
    fx: Positive
    fy: Positive
    cx: Finite
    cy: Finite
    distortion: Annotated[tuple[Finite, ...], Field(max_length=5)] = ()

    def model(self) -> CameraModel:
        k1, k2, p1, p2, k3 = (*self.distortion, 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
        return CameraModel(self.width, self.height, self.fx, self.fy, self.cx, self.cy, (k1, k2, p1, p2, k3))


class SensorConfig(_Strict):
    """One sensor of the site; a camera without position and orientation still tracks in its own picture.

    Attributes:
        horizontal_fov, width, height: degrees and pixels; in place of intrinsics for an undistorted camera.
        attitude_sigma, position_sigma: degrees and metres, how well each axis is known; zero: not stated.
        clock_offset, clock_sigma: seconds that its stamps are ahead (`deeplomatics calibrate` finds them), and how well
            that is known.
        detection_probability, false_reports: of a drone in one look; expected false ones in one look.
        max_range: metres; silence beyond it means nothing.
        capture: settings of the source (`fps`, `loop`, …), checked by the capture.
    """

    id: Name
    kind: str
    spectrum: Literal["visible", "infrared"] = "visible"
    source: str | int | None = None
    position: Position | None = None
    orientation: Orientation | None = None
    intrinsics: Intrinsics | None = None
    horizontal_fov: Annotated[float, Field(gt=0.0, lt=180.0, allow_inf_nan=False)] | None = None
    width: Annotated[int, Field(gt=0, le=65_535)] | None = None
    height: Annotated[int, Field(gt=0, le=65_535)] | None = None
    microphones: tuple[Triple, ...] | None = None
    attitude_sigma: Annotated[float, Field(ge=0.0, le=180.0, allow_inf_nan=False)] = 0.0
    position_sigma: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    clock_offset: Annotated[float, Field(ge=-3600.0, le=3600.0, allow_inf_nan=False)] = 0.0
    clock_sigma: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    detection_probability: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    false_reports: Positive = 0.1
    max_range: Positive | None = None
    capture: dict[str, Any] = {}

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in sensor_kinds():
            raise ValueError(f"there is no such kind; the kinds are {', '.join(sensor_kinds())}")
        return kind

    @model_validator(mode="after")
    def _fits_its_kind(self) -> SensorConfig:
        if self.kind == "camera":
            self._check_camera()
        elif self.intrinsics or self.horizontal_fov or self.orientation:
            raise ValueError(f"orientation and intrinsics belong to cameras, not to kind {self.kind}")
        if self.microphones is not None and len(self.microphones) < 4:
            raise ValueError("an array needs at least four microphones to tell directions")
        return self

    def _check_camera(self) -> None:
        if self.intrinsics is not None and self.horizontal_fov is not None:
            raise ValueError("give either intrinsics or horizontal_fov, not both")
        if self.horizontal_fov is not None and (self.width is None or self.height is None):
            raise ValueError("horizontal_fov needs width and height of the picture beside it")
        placed = [self.position, self.orientation, self.intrinsics or self.horizontal_fov]
        if any(placed) and not all(placed):
            raise ValueError("a camera that locates needs position, orientation and intrinsics (or horizontal_fov)")

    def camera(self) -> CameraModel | None:
        if self.intrinsics is not None:
            return self.intrinsics.model()
        if self.horizontal_fov is None or self.width is None or self.height is None:
            return None
        return CameraModel.from_field_of_view(self.width, self.height, math.radians(self.horizontal_fov))


class Zone(_Strict):
    """Part of the air that people are told of when something flies into it.

    Attributes:
        kind: `alert` to be told; `exclusion` nothing may fly there at all.
        polygon: corners as [latitude, longitude], in order.
        floor, ceiling: metres above the ellipsoid; open where not given.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Literal["alert", "exclusion"] = "alert"
    polygon: Annotated[tuple[tuple[Latitude, Longitude], ...], Field(min_length=3, max_length=500)]
    floor: Altitude | None = None
    ceiling: Altitude | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Zone:
        if self.floor is not None and self.ceiling is not None and self.floor >= self.ceiling:
            raise ValueError("the floor of a zone must lie below its ceiling")
        if len(set(self.polygon)) < 3:
            raise ValueError("the polygon of a zone needs at least three different corners")
        return self

    def area(self, zone_id: str, frame: LocalFrame) -> ZoneArea:
        """As the alerts see it."""
        latitudes, longitudes = zip(*self.polygon, strict=True)
        corners = frame.to_enu(latitudes, longitudes, frame.origin.altitude_m)[:, :2].tolist()
        floor = -math.inf if self.floor is None else self.floor
        ceiling = math.inf if self.ceiling is None else self.ceiling
        places = tuple((e, n) for e, n in corners)
        return ZoneArea(zone_id, self.name, places, floor, ceiling, self.kind == "exclusion")


class Recording(_Strict):
    """Where flights are recorded: `folder` as seen from the site file; `frames` are the pictures that go along."""

    folder: str
    keep_days: Positive | None = None
    max_gb: Positive | None = None
    frames: Literal["all", "detections", "none"] | None = None
    part_minutes: Positive | None = None


class PlanImage(_Strict):
    """A picture of the site seen from above; three of its corners as [latitude, longitude] place, turn and scale it."""

    image: str
    upper_left: tuple[Latitude, Longitude]
    upper_right: tuple[Latitude, Longitude]
    lower_left: tuple[Latitude, Longitude]

    @model_validator(mode="after")
    def _has_area(self) -> PlanImage:
        (a, b), (c, d), (e, f) = self.upper_left, self.upper_right, self.lower_left
        if abs((c - a) * (f - b) - (d - b) * (e - a)) < 1e-14:
            raise ValueError("the three corners of a plan must not lie on one line")
        return self


class TilesConfig(_Strict):
    """Raster tiles: `source` is a folder or an address with {z}, {x} and {y}, an .mbtiles or a .pmtiles file."""

    source: str
    attribution: Annotated[str, Field(max_length=200)] = ""
    min_zoom: Annotated[int, Field(ge=0, le=22)] | None = None
    max_zoom: Annotated[int, Field(ge=0, le=22)] | None = None

    @model_validator(mode="after")
    def _zooms_in_order(self) -> TilesConfig:
        if self.min_zoom is not None and self.max_zoom is not None and self.min_zoom > self.max_zoom:
            raise ValueError("min_zoom must not be above max_zoom")
        return self


class MapConfig(_Strict):
    """What the console draws below its map; names of files are as seen from the site file."""

    plan: PlanImage | None = None
    geojson: tuple[str, ...] = ()
    tiles: TilesConfig | None = None


class FusionConfig(_Strict):
    """How the sensors' reports become tracks.

    Attributes:
        lag: seconds that a report may come later than its time; tracks are behind the clock by as much.
    """

    lag: Annotated[float, Field(ge=0.0, le=60.0, allow_inf_nan=False)] | None = None


class SiteFile(_Strict):
    """The whole file."""

    site: SiteConfig
    sensors: Annotated[tuple[SensorConfig, ...], Field(min_length=1)]
    zones: tuple[Zone, ...] = ()
    fusion: FusionConfig = FusionConfig()
    recording: Recording | None = None
    map: MapConfig | None = None
    store: str | None = None
    bus: str = "local"


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor as the fusion needs it: `pose` is None where it has no place."""

    config: SensorConfig
    pose: SensorPose | None
    camera: CameraModel | None
    coverage: Coverage | None


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site: its frame and its sensors by id, in the order of the file."""

    file: SiteFile
    frame: LocalFrame
    sensors: dict[str, Sensor]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: 1-based line, where, what, and the mend."""

    line: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}: {self.what}" if self.where else f"line {self.line}: {self.what}"


class SiteError(Exception):
    """A site file that cannot be used; `faults` holds all that is wrong with it, in order of lines."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(faults, key=lambda f: (f.line, f.where, f.what))
        super().__init__("; ".join(str(f) for f in self.faults))


def parse_site(text: str) -> Site:
    """The site that `text` (YAML) describes.

    Raises:
        SiteError: with every fault found.
    """
    return site_of(read_checked(text, SiteFile))


def read_checked(text: str, kind: type[Checked]) -> Checked:
    """The file of some `kind` (a site, or what holds one) that `text` (YAML) is.

    Raises:
        SiteError: with every fault found.
    """
    root, data = _load_yaml(text)
    faults = [*_repeated_keys(root, ()), *_repeated_ids(root, data)]
    try:
        file = kind.model_validate(data)
    except ValidationError as error:
        raise SiteError(faults + [_fault(root, e) for e in _own_faults(error.errors())]) from None
    if faults:
        raise SiteError(faults)
    return file


def site_of(file: SiteFile) -> Site:
    """What the fusion needs of a checked file."""
    origin = file.site.origin
    frame = LocalFrame(Geodetic(origin.latitude, origin.longitude, origin.altitude))
    return Site(file, frame, {config.id: _sensor(config, frame) for config in file.sensors})


def _sensor(config: SensorConfig, frame: LocalFrame) -> Sensor:
    camera = config.camera()
    return Sensor(config, _pose(config, frame), camera, _coverage(config, camera))


def _pose(config: SensorConfig, frame: LocalFrame) -> SensorPose | None:
    if config.position is None:
        return None
    position = config.position.in_frame(frame)
    turn = config.orientation
    if turn is None:
        return SensorPose(config.id, 0, position)
    enu_to_camera = attitude_matrix(*(math.radians(v) for v in (turn.azimuth, turn.elevation, turn.roll)))
    attitude = quaternion_from_matrix(enu_to_camera.T)
    return SensorPose(config.id, 0, position, attitude, attitude_sigma_rad=math.radians(config.attitude_sigma))


def _coverage(config: SensorConfig, camera: CameraModel | None) -> Coverage | None:
    """Silence means something of cameras, and of other sensors whose detection probability is stated."""
    if camera is None and config.detection_probability is None:
        return None
    focal = camera.fx if camera is not None else math.inf
    reach_m = config.max_range or (focal * _DRONE_M / _LEAST_PX if camera is not None else 1000.0)
    return Coverage(reach_m, config.detection_probability or 0.9, config.false_reports)


# --- faults with their lines -----------------------------------------------------------------------------------------


def _load_yaml(text: str) -> tuple[yaml.Node, Any]:
    if len(text) > _MOST_TEXT:
        raise SiteError([Fault(1, "", f"the file is longer than {_MOST_TEXT} characters; a site needs far less")])
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise SiteError([Fault(1, "", "YAML aliases (*name) are not taken; write the value out")])
        root, data = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SiteError([Fault(line, "", f"not YAML: {error.problem or error.context}; mend the syntax")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SiteError([Fault(1, "", f"not YAML: {str(error).splitlines()[0]}; mend the syntax")]) from None
    if root is None:
        raise SiteError([Fault(1, "", "the file is empty; it needs site: and sensors:")])
    return root, data


def _own_faults(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without lists called too short only because their items are at fault."""
    return [
        e
        for e in errors
        if e["type"] != "too_short" or not any(o is not e and o["loc"][: len(e["loc"])] == e["loc"] for o in errors)
    ]


def _fault(root: yaml.Node, error: ErrorDetails) -> Fault:
    path = tuple(p for p in error["loc"] if not (isinstance(p, str) and p in {"float", "int", "str"}))
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return Fault(_line(root, path), where, _mend(error))


def _mend(error: ErrorDetails) -> str:
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return "is not known here; remove it or mend its spelling"
    if kind == "finite_number":
        return "must be a finite number, not NaN or infinity"
    return message[:1].lower() + message[1:]


def _line(node: yaml.Node, path: tuple[int | str, ...]) -> int:
    """1-based line of the deepest part of `path` that the file has."""
    line = node.start_mark.line + 1
    for part in path:
        found = _child(node, part)
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _child(node: yaml.Node, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _repeated_keys(node: yaml.Node, path: tuple[int | str, ...]) -> Iterator[Fault]:
    """YAML lets a key stand twice and forgets the first; a person should know."""
    if isinstance(node, yaml.SequenceNode):
        for k, item in enumerate(node.value):
            yield from _repeated_keys(item, (*path, k))
    if isinstance(node, yaml.MappingNode):
        names = [str(key.value) for key, _ in node.value]
        for k, (key, value) in enumerate(node.value):
            if names[k] in names[:k]:
                yield Fault(key.start_mark.line + 1, names[k], "stands here a second time; remove one")
            yield from _repeated_keys(value, (*path, names[k]))


def _repeated_ids(root: yaml.Node, data: Any) -> Iterator[Fault]:
    sensors = data.get("sensors") if isinstance(data, dict) else None
    ids = [s.get("id") if isinstance(s, dict) else None for s in sensors] if isinstance(sensors, list) else []
    for k, name in enumerate(ids):
        if name is not None and name in ids[:k]:
            line = _line(root, ("sensors", k, "id"))
            yield Fault(line, f"sensors[{k}].id", f"{name} is the id of an earlier sensor; give each its own")
