"""`deeplomatics fuse`: lines of measurements in, lines of tracks out. The engine is the one that runs live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from fusion.engine import FusionEngine
from fusion.geometry import LocalFrame
from fusion.reports import MOST_LINE, Refused, read_line
from fusion.sequencer import DEFAULT_LAG_NS, Sequencer
from fusion.settings import FusionSettings
from fusion.site import Site
from fusion.types import Heartbeat, Scan, Track, TrackUpdate
from models.types import CLASSES
from tracking.types import Status

_DEFAULTS = FusionSettings()
_SHOWN = (Status.CONFIRMED, Status.COASTING)
_MOST_REMEMBERED = 1_000


@dataclass(slots=True)
class Refusals:
    """Lines that were not used: how many by reason, and the first of them with their numbers."""

    counts: Counter[str] = field(default_factory=Counter)
    first: list[tuple[int, str]] = field(default_factory=list)
    taken: int = 0

    def add(self, number: int, reason: str) -> None:
        self.counts[reason] += 1
        if len(self.first) < _MOST_REMEMBERED:
            self.first.append((number, reason))


def fuse(
    lines: Iterable[bytes],
    site: Site,
    refusals: Refusals,
    *,
    settings: FusionSettings = _DEFAULTS,
    lag_ns: int = DEFAULT_LAG_NS,
) -> Iterator[bytes]:
    """Track lines (INTERFACES: fused track lines, each with its newline) of measurement lines.

    A track has a line for every scan that changed it, once it is confirmed. Lines may come in any order within
    `lag_ns`; the output does not depend on that order. What is refused is added to `refusals`.
    """
    engine = FusionEngine(settings)
    for message in ordered(lines, site, refusals, lag_ns):
        yield from track_lines(engine.step(message), site.frame)


def ordered(lines: Iterable[bytes], site: Site, refusals: Refusals, lag_ns: int) -> Iterator[Scan | Heartbeat]:
    """Scans of the lines in order of event time."""
    sequencer = Sequencer(lag_ns, heartbeats=False)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scan = read_line(line, number, site)
        except Refused as refused:
            refusals.add(number, str(refused))
            continue
        refusals.taken += 1
        yield from sequencer.push(scan)
        _collect(sequencer, refusals)
    yield from sequencer.flush()
    _collect(sequencer, refusals)


def _collect(sequencer: Sequencer, refusals: Refusals) -> None:
    for number, reason in sequencer.take_refused():
        refusals.taken -= 1
        refusals.add(number, reason)


def bounded_lines(stream: BinaryIO, most: int = MOST_LINE) -> Iterator[bytes]:
    """Lines of a stream; of one too long only its beginning (one byte over `most`), so that memory stays small."""
    while line := stream.readline(most + 1):
        yield line
        while len(line) > most and not line.endswith(b"\n"):
            line = stream.readline(most + 1)


def track_lines(update: TrackUpdate, frame: LocalFrame) -> Iterator[bytes]:
    """Lines of the shown tracks of an update."""
    for track in update.tracks:
        if track.status in _SHOWN:
            yield orjson.dumps(track_fields(track, frame), option=orjson.OPT_APPEND_NEWLINE)


def track_fields(track: Track, frame: LocalFrame) -> dict[str, Any]:
    """A track as INTERFACES lays it down: degrees, metres, seconds; rounded well below any uncertainty."""
    latitude, longitude, altitude = (float(v) for v in frame.to_geodetic(track.mean[:3]))
    best = max(range(len(CLASSES)), key=lambda k: (track.class_probabilities[k], -k))
    return {
        "type": "track",
        "time": round(track.time_ns * 1e-9, 6),
        "id": track.track_id,
        "state": str(track.status),
        "class": CLASSES[best],
        "probabilities": {n: round(v, 6) for n, v in zip(CLASSES, track.class_probabilities, strict=True)},
        "existence": round(track.existence, 6),
        "latitude": round(latitude, 9),
        "longitude": round(longitude, 9),
        "altitude": round(altitude, 4),
        "enu": [round(v, 4) for v in track.mean[:3]],
        "velocity": [round(v, 4) for v in track.mean[3:6]],
        "covariance": [float(f"{v:.9g}") for v in track.covariance],
        "sensors": [sensor_id for sensor_id, _ in track.contributors],
        "claimed_id": track.claimed_id,
        "identity": str(track.identity),
        "identity_score": round(track.identity_score, 4),
        "evidence": list(track.evidence),
        "claim_only": track.claim_only,
    }
