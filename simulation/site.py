"""A scenario put up: the site as its operator believes it to be, and the world as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fusion.geometry import CameraModel
from fusion.site import Orientation, SensorConfig, Site, site_of
from fusion.types import NS
from models.types import Frame
from simulation.camera import Camera
from simulation.landscape import Landscape
from simulation.network import Network
from simulation.remote_id import GpsError, Receiver, Report, Transmitter
from simulation.render import Truth as Drawn
from simulation.scenario import AircraftConfig, Evasive, Faults, Orbit, ScenarioFile, Waypoints
from simulation.scene import Scene
from simulation.shapes import Airliner, Bird, Body, FixedWing, Helicopter, Quadcopter
from simulation.sound_field import Air
from simulation.soundscape import Ears
from simulation.truth import PictureTruth, TrueBox, TrueObject, Truth
from simulation.world import Aircraft, Beside, Limits, Trajectory, Vector, WaypointFlight
from simulation.world import Orbit as Round

#: Frames a second of a camera that does not say: what two cores hold with drawing and detecting on three cameras.
DEFAULT_RATE_HZ = 12.0
#: Of an array that does not say.
SAMPLE_RATE_HZ = 16_000
_REACH_M = 3_000.0
_SIZES_M = {"drone": 0.5, "bird": 0.8, "airplane": 38.0, "helicopter": 11.0}
_REFLECTANCES = {"drone": 0.2, "bird": 0.22, "airplane": 0.95, "helicopter": 0.25}
_NO_FAULTS = Faults()
#: Horizontal deceleration per speed that a multirotor leans against, 1/s.
_DRAG_PER_S = 0.25


@dataclass(frozen=True)
class SimulatedSite:
    """A scenario whose clock stood at zero at `epoch_ns` UTC.

    Attributes:
        file: the scenario.
    """

    file: ScenarioFile
    epoch_ns: int = 0

    @cached_property
    def site(self) -> Site:
        """What the operator wrote down; the fusion is to be given this."""
        return site_of(self.file)

    @cached_property
    def scene(self) -> Scene:
        """What the cameras see. A camera that was knocked looks elsewhere than the site believes."""
        weather = self.file.weather
        landscape = Landscape(self.file.seed, cloudiness=weather.clouds, haze_m=weather.haze, light=weather.light)
        return Scene(list(self._cameras()), list(self.aircraft), landscape, self.epoch_ns)

    @cached_property
    def aircraft(self) -> tuple[Aircraft, ...]:
        rng, wind = np.random.default_rng((self.file.seed, 5)), self.file.weather.wind_mps()
        made: list[Aircraft] = []
        for config in self.file.aircraft:
            made += [_aircraft(config, len(made) + k + 1, k, rng, wind) for k in range(config.count)]
        return tuple(made)

    @cached_property
    def ears(self) -> dict[str, Ears]:
        """What each microphone array hears."""
        weather = self.file.weather
        return {
            sensor.id: Ears(
                sensor.id,
                np.array(sensor.microphones) + _place(sensor),
                self.aircraft,
                self.file.seed,
                round(float(sensor.capture.get("sample_rate_hz", SAMPLE_RATE_HZ))),
                Air(weather.temperature),
                weather.wind,
            )
            for sensor in self.file.sensors
            if sensor.kind == "microphone_array" and sensor.microphones is not None
        }

    @cached_property
    def receivers(self) -> tuple[Receiver, ...]:
        """Remote ID receivers; each hears all that broadcast within its reach."""
        return tuple(
            Receiver(s.id, _place(s), s.max_range or _REACH_M, self._all_transmitters)
            for s in self.file.sensors
            if s.kind == "remote_id"
        )

    def heard(self, after_ns: int, until_ns: int) -> list[Report]:
        """Measurements (INTERFACES) that the receivers bring in (`after_ns`, `until_ns`], in order of time."""
        after_s, until_s = ((time_ns - self.epoch_ns) / NS for time_ns in (after_ns, until_ns))
        reports = []
        for receiver in self.receivers:
            silent = self.faults(receiver.sensor_id).silent
            for time_s, report in receiver.heard(after_s, until_s, self.site.frame):
                if not _is_silent(silent, time_s):
                    stamp_ns = self.stamp_ns(receiver.sensor_id, self.epoch_ns + round(time_s * NS))
                    reports.append({"time": stamp_ns / NS, "sensor_id": receiver.sensor_id, **report})
        return sorted(reports, key=lambda report: (report["time"], report["sensor_id"]))

    def faults(self, sensor_id: str) -> Faults:
        """What the operator does not know of a sensor."""
        return self.file.faults.get(sensor_id, _NO_FAULTS)

    def is_silent(self, sensor_id: str, time_ns: int) -> bool:
        """Whether a sensor gives nothing at this time, by the scenario's faults."""
        return _is_silent(self.faults(sensor_id).silent, (time_ns - self.epoch_ns) / NS)

    def stamp_ns(self, sensor_id: str, time_ns: int) -> int:
        """What a sensor's own clock shows at a true time."""
        clock = self.faults(sensor_id).clock
        return time_ns + round(clock.offset * NS + clock.drift * 1e-6 * (time_ns - self.epoch_ns))

    def network(self, sensor_id: str) -> Network:
        """The way of a sensor's messages to the site."""
        faults = self.faults(sensor_id)
        return Network(self.file.seed, sensor_id, faults.lost, faults.repeated, faults.delay)

    def claims(self, time_ns: int) -> dict[int, tuple[str, bool]]:
        """By aircraft, what it says of itself at this time, and whether that is a lie."""
        time_s = (time_ns - self.epoch_ns) / NS
        return {t.aircraft.object_id: (t.claimed_id, t.lies(time_s)) for t in self._all_transmitters}

    def truth(self, time_ns: int) -> Truth:
        """Everything that flies at `time_ns`, birds too."""
        time_s, claims = (time_ns - self.epoch_ns) / NS, self.claims(time_ns)
        return Truth(time_ns, tuple(_true(craft, time_s, claims.get(craft.object_id)) for craft in self.aircraft))

    def picture_truth(self, frame: Frame, drawn: Sequence[Drawn]) -> PictureTruth:
        """What was drawn into a frame, which has the time that the camera believes."""
        boxes = tuple(TrueBox(self._names[each.object_id], each.class_name, each.box) for each in drawn)
        return PictureTruth(frame.sensor_id, frame.time_ns, frame.sequence, boxes)

    @cached_property
    def _names(self) -> dict[int, str]:
        return {craft.object_id: craft.name for craft in self.aircraft}

    def _cameras(self) -> Iterator[Camera]:
        for config in self.file.sensors:
            model = config.camera()
            if config.kind == "camera" and model is not None and config.orientation is not None:
                yield _camera(config, model, config.orientation, self.faults(config.id).turned)

    @cached_property
    def _all_transmitters(self) -> tuple[Transmitter, ...]:
        return tuple(self._transmitters())

    def _transmitters(self) -> Iterator[Transmitter]:
        by_name = {craft.name: craft for craft in self.aircraft}
        for config in self.file.aircraft:
            if config.remote_id is not None:
                craft = by_name[config.name]
                gps = GpsError((self.file.seed, 6, craft.object_id))
                yield Transmitter(craft, config.remote_id.id, config.remote_id.offset, config.remote_id.begins, gps)


