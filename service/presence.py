"""How long tracks of the site were over each piece of ground, summed up by hour while they are written.

Asking the points for it would read millions of rows for one map. Pieces are `CELL_DEG` of latitude and of longitude.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from service import tables
from service.database import Row, put_all
from service.schemas import best_class
from service.types import WorldUpdate

CELL_DEG = 0.00025  # 28 m to the north
MOST_S = 1.0  # between two updates of a track; a longer gap says nothing of where it was
HOUR_NS = 3600 * 10**9

PUT = put_all(tables.presence, renew=lambda new: {"seconds": tables.presence.c.seconds + new.seconds})

Cell = tuple[int, str, int, int]


def cell_of(latitude: float, longitude: float) -> tuple[int, int]:
    """Number of the piece of ground, from the equator to the north and from Greenwich to the east."""
    return math.floor(latitude / CELL_DEG), math.floor(longitude / CELL_DEG)


class Presence:
    """Keeps when each living track was last seen; an update is to be given once."""

    def __init__(self) -> None:
        self._seen_ns: dict[str, int] = {}

    def rows(self, updates: Sequence[WorldUpdate]) -> list[Row]:
        """What these updates add, summed."""
        seconds: dict[Cell, float] = {}
        for update in updates:
            for cell, more_s in self._steps(update):
                seconds[cell] = seconds.get(cell, 0.0) + more_s
            for track_id in update.ended:
                self._seen_ns.pop(track_id, None)
        return [(*cell, total) for cell, total in seconds.items() if total > 0.0]

    def _steps(self, update: WorldUpdate) -> Iterable[tuple[Cell, float]]:
        for shown in update.tracks:
            track = shown.track
            passed_s = (update.time_ns - self._seen_ns.get(track.track_id, update.time_ns)) / 1e9
            self._seen_ns[track.track_id] = update.time_ns
            if math.isfinite(shown.latitude_deg + shown.longitude_deg) and 0.0 < passed_s <= MOST_S:
                place = cell_of(shown.latitude_deg, shown.longitude_deg)
                yield (update.time_ns // HOUR_NS, best_class(track.class_probabilities), *place), passed_s
