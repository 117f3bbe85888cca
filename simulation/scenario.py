"""Scenario files: a site as `site.yaml` describes it, and what really flies, shines and fails there.

A scenario is the site file's own keys (`site`, `sensors`, `zones`) and the truth beside them: `seed`, `weather`,
`faults`, `aircraft`. Those kept with the program lie in `simulation/scenarios` and are known by their names. Every
fault of a file is found at once, each with its line and the mend.
"""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fusion.site import Finite, Name, Orientation, Position, Positive, SiteFile, Triple, read_checked

MOST_AIRCRAFT = 200
_FOLDER = files("simulation") / "scenarios"
#: No airframe of these scenes turns harder than this, m/s².
_HARDEST_TURN_M_S2 = 50.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weather(_Strict):
    """The air and the light.

    Attributes:
        clouds: share of the sky, 0..1.
        haze: metres over which contrast falls to 1/e.
        light: daylight on the visible cameras: 1 at noon, 0.3 at dusk, 0 at night. Infrared does not care.
        wind, wind_from: m/s, and degrees where it comes from: multirotors lean into it, microphones rumble.
        temperature: degrees Celsius; sets the speed of sound.
    """

    clouds: Annotated[float, Field(ge=0.0, le=1.0)] = 0.35
    haze: Annotated[float, Field(ge=100.0, le=1e6)] = 30_000.0
    light: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    wind: Annotated[float, Field(ge=0.0, le=40.0)] = 0.0
    wind_from: Annotated[float, Field(ge=0.0, le=360.0)] = 270.0
    temperature: Annotated[float, Field(ge=-40.0, le=50.0)] = 15.0

    def wind_mps(self) -> tuple[float, float, float]:
        """Velocity of the air, ENU."""
        towards = math.radians(self.wind_from + 180.0)
        return self.wind * math.sin(towards), self.wind * math.cos(towards), 0.0


class ClockFault(_Strict):
    """A clock that nobody set.

    Attributes:
        offset: seconds that its stamps are ahead of the true time at the beginning.
        drift: parts per million that it runs fast.
    """

    offset: Annotated[float, Field(ge=-3600.0, le=3600.0)] = 0.0
    drift: Annotated[float, Field(ge=-1000.0, le=1000.0)] = 0.0


class Faults(_Strict):
    """What the site does not know of a sensor.

    Attributes:
        turned: degrees that a camera was knocked out of the orientation in the file.
        silent: from and to, seconds: it gives nothing then.
        clock: how far its stamps are off.
        lost, repeated: shares of its messages that never arrive, or arrive twice.
        delay: mean seconds that a message is under way, each its own time, so that some overtake others.
    """

    turned: Orientation | None = None
    silent: tuple[tuple[Finite, Finite], ...] = ()
    clock: ClockFault = ClockFault()
    lost: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    repeated: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    delay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0

    @model_validator(mode="after")
    def _can_be(self) -> Faults:
        if self.lost + self.repeated > 1.0:
            raise ValueError("lost and repeated are shares of the same messages: together at most 1")
        if any(begin >= end for begin, end in self.silent):
            raise ValueError("silent is a list of [from, to] in seconds; each must end after it begins")
        return self


class Waypoints(_Strict):
    """A multirotor's closed round; from rest to rest between the points, as quick as its limits allow.

    Attributes:
        points: ENU, metres.
        speed, acceleration, jerk: limits, m/s, m/s², m/s³.
        hover: seconds of rest at each point.
        phase: seconds into the round at the beginning.
    """

    kind: Literal["waypoints"]
    points: Annotated[tuple[Triple, ...], Field(min_length=2, max_length=500)]
    speed: Annotated[float, Field(gt=0.0, le=80.0)] = 8.0
    acceleration: Annotated[float, Field(gt=0.0, le=_HARDEST_TURN_M_S2)] = 3.0
    jerk: Annotated[float, Field(gt=0.0, le=500.0)] = 6.0
    hover: Annotated[float, Field(ge=0.0, le=3600.0)] = 1.5
    phase: Finite = 0.0

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Waypoints:
        around = zip(self.points, (*self.points[1:], self.points[0]), strict=True)
        if any(math.dist(here, there) == 0.0 for here, there in around):
            raise ValueError("two neighbouring points are the same place; remove one (the round closes by itself)")
        return self

    def lowest_m(self) -> float:
        return min(point[2] for point in self.points)


class Orbit(_Strict):
    """A closed ellipse flown for ever: loitering drones, birds, aeroplanes in a pattern.

    Attributes:
        centre: ENU, metres.
        axes: the two half axes, ENU metres; from the first towards the second.
        speed: m/s, root mean square over the round.
        phase: degrees of the round at the beginning.
        bob: metres that it rises and sinks three times a round.
    """

    kind: Literal["orbit"]
    centre: Triple
    axes: tuple[Triple, Triple]
    speed: Annotated[float, Field(gt=0.0, le=340.0)]
    phase: Finite = 0.0
    bob: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0

    @model_validator(mode="after")
    def _can_be_flown(self) -> Orbit:
        sizes = [math.hypot(*axis) for axis in self.axes]
        if max(sizes) == 0.0:
            raise ValueError("an orbit needs an axis above zero; let a drone hover by waypoints with a long hover")
        if max(sizes) * (math.tau / self.period_s()) ** 2 > _HARDEST_TURN_M_S2:
            raise ValueError(f"this turn needs more than {_HARDEST_TURN_M_S2:.0f} m/s²; fly slower or wider")
        return self

    def period_s(self) -> float:
        return math.tau * math.sqrt(sum(v * v for axis in self.axes for v in axis) / 2.0) / self.speed

    def lowest_m(self) -> float:
        return self.centre[2] - math.hypot(self.axes[0][2], self.axes[1][2]) - self.bob


