"""The demo site: simulated sensors in place of real ones, everything behind them as always."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Response
from pydantic import AwareDatetime

from fusion.reports import Refused, read_report
from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import Block
from fusion.site import Site
from fusion.types import NS
from models.types import Frame
from service import problems
from service.bus import Bus
from service.capture import Capture
from service.clock import Clock
from service.schemas import rfc3339, to_ns
from service.simulated_sound import array_config, sound_blocks
from service.sound_capture import PlayedSound, SoundFeed
from simulation.scenario import ScenarioFile, kept_scenario, read_scenario, scenario_names
from simulation.site import SimulatedSite
from simulation.truth import PictureTruth, TrueObject

SOURCE = SourceAddress("simulated scene", environ={})
DEFAULT = "demo"
LISTEN_S = 0.1  # so often do the Remote ID receivers bring what they heard, and is the truth told
STALE_NS = 1_500_000_000  # a picture that took longer to draw is not shown: it is the past by now

log = structlog.get_logger("service.demo")


class ScenarioMissing(Exception):
    """No scenario is called so; the message says which there are."""


def find_scenario(name: str) -> ScenarioFile:
    """A scenario by its name, or from a file.

    Raises:
        ScenarioMissing: neither is there.
        fusion.site.SiteError: all that is wrong with the file.
        OSError: it cannot be read.
    """
    if name in scenario_names():
        return kept_scenario(name)
    path = Path(name)
    if not path.is_file():
        raise ScenarioMissing(f"there is no scenario {name!r}: give a file, or one of {', '.join(scenario_names())}")
    return read_scenario(path.read_text(encoding="utf-8", errors="replace"))


class Demo:
    """A scenario as the sensors of a service; its world begins now."""

    def __init__(self, clock: Clock, scenario: ScenarioFile | None = None) -> None:
        self._world = SimulatedSite(scenario or kept_scenario(DEFAULT), clock.now_ns())
        self._clock = clock
        self._bus: Bus | None = None

    @property
    def site(self) -> Site:
        """As its operator wrote it down."""
        return self._world.site

    def cameras(self) -> tuple[CameraConfig, ...]:
        return tuple(
            CameraConfig(id=camera.sensor_id, spectrum=camera.band, source=SOURCE)
            for camera in self._world.scene.cameras.values()
        )

    def make_capture(self, config: CameraConfig, clock: Clock) -> Capture:
        self._world.scene.paint()  # before any thread starts: the first picture is there at once

        def frames(start_ns: int | None) -> Iterator[Frame]:
            return present_frames(self._world, config.id, start_ns or clock.now_ns(), clock, self._tell)

        return Capture(config, clock, open_frames=frames)

    def arrays(self) -> tuple[ArrayConfig, ...]:
        return tuple(array_config(self._world, sensor_id) for sensor_id in self._world.ears)

    def make_feed(self, config: ArrayConfig, clock: Clock) -> SoundFeed:
        def blocks() -> Iterator[Block]:
            start_ns = clock.now_ns()
            for _, block in sound_blocks(self._world, config.id, start_ns, clock.now_ns):
                if block is not None:
                    yield replace(block, time_ns=block.time_ns - start_ns)

        return PlayedSound(config, clock, blocks)

    @contextmanager
    def joining(self, app: FastAPI, bus: Bus) -> Iterator[None]:
        """The application tells the truth too; and while it lasts, what the Remote ID receivers hear comes in as scans,
        like that of any other sensor."""
        app.include_router(self.router())
        self._bus = bus
        for report in self._world.heard(self._world.epoch_ns - 1, self._world.epoch_ns + NS)[:1]:
            read_report(report, 0, self.site)  # loads what reads such reports, so that the first one is not late
        stopping = threading.Event()
        thread = threading.Thread(target=self._broadcast, args=(bus, stopping), name="remote-id", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _broadcast(self, bus: Bus, stopping: threading.Event) -> None:
        heard_ns, number = self._clock.now_ns(), 0
        while not self._clock.wait(stopping, LISTEN_S):
            now_ns = self._clock.now_ns()
            bus.publish("truth", self._world.truth(now_ns))
            for report in self._world.heard(heard_ns, now_ns):
                number += 1
                self._publish(bus, report, number)
            heard_ns = now_ns

    def _tell(self, truth: PictureTruth) -> None:
        if self._bus is not None:
            self._bus.publish(f"truth.{truth.sensor_id}", truth)

    def _publish(self, bus: Bus, report: dict[str, Any], number: int) -> None:
        try:
            bus.publish(f"scan.{report['sensor_id']}", read_report(report, number, self.site))
        except Refused as reason:  # a scenario may place a claim where no report can be
            log.warning("report refused", sensor=report["sensor_id"], reason=str(reason))

    def router(self) -> APIRouter:
        """`GET /api/v1/truth`: what really flies, which only a simulation knows."""
        router = APIRouter(prefix="/api/v1", tags=["simulation"])

        @router.get("/truth", summary="What really flies (simulation only)", responses=problems.documented(422))
        async def truth(time: AwareDatetime | None = None) -> Response:
            """Everything in the simulated sky, now or at `time`: name, class, place, velocity, what it claims to be."""
            time_ns = self._clock.now_ns() if time is None else to_ns(time)
            found = [self._true(each) for each in self._world.truth(time_ns).objects]
            answer = {"time": rfc3339(time_ns), "truth": found}
            return Response(orjson.dumps(answer), media_type="application/json")

        return router

    def _true(self, thing: TrueObject) -> dict[str, Any]:
        latitude, longitude, altitude = self.site.frame.to_geodetic(thing.position_m)
        return {
            "name": thing.name,
            "class": thing.class_name,
            "enu": [round(v, 2) for v in thing.position_m],
            "velocity": [round(v, 2) for v in thing.velocity_mps],
            "latitude": round(float(latitude), 7),
            "longitude": round(float(longitude), 7),
            "altitude": round(float(altitude), 2),
            "claimed_id": thing.claimed_id,
            "lies": thing.lies,
        }


def present_frames(
    world: SimulatedSite, sensor_id: str, start_ns: int, clock: Clock, tell: Callable[[PictureTruth], None]
) -> Iterator[Frame]:
    """Frames of the scene as time goes by, stamped by the camera's own clock: where drawing takes longer than a frame
    lasts, frames are left out, so that the picture never lags behind the clock; and while the scenario silences the
    camera there are none. `tell` is given the truth of each."""
    rate_hz = world.scene.cameras[sensor_id].rate_hz
    began_ns = clock.monotonic_ns()
    sequence = 0
    while True:
        time_ns = start_ns + round(sequence * 1e9 / rate_hz)
        if not world.is_silent(sensor_id, time_ns):
            shot = world.scene.shot(sensor_id, time_ns, sequence)
            if start_ns + clock.monotonic_ns() - began_ns - time_ns < STALE_NS:
                frame = replace(shot.frame, time_ns=world.stamp_ns(sensor_id, time_ns))
                tell(world.picture_truth(frame, shot.truth))
                yield frame
        due = int((clock.monotonic_ns() - began_ns) * rate_hz / 1e9)
        sequence = max(sequence + 1, due)
