"""`POST /api/v1/measurements`: what anyone's sensor saw, checked line by line, becomes scans on the bus.

Bounds: a body of 1 MiB (`service.api`); what waits for the fusion (`service.world.CAPACITY`); what is remembered to
tell a line that came twice from a new one (`MOST_REMEMBERED`, the oldest go first).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from fusion.kinds import readers
from fusion.reports import Refused, read_line, read_report
from fusion.site import Site
from fusion.types import NS, Measurement, Scan
from service import problems, schemas
from service.bus import Bus
from service.clock import Clock
from service.schemas import to_ns

AHEAD_NS = 2 * NS  # how far a sensor's clock may be ahead of this machine's
MOST_REMEMBERED = 100_000
MOST_TOLD = 1_000  # refused lines that an answer names

_EXAMPLE = {
    "time": 1777636800.25,
    "sensor_id": "radar-1",
    "kind": "bearing",
    "azimuth": 41.5,
    "elevation": 8.0,
    "sigma_azimuth": 0.5,
    "sigma_elevation": 0.5,
    "class": "drone",
    "score": 0.8,
}


@dataclass(slots=True)
class Taken:
    """What became of a batch; `refused`: 1-based number and reason, of the first ones."""

    taken: int = 0
    duplicates: int = 0
    refused_count: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, number: int, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < MOST_TOLD:
            self.refused.append((number, reason))

    def json(self) -> schemas.Json:
        """A `schemas.Taken`."""
        refused = [{"line": number, "reason": reason} for number, reason in self.refused]
        return {
            "taken": self.taken,
            "duplicates": self.duplicates,
            "refused_count": self.refused_count,
            "refused": refused,
        }


class Intake:
    """Takes batches, one at a time; used from any thread.

    Args:
        lag_ns: how late the fusion still uses a report.
    """

    def __init__(self, site: Site, bus: Bus, clock: Clock, lag_ns: int) -> None:
        self._site = site
        self._bus = bus
        self._clock = clock
        self._lag_ns = lag_ns
        readers()  # found now: the first batch is not to wait for it, and a report is soon too late
        self._one_at_a_time = threading.Lock()
        self._sequence = 0
        self._known: dict[tuple[str, int, Measurement], None] = {}

    def take(self, body: bytes) -> Taken:
        """Put on the bus what can be used; a line that came before is counted and not used again."""
        answer = Taken()
        with self._one_at_a_time:
            now_ns = self._clock.now_ns()
            for number, line in _lines(body):
                try:
                    self._take(self._scan(line), now_ns, answer)
                except Refused as refused:
                    answer.refuse(number, str(refused))
        return answer

    def _scan(self, line: bytes | object) -> Scan:
        self._sequence += 1
        if isinstance(line, bytes):
            return read_line(line, self._sequence, self._site)
        if not isinstance(line, dict):
            raise Refused("not a JSON object")
        if isinstance(line.get("time"), str):
            line = {**line, "time": _seconds(line["time"])}
        return read_report(line, self._sequence, self._site)

    def _take(self, scan: Scan, now_ns: int, answer: Taken) -> None:
        key = (scan.sensor_id, scan.time_ns, scan.measurements[0])
        if key in self._known:
            answer.duplicates += 1
            return
        self._check_time(scan.time_ns, now_ns)
        self._known[key] = None
        if len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._bus.publish(f"scan.{scan.sensor_id}", scan)
        answer.taken += 1

    def _check_time(self, time_ns: int, now_ns: int) -> None:
        late_s = (now_ns - time_ns) * 1e-9
        if time_ns > now_ns + AHEAD_NS:
            raise Refused(f"its time is {-late_s:.1f} s ahead of this machine's clock; set the sensor's clock right")
        if late_s > self._lag_ns * 1e-9:
            raise Refused(
                f"its time is {late_s:.1f} s ago and the lag allows {self._lag_ns * 1e-9:.1f} s; time is UTC seconds "
                "since 1970, and fusion: lag in the site file sets the lag"
            )


def _lines(body: bytes) -> Iterator[tuple[int, bytes | object]]:
    """The measurements of a JSON array, of {"measurements": […]}, of one object, or of one object a line.

    Numbered from 1: places in the list, or lines of the text.
    """
    whole = _decoded(body)
    if isinstance(whole, dict):
        whole = whole["measurements"] if isinstance(whole.get("measurements"), list) else [whole]
    if isinstance(whole, list):
        yield from enumerate(whole, start=1)
        return
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield number, _decoded(line) or line


def _decoded(text: bytes) -> Any:
    """None for what is not JSON. NaN and infinities are let through to be refused where they stand."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None


def _seconds(time: str) -> float:
    """UTC seconds of an RFC 3339 text."""
    try:
        return to_ns(datetime.fromisoformat(time)) * 1e-9
    except (ValueError, TypeError, OverflowError):
        raise Refused("time must be UTC seconds since 1970, or RFC 3339 with a zone") from None


def router(intake: Intake | None) -> APIRouter:
    """The path; `None` where the service has no world to take measurements into."""
    router = APIRouter(prefix="/api/v1", tags=["measurements"])
    one = {"schema": schemas.Measurement.model_json_schema(), "example": _EXAMPLE}
    many = {"schema": {"type": "array", "items": schemas.Measurement.model_json_schema()}, "example": [_EXAMPLE]}
    body = {"required": True, "content": {"application/json": many, "application/x-ndjson": one}}

    @router.post(
        "/measurements",
        summary="Tell what a sensor of yours saw",
        response_model=schemas.Taken,
        responses=problems.documented(409, 413, 422),
        openapi_extra={"requestBody": body},
    )
    async def post_measurements(request: Request) -> Response:
        """A JSON array of measurements, or one JSON object a line. Those that cannot be used are named with the reason
        and the rest is taken; one that came before is counted and not used again, so that a batch may be sent twice.
        Status 422 where every one was refused."""
        if intake is None:
            raise HTTPException(
                409, "This service knows no place to put measurements. Start it with --config and a site file."
            )
        answer = await run_in_threadpool(intake.take, await request.body())  # a full body takes a tenth of a second
        if answer.refused_count and not (answer.taken or answer.duplicates):
            number, reason = answer.refused[0]
            detail = f"No measurement was taken. Line {number}: {reason}."
            return problems.problem(422, detail, request.url.path, more=answer.json())
        return Response(orjson.dumps(answer.json()), media_type="application/json")

    return router
