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
    """Cameras and aircraft over one landscape. Endless, and any frame may be asked for at any time.

    Raises:
        ValueError: two cameras or two aircraft with the same id.
    """

    def __init__(self, cameras: Sequence[Camera], aircraft: Sequence[Aircraft], landscape: Landscape) -> None:
        if len({c.sensor_id for c in cameras}) < len(cameras) or len({a.object_id for a in aircraft}) < len(aircraft):
            raise ValueError("every camera and every aircraft of a scene needs an id of its own")
        self.cameras = {camera.sensor_id: camera for camera in cameras}
        self.aircraft = tuple(aircraft)
        self.landscape = landscape
        self._renderers: dict[str, Renderer] = {}

    def shot(self, sensor_id: str, sequence: int, *, epoch_ns: int = 0) -> Shot:
        """Frame number `sequence` of a camera whose frame 0 was taken at `epoch_ns`, UTC nanoseconds.

        A slow consumer skips ahead by asking for a later number. Not safe from several threads at once for one camera.

        Raises:
            KeyError: no such camera.
        """
        camera = self.cameras[sensor_id]
        elapsed_ns = round(sequence * _NS / camera.rate_hz)
        pixels, truth = self._renderer(camera).render(self.aircraft, elapsed_ns / _NS)
        frame = Frame(sensor_id, epoch_ns + elapsed_ns, sequence, camera.band, pixels, time_source="simulated")
        return Shot(frame, truth)

    def shots(self, sensor_id: str, *, epoch_ns: int = 0) -> Iterator[Shot]:
        """All frames of a camera, without end, as fast as they are asked for."""
        return (self.shot(sensor_id, sequence, epoch_ns=epoch_ns) for sequence in count())

    def frames(self, sensor_id: str, *, epoch_ns: int = 0) -> Iterator[Frame]:
        """The same without the truth: what a detector may know."""
        return (shot.frame for shot in self.shots(sensor_id, epoch_ns=epoch_ns))

    def _renderer(self, camera: Camera) -> Renderer:
        """Painted at first use, so that a scene costs nothing until it is looked at."""
        if camera.sensor_id not in self._renderers:
            self._renderers[camera.sensor_id] = Renderer(camera, self.landscape)
        return self._renderers[camera.sensor_id]
