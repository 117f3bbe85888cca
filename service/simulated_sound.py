"""The microphone arrays of a simulated site, as blocks of sound like those of any other source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from fusion.sensors.microphone_array.config import ArrayConfig, SoundAddress
from fusion.sensors.microphone_array.source import Block
from fusion.types import NS
from simulation.site import SimulatedSite

BLOCK_NS = 100_000_000  # what an ear looks at in one go
STALE_NS = 1_000_000_000


def array_config(site: SimulatedSite, sensor_id: str) -> ArrayConfig:
    """An array as the service is told of it."""
    sensor = site.site.sensors[sensor_id].config
    return ArrayConfig(
        id=sensor_id,
        source=SoundAddress.of_file("simulated sound"),
        microphones=sensor.microphones or (),
        sample_rate_hz=site.ears[sensor_id].rate_hz,
        temperature=site.file.weather.temperature,
    )


def sound_blocks(
    site: SimulatedSite, sensor_id: str, start_ns: int | None = None, now_ns: Callable[[], int] | None = None
) -> Iterator[tuple[int, Block | None]]:
    """Blocks without end, stamped by the array's own clock, each with the true time of its end; None while the
    scenario silences the array.

    Args:
        start_ns: true time of the first sample. [the scene's beginning]
        now_ns: a clock to keep up with: what is `STALE_NS` behind it is left out.
    """
    ears, begin_ns = site.ears[sensor_id], start_ns or site.epoch_ns
    length = BLOCK_NS * ears.rate_hz // NS
    first = round((begin_ns - site.epoch_ns) * ears.rate_hz / NS)
    for number in count():
        time_ns = begin_ns + number * BLOCK_NS
        block = None
        if now_ns is not None and now_ns() - time_ns > STALE_NS:
            continue
        if not site.is_silent(sensor_id, time_ns):
            samples = ears.samples(first + number * length, length)
            block = Block(sensor_id, number * length, site.stamp_ns(sensor_id, time_ns), ears.rate_hz, samples)
        yield time_ns + BLOCK_NS, block
