"""The demo site: simulated cameras in place of real ones, everything behind them as always."""

from __future__ import annotations

from collections.abc import Iterator

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from models.types import Frame
from service.capture import Capture
from service.clock import Clock
from simulation.demo import demo_scene
from simulation.scene import Scene

SOURCE = SourceAddress("simulated scene", environ={})


class Demo:
    """The simulation's demo scene as cameras of a service; its world begins now."""

    def __init__(self, clock: Clock) -> None:
        self._scene = demo_scene(epoch_ns=clock.now_ns())

    def cameras(self) -> tuple[CameraConfig, ...]:
        return tuple(
            CameraConfig(id=camera.sensor_id, spectrum=camera.band, source=SOURCE)
            for camera in self._scene.cameras.values()
        )

    def make_capture(self, config: CameraConfig, clock: Clock) -> Capture:
        self._scene.paint()  # before any thread starts: the first picture is there at once

        def frames(start_ns: int | None) -> Iterator[Frame]:
            return present_frames(self._scene, config.id, start_ns or clock.now_ns(), clock)

        return Capture(config, clock, open_frames=frames)


def present_frames(scene: Scene, sensor_id: str, start_ns: int, clock: Clock) -> Iterator[Frame]:
    """Frames of the scene as time goes by: where drawing takes longer than a frame lasts, frames are left out, so that
    the picture never lags behind the clock."""
    rate_hz = scene.cameras[sensor_id].rate_hz
    began_ns = clock.monotonic_ns()
    sequence = 0
    while True:
        yield scene.shot(sensor_id, start_ns + round(sequence * 1e9 / rate_hz), sequence).frame
        due = int((clock.monotonic_ns() - began_ns) * rate_hz / 1e9)
        sequence = max(sequence + 1, due)
