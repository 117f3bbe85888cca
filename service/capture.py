"""One camera's frames, whatever they come from: start, take the next, ask how it is, stop.

| source | read by | frames the worker is too slow for | when it breaks |
| --- | --- | --- | --- |
| stream, device | a process of its own, killable | the newest wins, the rest is counted | made anew, with back-off |
| file, folder, simulation, paced | a thread | the newest wins, the rest is counted | `failed`, `ended` |
| the same, unpaced | a thread | the reader waits; none is lost | `failed`, `ended` |
"""

from __future__ import annotations

from collections.abc import Iterator

from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.camera.source import open_source
from models.types import Frame
from service.capture_live import LiveFeed
from service.capture_played import OpenFrames, PlayedFeed
from service.clock import Clock
from service.types import SensorHealth


class Capture:
    """Frames of one camera.

    Args:
        paced: recordings run at their own pace and carry the present time. False: every frame, as fast as it is
            taken, with the recording's own times. Live sources have but one pace.
        open_frames: frames that come from elsewhere, such as a simulated scene, in place of `config.source`.
    """

    def __init__(
        self, config: CameraConfig, clock: Clock, *, paced: bool = True, open_frames: OpenFrames | None = None
    ) -> None:
        self._feed: LiveFeed | PlayedFeed
        if open_frames is None and config.source.live:
            self._feed = LiveFeed(config, clock)
        else:
            frames = open_frames or _frames_of(config, clock)
            self._feed = PlayedFeed(config.id, frames, clock, paced=paced, loop=config.loop)

    def start(self) -> None:
        """Begin to read. Returns at once; what goes wrong is told by `health`."""
        self._feed.start()

    def next(self, timeout_s: float) -> Frame | None:
        """The next frame, the newest if some were missed; None if there is none within `timeout_s`."""
        return self._feed.next(timeout_s)

    @property
    def ended(self) -> bool:
        """No more frames will come: a recording is over or broken and its last frame taken, or `stop` was called."""
        return self._feed.ended

    def health(self) -> SensorHealth:
        """How it is at this moment; `processed` is for the worker to fill in."""
        return self._feed.health()

    def stop(self) -> None:
        """End it: thread, process, memory and descriptors."""
        self._feed.stop()


def _frames_of(config: CameraConfig, clock: Clock) -> OpenFrames:
    def frames(start_ns: int | None) -> Iterator[Frame]:
        with open_source(config, clock.now_ns, start_ns=start_ns) as source:
            yield from source

    return frames
