"""Watches all sensors: tells the bus how each is, and begins a crashed one again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from service.bus import Bus
from service.clock import Clock
from service.live import LiveState
from service.types import SensorHealth, SensorState

LOOK_S = 0.25  # so soon is a change told
TELL_NS = 1_000_000_000  # so often is an unchanged state told again
RESTARTS, RESTARTS_WITHIN_NS = 5, 60_000_000_000  # a camera that crashes more often than that is given up

log = structlog.get_logger("service.monitor")


class Line(Protocol):
    """What is watched of a sensor: a `service.camera.Camera` or a `service.hearing.Listener`."""

    @property
    def crashed(self) -> bool: ...

    def health(self) -> SensorHealth: ...

    def start(self) -> None: ...


class Monitor:
    """One thread for all sensors; it only reads counters, so a sensor that hangs cannot hold it up.

    Args:
        left_out: looks of a sensor that the fusion was not told, by reason, beside what its own health says.
    """

    def __init__(
        self,
        sensors: Sequence[Line],
        live: LiveState,
        bus: Bus,
        clock: Clock,
        left_out: Callable[[str], Mapping[str, int]] | None = None,
    ) -> None:
        self._live = live
        self._bus = bus
        self._clock = clock
        self._left_out = left_out
        self._watched = [_Watched(sensor) for sensor in sensors]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """One look at every sensor."""
        now_ns = self._clock.monotonic_ns()
        for watched in self._watched:
            health = self._whole(watched.look(now_ns))
            self._live.put_health(health)
            if watched.worth_telling(health, now_ns):
                self._bus.publish(f"sensor.{health.sensor_id}", health)

    def _whole(self, health: SensorHealth) -> SensorHealth:
        """With what the fusion was not told of it."""
        left_out = self._left_out(health.sensor_id) if self._left_out is not None else None
        return replace(health, dropped={**health.dropped, **left_out}) if left_out else health

    def _run(self) -> None:
        while not self._clock.wait(self._stopping, LOOK_S):
            self.look()
        self.look()


class _Watched:
    """One sensor, what was last told of it, and when it crashed."""

    def __init__(self, sensor: Line) -> None:
        self._sensor = sensor
        self._told: tuple[SensorState, str] | None = None
        self._told_ns = 0
        self._crashes_ns: deque[int] = deque(maxlen=RESTARTS)

    def look(self, now_ns: int) -> SensorHealth:
        health = self._sensor.health()
        if not self._sensor.crashed:
            return health
        if len(self._crashes_ns) == RESTARTS and now_ns - self._crashes_ns[0] < RESTARTS_WITHIN_NS:
            return replace(health, state=SensorState.FAILED, reason=f"{health.reason}; given up, restart the service")
        self._crashes_ns.append(now_ns)
        self._sensor.start()
        return health

    def worth_telling(self, health: SensorHealth, now_ns: int) -> bool:
        changed = self._told != (health.state, health.reason)
        if changed:
            log.info("sensor", sensor=health.sensor_id, state=health.state.value, reason=health.reason)
        if not changed and now_ns - self._told_ns < TELL_NS:
            return False
        self._told, self._told_ns = (health.state, health.reason), now_ns
        return True
