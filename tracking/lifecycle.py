"""The life of a track, as a table.

A track is born TENTATIVE from a detection that no other track explains. Each look then gives it exactly one event:

  LOST      its existence probability fell below the floor, it was not seen for too long, or it left the picture;
  SURE      a detection was assigned and the existence probability reached the level of confirmation;
  SEEN      a detection was assigned, without that certainty;
  MISSED    nothing was assigned.

LOST is checked first, so an event never depends on the order of tests elsewhere. TENTATIVE tracks are hypotheses;
people are shown CONFIRMED ones, and COASTING ones as what they are: a prediction. A confirmed track never falls back to
tentative: doubt about it is in its existence probability, and ends it when it grows. DELETED is final, and an id is
never used again.

The table is the whole rule; `advance` only looks it up for all tracks at once.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tracking.types import Status


class Event(IntEnum):
    """What one look meant for one track."""

    LOST = 0
    SURE = 1
    SEEN = 2
    MISSED = 3


MOVES: dict[Status, dict[Event, Status]] = {
    Status.TENTATIVE: {
        Event.LOST: Status.DELETED,
        Event.SURE: Status.CONFIRMED,
        Event.SEEN: Status.TENTATIVE,
        Event.MISSED: Status.TENTATIVE,
    },
    Status.CONFIRMED: {
        Event.LOST: Status.DELETED,
        Event.SURE: Status.CONFIRMED,
        Event.SEEN: Status.CONFIRMED,
        Event.MISSED: Status.COASTING,
    },
    Status.COASTING: {
        Event.LOST: Status.DELETED,
        Event.SURE: Status.CONFIRMED,
        Event.SEEN: Status.CONFIRMED,
        Event.MISSED: Status.COASTING,
    },
    Status.DELETED: dict.fromkeys(Event, Status.DELETED),
}

#: Number of each status in arrays, and back.
STATUSES: tuple[Status, ...] = tuple(Status)
CODE: dict[Status, int] = {status: code for code, status in enumerate(STATUSES)}

_NEXT = np.array([CODE[MOVES[status][event]] for status in STATUSES for event in Event], dtype=np.int64)
#: The event for each number whose bits are lost, seen, sure.
_EVENT = np.array([Event.MISSED, Event.MISSED, Event.SEEN, Event.SURE] + [Event.LOST] * 4, dtype=np.int64)


def events(lost: NDArray[np.bool_], seen: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The event of each track, [N]."""
    bits = 4 * lost.view(np.uint8) + 2 * seen.view(np.uint8) + sure.view(np.uint8)
    return np.asarray(_EVENT.take(bits))


def advance(status: NDArray[np.int64], event: NDArray[np.int64]) -> NDArray[np.int64]:
    """Status codes after the events, [N]."""
    return np.asarray(_NEXT.take(len(Event) * status + event))