def _true(craft: Aircraft, time_s: float, claim: tuple[str, bool] | None) -> TrueObject:
    state = craft.trajectory.at(time_s)
    (e, n, u), (ve, vn, vu) = state.position.tolist(), state.velocity.tolist()
    return TrueObject(craft.name, craft.class_name, (e, n, u), (ve, vn, vu), *(claim or (None, False)))


def _is_silent(silent: tuple[tuple[float, float], ...], time_s: float) -> bool:
    return any(begin <= time_s < end for begin, end in silent)


def _place(config: SensorConfig) -> Vector:
    enu = config.position.enu if config.position is not None else None
    return enu or (0.0, 0.0, 0.0)


def _camera(config: SensorConfig, model: CameraModel, told: Orientation, turned: Orientation | None) -> Camera:
    """The camera as it really stands."""
    off = turned or Orientation(azimuth=0.0)
    return Camera(
        config.id,
        config.spectrum,
        model,
        _place(config),
        told.azimuth + off.azimuth,
        told.elevation + off.elevation,
        told.roll + off.roll,
        float(config.capture.get("fps", DEFAULT_RATE_HZ)),
    )


def _aircraft(
    config: AircraftConfig, object_id: int, member: int, rng: np.random.Generator, wind_mps: Vector
) -> Aircraft:
    name = config.name if config.count == 1 else f"{config.name}-{member + 1}"
    drag = _DRAG_PER_S if config.class_ in ("drone", "helicopter") and config.form != "fixed_wing" else 0.0
    return Aircraft(
        object_id, config.class_, _trajectory(config, member, rng), _body(config, rng), drag, name, wind_mps
    )


