"""A scene: cameras looking at a world, giving frames like any other source, with the truth beside each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from models.types import Frame
from simulation.camera import Camera
from simulation.landscape import Landscape
from simulation.render import Renderer, Truth
from simulation.world import Aircraft

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame and what really is in it."""

    frame: Frame
    truth: tuple[Truth, ...]


class Scene:
    """Cameras and aircraft over one landscape. Endless, and any moment may be asked for first.

    Args:
        epoch_ns: UTC nanoseconds at which the world's clock stood at zero. All cameras see one and the same world.

    Raises:
        ValueError: two cameras or two aircraft with the same id.
    """

    def __init__(
        self, cameras: Sequence[Camera], aircraft: Sequence[Aircraft], landscape: Landscape, epoch_ns: int = 0
    ) -> None:
        if len({c.sensor_id for c in cameras}) < len(cameras) or len({a.object_id for a in aircraft}) < len(aircraft):
            raise ValueError("every camera and every aircraft of a scene needs an id of its own")
        self.cameras = {camera.sensor_id: camera for camera in cameras}
        self.aircraft = tuple(aircraft)
        self.landscape = landscape
        self.epoch_ns = epoch_ns
        self._renderers: dict[str, Renderer] = {}

    def paint(self) -> None:
        """Paint every camera's backdrop now (about a second each), rather than with its first frame."""
        for sensor_id in self.cameras:
            self.renderer(sensor_id)

    def shot(self, sensor_id: str, time_ns: int, sequence: int = 0) -> Shot:
        """What a camera sees at `time_ns` ≥ `epoch_ns`. One camera is not to be asked from two threads at once.

        Raises:
            KeyError: no such camera.
            ValueError: before the world began.
        """
        if time_ns < self.epoch_ns:
            raise ValueError(f"the scene begins at {self.epoch_ns} ns, and {time_ns} ns is before that")
        camera = self.cameras[sensor_id]
        pixels, truth = self.renderer(sensor_id).render(self.aircraft, (time_ns - self.epoch_ns) / _NS)
        return Shot(Frame(sensor_id, time_ns, sequence, camera.band, pixels, time_source="simulated"), truth)

    def shots(self, sensor_id: str, start_ns: int | None = None) -> Iterator[Shot]:
        """A camera's frames with their truth, without end, from `start_ns` (default: the scene's epoch)."""
        first_ns = self.epoch_ns if start_ns is None else start_ns
        rate_hz = self.cameras[sensor_id].rate_hz
        return (self.shot(sensor_id, first_ns + round(n * _NS / rate_hz), n) for n in count())

    def frames(self, sensor_id: str, start_ns: int | None = None) -> Iterator[Frame]:
        """The same without the truth: what a detector may know."""
        return (shot.frame for shot in self.shots(sensor_id, start_ns))

    def renderer(self, sensor_id: str) -> Renderer:
        """A camera's renderer, painted at first use: a scene costs nothing until it is looked at."""
        if sensor_id not in self._renderers:
            self._renderers[sensor_id] = Renderer(self.cameras[sensor_id], self.landscape)
        return self._renderers[sensor_id]
