"""What the kinds of sensor bring along. A kind is a folder of `fusion/sensors`; a new one is one new folder.

A folder's `measure.py` may hold `READERS`: what to make of each `kind` of measurement line that it brings along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from fusion.fields import Fields
from fusion.geometry import LocalFrame
from fusion.sensors import sensor_kinds
from fusion.site import Sensor
from fusion.types import Measurement

#: From a line's fields, its sensor and the site's frame to what was measured. Raises `fusion.fields.Refused`.
Reader = Callable[[Fields, Sensor, LocalFrame], Measurement]


@cache
def readers() -> Mapping[str, Reader]:
    """By the `kind` of a measurement line.

    Raises:
        ValueError: two folders bring the same one.
    """
    found: dict[str, Reader] = {}
    for kind in sensor_kinds():
        for name, reader in getattr(import_module(f"fusion.sensors.{kind}.measure"), "READERS", {}).items():
            if name in found:
                raise ValueError(f"two kinds of sensor read measurements of kind {name}")
            found[name] = reader
    return found