def _trajectory(config: AircraftConfig, member: int, rng: np.random.Generator) -> Trajectory:
    """Of one of a group: drones fly beside their leader, birds each on a round of their own."""
    motion = config.motion
    if isinstance(motion, Waypoints):
        limits = Limits(motion.speed, motion.acceleration, motion.jerk)
        leader: Trajectory = WaypointFlight(motion.points, limits, motion.hover, motion.phase)
    elif isinstance(motion, Evasive):
        leader = _evading(motion, rng)
    else:
        apart = config.class_ == "bird" and config.count > 1
        leader = _round(motion, rng.normal(0.0, config.spacing, 3) if apart else np.zeros(3), rng if apart else None)
    if config.count == 1 or config.class_ == "bird":
        return leader
    return Beside(leader, _slot(member, config.count, config.spacing))


def _evading(motion: Evasive, rng: np.random.Generator) -> WaypointFlight:
    places = np.array(motion.centre) + rng.uniform(-1.0, 1.0, (motion.turns, 3)) * motion.reach
    points = tuple((float(e), float(n), float(u)) for e, n, u in places)
    return WaypointFlight(points, Limits(motion.speed, motion.acceleration, motion.jerk), hover_s=0.0)


def _round(motion: Orbit, shift: np.ndarray, rng: np.random.Generator | None) -> Round:
    """`rng` gives each of a flock its own speed and place on the round."""
    pace, phase = (1.0, 0.0) if rng is None else (float(rng.uniform(0.8, 1.25)), float(rng.uniform(0.0, 360.0)))
    east, north, up = (float(c + s) for c, s in zip(motion.centre, shift, strict=True))
    lowest = motion.centre[2] - motion.lowest_m()
    return Round(
        (east, north, max(up, lowest)),
        *motion.axes,
        period_s=motion.period_s() / pace,
        phase_rad=math.radians(motion.phase + phase),
        bob_m=motion.bob,
    )


def _slot(member: int, count: int, spacing_m: float) -> Vector:
    """A member's place in a square formation about the leader's path, ENU metres; every second row flies higher."""
    side = math.ceil(math.sqrt(count))
    row, column = divmod(member, side)
    middle = (side - 1) / 2.0
    return (column - middle) * spacing_m, (row - middle) * spacing_m, 0.4 * spacing_m * (row % 2)


def _body(config: AircraftConfig, rng: np.random.Generator) -> Body:
    size = config.size or _SIZES_M[config.class_]
    reflectance = config.reflectance or _REFLECTANCES[config.class_]
    if config.class_ == "drone":
        return FixedWing(size, reflectance) if config.form == "fixed_wing" else Quadcopter(size, reflectance)
    if config.class_ == "helicopter":
        return Helicopter(size, reflectance)
    if config.class_ == "airplane":
        return Airliner(size, reflectance)
    flap_hz, phase = float(rng.uniform(2.5, 5.0)), float(rng.random())
    return Bird(size * float(rng.uniform(0.8, 1.2)), flap_hz, phase=phase, reflectance=reflectance)
