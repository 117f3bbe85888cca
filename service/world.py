"""The live world: one thread that follows the site's scans and heartbeats on the bus and says what tracks there are.

    camera ─ measure ─▶ Scan ─┐
    posted measurements ─ Scan ─┤
    any other sensor ──── Scan ─┼──▶ Bus ──▶ World (WorldStage: sequencer, engine) ──▶ WorldUpdate ──▶ Bus
    Pulse ─────────── Heartbeat ─┘                                                  └─ AlertFold ──▶ Alert ──▶ Bus

All that tracks and alerts follow from passes the bus in one order (`INPUTS`), so who records those subjects can replay
them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from fusion.alerts import Alert, AlertFold, Sighted, Trouble
from fusion.sensors.camera.measure import measure
from fusion.site import Sensor, Site
from fusion.types import NS, Heartbeat, Scan
from service.bus import Bus, Full
from service.clock import Clock
from service.reporters import Reporters
from service.stage import WorldStage
from service.thinning import Thinning
from service.types import CameraUpdate, Message, ZoneChange

INPUTS = ("scan.", "clock", "zone.", "trouble.")  # subjects of all that the world follows from
CAPACITY = 16_384  # scans: a minute of eight cameras at 30 frames a second while the fusion does not keep up
MOST_FAULTS = 20
BEAT_S = 0.1  # so often are tracks shown

log = structlog.get_logger("service.world")


def locates(site: Site) -> bool:
    """Whether the site has anything to make world tracks of: a sensor with a place, or one that reports places."""
    return any(s.pose is not None or s.config.kind in ("remote_id", "external") for s in site.sensors.values())


def lag_ns(site: Site) -> int:
    """How late a scan may come: what the site file says; else cameras of its own are quick, and networks are not."""
    stated = site.file.fusion.lag
    if stated is None:
        stated = 0.5 if all(s.config.source is not None for s in site.sensors.values()) else 3.0
    return round(stated * NS)


def camera_measure(sensor: Sensor | None, thresholds: Mapping[str, float]) -> Callable[[CameraUpdate], Scan] | None:
    """What a camera tells the site of each frame; None for one without place, orientation and lens."""
    if sensor is None or sensor.pose is None or sensor.camera is None:
        return None
    pose, camera, coverage = sensor.pose, sensor.camera, sensor.coverage
    ahead_ns = round(sensor.config.clock_offset * NS)

    def measured(update: CameraUpdate) -> Scan:
        scan = measure(update.detections, update.tracks, thresholds, pose, camera, coverage)
        return replace(scan, time_ns=scan.time_ns - ahead_ns) if ahead_ns else scan

    return measured


class World:
    """Follows `INPUTS`; after each heartbeat it publishes a `WorldUpdate`, unless there is nothing to show, and alerts.

    Args:
        read_here: ids of the sensors that the service reads itself; of the others `reporters` says how they are.

    Bound: scans wait in its subscription; beyond `CAPACITY` new ones are refused and counted there. Long before that
    the sensors that the service reads tell it fewer looks (`thinning`, their way to the bus). A fault in the program
    ends its thread and is told by the log; the world then begins anew, at most `MOST_FAULTS` times.
    """

    def __init__(
        self,
        site: Site,
        bus: Bus,
        clock: Clock,
        first_id: int = 1,
        first_alert: int = 1,
        read_here: tuple[str, ...] = (),
    ) -> None:
        self.site = site
        self.reporters = Reporters(site, clock, read_here)
        self.alerts = AlertFold(first_number=first_alert)
        self.stage = WorldStage(site.frame, lag_ns(site), first_id)
        self.thinning = Thinning(bus, clock)
        self._bus = bus
        self._clock = clock
        self.faults = 0
        self._stopping = threading.Event()
        self._subscription = bus.subscribe("world", capacity=CAPACITY, full=Full.REFUSE_NEWEST, prefixes=INPUTS)
        self._follower = threading.Thread(target=self._follow, name="world", daemon=True)
        self._pulse = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._follower.start()
        self._pulse.start()

    def stop(self) -> None:
        """No more heartbeats; what is on the bus is still followed before this returns."""
        self._stopping.set()
        if self._pulse.is_alive():
            self._pulse.join()
        self._bus.unsubscribe(self._subscription)
        if self._follower.is_alive():
            self._follower.join()

    @property
    def running(self) -> bool:
        return self._follower.is_alive()

    def _beat(self) -> None:
        while not self._clock.wait(self._stopping, BEAT_S):
            if not self.running and self.faults < MOST_FAULTS:
                self._begin_again()
            self.beat()

    def beat(self) -> None:
        """Say what time it is, and how the sensors are that others read."""
        self._bus.publish("clock", Heartbeat(self._clock.now_ns()))
        for health in self.reporters.news():
            self._bus.publish(f"sensor.{health.sensor_id}", health)

    def _begin_again(self) -> None:
        self.faults += 1
        self.stage.begin_again()
        self._follower = threading.Thread(target=self._follow, name="world", daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        while not (self._subscription.closed and not len(self._subscription)):
            self.follow(None)

    def follow(self, timeout_s: float | None) -> None:
        """Take what is on the bus, or wait so long for it; for those, too, who did not start the world's threads."""
        for envelope in self._subscription.take(timeout_s):
            began_ns = self._clock.monotonic_ns()
            self.accept(envelope.message)
            spent_ns = self._clock.monotonic_ns() - began_ns
            scans = int(isinstance(envelope.message, Scan))
            self.thinning.told(scans, spent_ns, self._clock.now_ns() - envelope.received_ns)

    def accept(self, message: Message) -> None:
        """One message of `INPUTS`, in the order of the bus; what follows from it is published. A replay calls this."""
        match message:
            case Scan():
                self.reporters.note(message)
                self._step(message)
            case Heartbeat():
                self._step(message)
            case ZoneChange():
                self._change_zone(message)
            case Trouble():
                self._alert(self.alerts.tell(message))
            case _:
                pass

    def _step(self, message: Scan | Heartbeat) -> None:
        update = self.stage.step(message)
        if update is None:
            return
        if update.tracks or update.ended:
            self._bus.publish("world", update)
        seen = [Sighted(each.track, each.altitude_m) for each in update.tracks]
        for alert in self.alerts.step(update.time_ns, seen):
            self._alert(alert)

    def _alert(self, alert: Alert | None) -> None:
        if alert is not None:
            self._bus.publish(f"alert.{alert.number}", alert)

    def _change_zone(self, change: ZoneChange) -> None:
        if change.zone is None:
            self.alerts.remove_zone(change.zone_id)
        else:
            self.alerts.put_zone(change.zone.area(change.zone_id, self.site.frame))
