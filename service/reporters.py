"""Sensors of the site that the service does not read itself: others post what they see. How each is, by what came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fusion.site import Site
from fusion.types import NS, Scan
from service.clock import Clock
from service.schemas import Json, rfc3339
from service.types import SensorHealth, SensorState

SILENT_S = 10.0  # a sensor that reports now and then is told to be silent after this
TELL_NS = NS  # so often at most is a sensor's count told


@dataclass(slots=True)
class _Heard:
    health: SensorHealth
    heard_ns: int = 0  # monotonic
    told_ns: int = 0
    told: SensorHealth | None = None


class Reporters:
    """Written by the world's thread alone; read by any.

    Args:
        read_here: ids of the sensors that the service reads itself.
    """

    def __init__(self, site: Site, clock: Clock, read_here: Iterable[str]) -> None:
        others = [name for name in site.sensors if name not in frozenset(read_here)]
        self._kinds = {name: site.sensors[name].config.kind for name in others}
        self._heard = {name: _Heard(SensorHealth(name, SensorState.STARTING, "nothing came yet")) for name in others}
        self._clock = clock

    def note(self, scan: Scan) -> None:
        """A scan came of some sensor."""
        heard = self._heard.get(scan.sensor_id)
        if heard is not None:
            count = heard.health.frames_in + len(scan.measurements)
            newest_ns = max(heard.health.last_frame_ns, scan.time_ns)
            heard.heard_ns = self._clock.monotonic_ns()
            heard.health = replace(
                heard.health, frames_in=count, processed=count, last_frame_ns=newest_ns, state=SensorState.ONLINE
            )

    def news(self) -> list[SensorHealth]:
        """Those that changed since they were told last, each at most once a second."""
        now_ns, changed = self._clock.monotonic_ns(), []
        for name, heard in self._heard.items():
            health = self.health(name)
            if health is not None and health != heard.told and now_ns - heard.told_ns >= TELL_NS:
                heard.told, heard.told_ns = health, now_ns
                changed.append(health)
        return changed

    def health(self, sensor_id: str) -> SensorHealth | None:
        """None for a sensor that is none of these."""
        heard = self._heard.get(sensor_id)
        if heard is None:
            return None
        if not heard.heard_ns:
            return heard.health
        if self._clock.monotonic_ns() - heard.heard_ns > SILENT_S * NS:
            return replace(heard.health, state=SensorState.STALE, reason=f"nothing came for over {SILENT_S:.0f} s")
        return replace(heard.health, reason="")

    def all_health(self) -> list[SensorHealth]:
        """In the order of the site file."""
        return [health for name in self._heard if (health := self.health(name)) is not None]

    def describe(self, health: SensorHealth) -> Json | None:
        """Such a sensor as `schemas.Sensor`; None for any other."""
        kind = self._kinds.get(health.sensor_id)
        if kind is None:
            return None
        return {
            "id": health.sensor_id,
            "kind": kind,
            "spectrum": None,
            "source": "/api/v1/measurements",
            "state": health.state.value,
            "reason": health.reason,
            "fps": 0.0,
            "frames_in": health.frames_in,
            "processed": health.processed,
            "dropped": {},
            "reconnects": 0,
            "time_source": "arrival",
            "last_frame": rfc3339(health.last_frame_ns) if health.last_frame_ns else None,
            "width": None,
            "height": None,
            "snapshot": None,
            "stream": None,
            "sound": None,
        }
