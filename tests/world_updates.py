"""Made-up tracks of the site for tests of the store: exact numbers, no randomness."""

from __future__ import annotations

from typing import Any

from camera_updates import START_NS, one_hot

from fusion.alerts import Alert, AlertKind
from fusion.types import Identity, Track
from service.types import WorldTrack, WorldUpdate
from tracking.types import Status

NS = 10**9
ORIGIN = (47.4, 8.5, 450.0)


def world_track(
    number: int,
    time_ns: int,
    *,
    first_ns: int | None = None,
    place: tuple[float, float] = ORIGIN[:2],
    speed: float = 10.0,
    sigma: float = 0.5,
    name: str = "drone",
    sensors: tuple[str, ...] = ("cam",),
    **more: Any,
) -> WorldTrack:
    """Flies east at so many m/s, its velocity known to `sigma`."""
    covariance = [0.0] * 36
    for k in range(6):
        covariance[7 * k] = 1.0 if k < 3 else sigma**2
    track = Track(
        f"T{number}",
        time_ns,
        Status.CONFIRMED,
        (1.0, 2.0, 50.0, speed, 0.0, 0.0),
        tuple(covariance),
        0.99,
        one_hot(name),
        contributors=tuple((each, time_ns) for each in sensors),
        **more,
    )
    return WorldTrack(track, time_ns if first_ns is None else first_ns, *place, ORIGIN[2])


def flown(number: int, start_s: float, seconds: float, **more: Any) -> list[WorldUpdate]:
    """The updates of one track alone, twice a second, and its end."""
    first_ns = START_NS + round(start_s * NS)
    times = [first_ns + k * NS // 2 for k in range(round(seconds * 2) + 1)]
    updates = [world_update(time_ns, world_track(number, time_ns, first_ns=first_ns, **more)) for time_ns in times]
    return [*updates, WorldUpdate(times[-1] + NS // 2, (), (f"T{number}",), number + 1)]


def world_update(time_ns: int, *tracks: WorldTrack) -> WorldUpdate:
    numbers = [int(each.track.track_id[1:]) for each in tracks]
    return WorldUpdate(time_ns, tracks, (), max(numbers, default=0) + 1)


def alert(number: int, start_s: float, *, track: str = "T1", zone: str = "pad", kind: str = "enter") -> Alert:
    start_ns = START_NS + round(start_s * NS)
    return Alert(number, AlertKind(kind), track, zone, start_ns, start_ns + NS, False, False, 0.9, None, "in Pad")


__all__ = ["Identity", "alert", "flown", "world_track", "world_update"]