class Evasive(_Strict):
    """A multirotor that never flies straight for long: from turn to turn, at places that the seed decides.

    Attributes:
        centre, reach: ENU metres; it keeps within the reach to both sides of the centre.
        turns: in a round, after which it flies the same again.
    """

    kind: Literal["evasive"]
    centre: Triple
    reach: tuple[Positive, Positive, Positive]
    turns: Annotated[int, Field(ge=3, le=500)] = 40
    speed: Annotated[float, Field(gt=0.0, le=80.0)] = 18.0
    acceleration: Annotated[float, Field(gt=0.0, le=_HARDEST_TURN_M_S2)] = 8.0
    jerk: Annotated[float, Field(gt=0.0, le=500.0)] = 30.0

    def lowest_m(self) -> float:
        return self.centre[2] - self.reach[2]


Motion = Annotated[Waypoints | Orbit | Evasive, Field(discriminator="kind")]


class RemoteId(_Strict):
    """What the aircraft broadcasts of itself, once a second.

    Attributes:
        id: its serial number.
        offset: ENU metres that the claimed place is from the true one; anything but nothing is a lie.
        begins: seconds after which the lie begins; the truth is told before.
    """

    id: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
    offset: Triple = (0.0, 0.0, 0.0)
    begins: Annotated[float, Field(ge=0.0)] = 0.0


class AircraftConfig(_Strict):
    """Something that flies, or a group of the same.

    Attributes:
        name: of it, or of the group, whose members are called `name-1`, `name-2`…
        form: of a drone.
        count, spacing: size of the group, and metres between its members: drones keep formation, birds flock.
        size: metres: motor to motor, wingspan or length.
        reflectance: of its skin, 0..1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Name
    class_: Literal["drone", "bird", "airplane", "helicopter"] = Field(alias="class")
    form: Literal["multirotor", "fixed_wing"] | None = None
    count: Annotated[int, Field(ge=1, le=MOST_AIRCRAFT)] = 1
    spacing: Positive = 8.0
    size: Annotated[float, Field(ge=0.1, le=80.0)] | None = None
    reflectance: Annotated[float, Field(ge=0.05, le=1.0)] | None = None
    motion: Motion
    remote_id: RemoteId | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> AircraftConfig:
        if self.motion.lowest_m() < 0.0:
            raise ValueError(f"{self.name} flies below the ground (up < 0); raise its motion")
        if self.form is not None and self.class_ != "drone":
            raise ValueError("only a drone has a form; remove it")
        if self.form == "fixed_wing" and not isinstance(self.motion, Orbit):
            raise ValueError("a fixed wing cannot stop; give it an orbit")
        if self.remote_id is not None and (self.class_ == "bird" or self.count > 1):
            raise ValueError("only a single drone or aeroplane has a Remote ID; write each of a group out by itself")
        return self


class ScenarioFile(SiteFile):
    """The whole file. `seed` decides birds, trees, clouds and noise: the same seed is the same world."""

    seed: Annotated[int, Field(ge=0, le=2**31)]
    description: str = ""
    weather: Weather = Weather()
    faults: dict[Name, Faults] = Field(default_factory=dict)
    aircraft: Annotated[tuple[AircraftConfig, ...], Field(min_length=1, max_length=MOST_AIRCRAFT)]

    @model_validator(mode="after")
    def _fits_together(self) -> ScenarioFile:
        names = [a.name for a in self.aircraft]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two aircraft are called {twice[0]}; give each its own name")
        if sum(a.count for a in self.aircraft) > MOST_AIRCRAFT:
            raise ValueError(f"more than {MOST_AIRCRAFT} aircraft; a scene of so many cannot be drawn in time")
        kinds = {sensor.id: sensor.kind for sensor in self.sensors}
        unknown = sorted(set(self.faults) - set(kinds))
        if unknown:
            raise ValueError(f"faults names {unknown[0]}, which is no sensor here; mend the name")
        turned = sorted(name for name, f in self.faults.items() if f.turned is not None and kinds[name] != "camera")
        if turned:
            raise ValueError(f"{turned[0]} is no camera and cannot be turned; remove turned")
        for sensor in self.sensors:
            _check_place(sensor.id, sensor.position)
        return self


def _check_place(sensor_id: str, position: Position | None) -> None:
    """The ground of a scenario is level and lies at the site's origin."""
    if position is None or position.enu is None:
        raise ValueError(f"{sensor_id} needs a position as enu: [e, n, u] to be simulated")
    if position.enu[2] < 0.0:
        raise ValueError(f"{sensor_id} stands below the ground (up < 0); raise it")


def read_scenario(text: str) -> ScenarioFile:
    """The scenario that `text` (YAML) describes.

    Raises:
        fusion.site.SiteError: with every fault found.
    """
    return read_checked(text, ScenarioFile)


def scenario_names() -> tuple[str, ...]:
    """Scenarios that come with the program, in alphabetical order."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _FOLDER.iterdir() if f.name.endswith(".yaml")))


def kept_scenario(name: str) -> ScenarioFile:
    """One that comes with the program.

    Raises:
        KeyError: none is called so.
    """
    if name not in scenario_names():
        raise KeyError(name)
    return read_scenario((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
