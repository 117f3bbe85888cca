"""The truth's verdicts while truth is told: of what is live, and of replays (`GET /api/v1/score`).

The judge is `simulation.score`; here it is told of what passes the bus.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from fusion.alerts import Alert
from fusion.geometry import LocalFrame
from fusion.site import Site
from fusion.types import NS, Heartbeat, Scan
from service.bus import Bus, Full
from service.schemas import rfc3339
from service.types import Envelope, WorldUpdate, ZoneChange
from service.world import INPUTS, lag_ns
from simulation.score import Scorer, ScoreSettings
from simulation.score_figures import figures
from simulation.truth import PictureTruth, Truth

SUBJECTS = (*INPUTS, "truth", "world", "alert.")
CAPACITY = 8192
_BACK_NS = 2 * NS  # truth that goes back by more is that of another playing

Json = dict[str, Any]


def scorer_of(site: Site, *, complete: bool = True, source: str = "simulation") -> Scorer:
    """A judge of what a site says."""
    return Scorer(site.frame, ScoreSettings(lag_ns=lag_ns(site)), complete=complete, source=source)


def tell(scorer: Scorer, frame: LocalFrame, message: object, received_ns: int) -> None:
    """One message of the bus, and when it came."""
    match message:
        case Truth():
            scorer.truth(message)
        case PictureTruth():
            scorer.picture(message)
        case Scan():
            scorer.scan(message, received_ns)
        case Heartbeat():
            scorer.heartbeat(message)
        case WorldUpdate():
            scorer.tracks(message.time_ns, [each.track for each in message.tracks], message.ended)
        case Alert():
            scorer.alert(message)
        case ZoneChange(zone_id=zone_id, zone=None):
            scorer.remove_zone(zone_id)
        case ZoneChange(zone_id=zone_id, zone=zone) if zone is not None:
            scorer.put_zone(zone.area(zone_id, frame))
        case _:
            pass


class ScoreKeeper:
    """Follows a bus in a thread of its own; what it says can be asked for from any other.

    Args:
        site: of the world; None: there is none, and nothing is ever judged.
        zones: that were there before it began to follow.
        live: messages come when they happen, so that one can be late; a replay's do not.

    Bound: it drops the oldest messages where it does not keep up; figures then miss those moments.
    """

    def __init__(self, site: Site | None, bus: Bus, zones: dict[str, Any], *, live: bool = True) -> None:
        self._site = site
        self._bus = bus
        self._live = live
        self._zones = dict(zones)
        self._lock = threading.Lock()
        self._scorer = self._begin() if site is not None else None
        self._newest_ns = 0

    @contextmanager
    def following(self) -> Iterator[None]:
        """While it lasts."""
        if self._scorer is None:
            yield
            return
        subscription = self._bus.subscribe("score", capacity=CAPACITY, full=Full.DROP_OLDEST, prefixes=SUBJECTS)

        def follow() -> None:
            while not (subscription.closed and not len(subscription)):
                for envelope in subscription.take():
                    self.accept(envelope)

        thread = threading.Thread(target=follow, name="score", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._bus.unsubscribe(subscription)
            thread.join()

    def accept(self, envelope: Envelope) -> None:
        """One message, in the order of the bus."""
        message, site = envelope.message, self._site
        if site is None or self._scorer is None:
            return
        received_ns = envelope.received_ns if self._live else getattr(message, "time_ns", envelope.received_ns)
        with self._lock:
            if isinstance(message, ZoneChange):
                self._zones[message.zone_id] = message.zone
            if isinstance(message, Truth):
                if message.time_ns < self._newest_ns - _BACK_NS:
                    self._scorer = self._begin()
                self._newest_ns = message.time_ns
            tell(self._scorer, site.frame, message, received_ns)

    def figures(self) -> Json | None:
        """As they stand; None: no truth was told."""
        with self._lock:
            if self._scorer is None or not self._scorer.knows:
                return None
            time_ns = self._scorer.followed.time_ns
            return {"time": None if time_ns is None else rfc3339(time_ns)} | figures(self._scorer)

    def _begin(self) -> Scorer:
        assert self._site is not None
        scorer = scorer_of(self._site)
        for zone_id, zone in self._zones.items():
            tell(scorer, self._site.frame, ZoneChange(zone_id, zone), 0)
        return scorer


def router(keeper: ScoreKeeper, world: str) -> APIRouter:
    """`GET /api/v1/score`."""
    router = APIRouter(prefix="/api/v1", tags=["simulation"])

    @router.get("/score", summary="How right everything was, where the truth is known")
    async def score() -> Response:
        """Verdicts on all reports, tracks and alerts so far, and the figures that follow; `truth` is null where nobody
        knows what really flies."""
        found = await run_in_threadpool(keeper.figures)
        return Response(orjson.dumps({"world": world, **(found or {"truth": None})}), media_type="application/json")

    return router
