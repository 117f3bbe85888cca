"""PX4's ULog (https://docs.px4.io/main/en/dev_log/ulog_file_format.html), read by `pyulog`: the receiver's fixes.

UTC is the receiver's own; heights above the ellipsoid are in the log.
"""

from __future__ import annotations

import io
import struct
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from pyulog import ULog
from pyulog.exceptions import ULogException

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of

_TOPICS = ("vehicle_gps_position", "sensor_gps")
_FIX_3D = 3
_BROKEN = (ULogException, TypeError, ValueError, IndexError, KeyError, AttributeError, struct.error, EOFError)


def read(path: Path) -> FlightLog:
    """The log.

    Raises:
        LogError: no ULog, or no fix of a receiver in it.
    """
    try:
        with redirect_stdout(io.StringIO()):  # it prints what it finds damaged
            whole = ULog(str(path), list(_TOPICS))
    except _BROKEN as error:
        raise LogError(f"it is no ULog, or damaged at its beginning: {error}") from None
    receivers = sorted(whole.data_list, key=lambda topic: (_TOPICS.index(topic.name), topic.multi_id))
    if not receivers:
        raise LogError("it holds no positions of a satellite receiver (vehicle_gps_position)")
    data = receivers[0].data
    fixed = data["fix_type"] >= _FIX_3D
    times, clock = _times(data, fixed)
    latitude, longitude, height = _place(data)
    fixes = list(zip(*(column[fixed].tolist() for column in (times, latitude, longitude, height)), strict=True))
    skipped = [(int(np.count_nonzero(~fixed)), "the receiver had no fix")]
    if whole.file_corruption:
        skipped.append((1, "the file is damaged, and pieces of it are missing"))
    return log_of("PX4 ULog", clock, Heights.ELLIPSOID, fixes, skipped=skipped)


def _times(data: dict[str, Any], fixed: Any) -> tuple[Any, Clock]:
    """Seconds [N]: the autopilot's even clock, set by the receiver's UTC."""
    since_start = data["timestamp"].astype(np.float64) * 1e-6
    utc = data["time_utc_usec"].astype(np.float64) * 1e-6
    told = fixed & (utc > 1e9)
    if not told.any():
        return since_start - since_start[0], Clock.OWN
    return since_start + float(np.median(utc[told] - since_start[told])), Clock.UTC


def _place(data: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Degrees and metres above the ellipsoid; whole numbers until PX4 1.14, floating since."""
    if "latitude_deg" in data:
        return data["latitude_deg"], data["longitude_deg"], data["altitude_ellipsoid_m"]
    return data["lat"] * 1e-7, data["lon"] * 1e-7, data["alt_ellipsoid"] * 1e-3
