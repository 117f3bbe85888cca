"""The truth's verdicts on a recorded flight: by the truth in it, or by the log of the drone that was flown.

The same judge as live (`service.score`), told of what stands in the file; without a sensor, of what the fusion makes of
the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusion.site import Site
from fusion.types import NS, Scan
from service.clock import SystemClock
from service.flight_file import Flight
from service.flight_logs.log import Flown, overlap
from service.journal_about import recorded_site
from service.replay import AS_RECORDED, Changes, Replay, ReplayError, Run, Stage, pieces_of
from service.score import scorer_of, tell
from service.types import Message
from service.zones import by_id
from simulation.score import Scorer
from simulation.score_figures import figures
from simulation.truth import PictureTruth, TrueObject, Truth

_STEP_NS = NS // 10  # so often a log tells where its drone is

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """A flight with its judge.

    Attributes:
        first_ns, last_ns: times of the bus.
        sensors: that reported, in order of their ids.
        losses: what could not be read of it, in words.
    """

    scorer: Scorer
    first_ns: int
    last_ns: int
    sensors: tuple[str, ...]
    losses: tuple[str, ...] = ()

    @property
    def figures(self) -> Json:
        return figures(self.scorer)


#: Told of each message with its time on the bus, after the judge was.
Watch = Callable[[int, Message, Scorer], None]


def score_flight(
    paths: Sequence[Path], truth: Flown | None = None, without: Sequence[str] = (), *, again: bool = False
) -> Scored:
    """Judge a flight as it was recorded, or as it had been without some of its sensors (then it is fused again).

    Args:
        paths: the parts of one run in their order.
        truth: a drone's own log, in place of what a simulation wrote into the flight.
        again: fuse it again in any case: what this build makes of what the sensors reported.

    Raises:
        ReplayError: the flight has no site, or no truth is known of it.
        LogError: the log has no time in common with it.
        FlightError: it cannot be read.
    """
    scored = run_flight(paths, truth, without, again=again)
    if not scored.scorer.knows:
        raise ReplayError(f"{paths[0]} holds no truth: give --truth, the log of the drone that was flown")
    return scored


def run_flight(
    paths: Sequence[Path],
    truth: Flown | None = None,
    without: Sequence[str] = (),
    watch: Watch = lambda time_ns, message, scorer: None,
    *,
    again: bool = False,
) -> Scored:
    """The same, also where no truth is known; `watch` sees all of it go by.

    Raises:
        ReplayError, LogError, FlightError: as above.
    """
    with ExitStack() as opened:
        flights = [opened.enter_context(Flight(path)) for path in paths]
        site = site_of_flight(flights[0])
        spans = [span for span in (flight.duration() for flight in flights) if span is not None]
        if truth is not None and spans:
            overlap(truth, min(s[0] for s in spans), max(s[1] for s in spans))
        told = None if truth is None else truths_of(truth)
        changes = Changes(without=tuple(without)) if without else AS_RECORDED
        stage = Stage.MEASUREMENTS if without or again else Stage.TRACKS
        run = Run(Replay(flights[0].about, stage, SystemClock(), changes))
        scorer = scorer_of(site, complete=truth is None, source="simulation" if truth is None else truth.name)
        for zone_id, zone in by_id(site.file.zones).items():
            scorer.put_zone(zone.area(zone_id, site.frame))
        sensors = _judge(run, flights, scorer, site, told, watch)
        losses = tuple(str(flight.losses) for flight in flights if flight.losses)
    return Scored(scorer, run.first_ns, run.last_ns, tuple(sorted(sensors)), losses)


def site_of_flight(flight: Flight) -> Site:
    """The site of a flight.

    Raises:
        ReplayError: it has none.
        FormatError: one that this version does not understand.
    """
    site = recorded_site(flight.about)
    if site is None:
        raise ReplayError(
            f"{flight.path} was recorded without a site file, so nothing in it has a place to be judged by"
        )
    return site


def _judge(
    run: Run, flights: Sequence[Flight], scorer: Scorer, site: Site, told: Iterator[Truth] | None, watch: Watch
) -> set[str]:
    sensors: set[str] = set()
    waiting = next(told, None) if told is not None else None
    for time_ns, (_, message) in run.over(pieces_of(flights)):
        while told is not None and waiting is not None and waiting.time_ns <= time_ns:
            scorer.truth(waiting)
            waiting = next(told, None)
        if told is not None and isinstance(message, Truth | PictureTruth):
            continue
        if isinstance(message, Scan):
            sensors.add(message.sensor_id)
        tell(scorer, site.frame, message, time_ns)
        watch(time_ns, message, scorer)
    scorer.finish()
    return sensors


def truths_of(flown: Flown) -> Iterator[Truth]:
    """Where a log's drone was, ten times a second, where its path is known."""
    times_s = np.arange(flown.path.times_s[0], flown.path.times_s[-1], _STEP_NS / NS)
    place = flown.path.at(times_s)
    for k, known in enumerate(place.known.tolist()):
        if known:
            position = (float(place.position_m[k, 0]), float(place.position_m[k, 1]), float(place.position_m[k, 2]))
            velocity = (
                float(place.velocity_mps[k, 0]),
                float(place.velocity_mps[k, 1]),
                float(place.velocity_mps[k, 2]),
            )
            drone = TrueObject(flown.name, "drone", position, velocity)
            yield Truth(flown.epoch_ns + round(float(times_s[k]) * NS), (drone,))
