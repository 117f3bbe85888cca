"""`deeplomatics replay`: a flight again, its tracks as JSON lines, and whether they are what they were."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from fusion.fuse import track_fields
from fusion.site import Site
from service.clock import Clock
from service.flight_file import Flight, Losses
from service.outputs import followed, found
from service.partial import written
from service.replay import AS_RECORDED, Changes, Pace, Replay, Run, Stage, pieces_of
from service.types import CameraUpdate, Message, WorldUpdate

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """How it went.

    Attributes:
        digest: SHA-256 of everything that was said.
        difference: to what was recorded, in words; empty: none.
        losses: of each file.
        flight_s: how long the flight lasts; `took_s` the replay.
    """

    digest: str
    outputs: int
    pictures: int
    sound_s: float
    difference: str
    losses: tuple[Losses, ...]
    flight_s: float
    took_s: float
    begins_within: bool

    def sentences(self) -> list[str]:
        """For people."""
        speed = self.flight_s / self.took_s if self.took_s > 0 else 0.0
        said = [f"{self.outputs} messages in {self.took_s:.1f} s, {speed:.1f} times real time, sha256 {self.digest}"]
        said += [f"part of the recording is missing: {losses}" for losses in self.losses if losses]
        if self.pictures:
            said.append(f"{self.pictures} pictures went through the detector again")
        if self.sound_s:
            said.append(f"{self.sound_s:.1f} s of sound were heard again")
        said.append(f"not as recorded: {self.difference}" if self.difference else "the same as recorded, bit for bit")
        if self.difference and self.begins_within:
            said.append("the file begins within a run, so what lived before is not known: name the parts before it too")
        return said


def replay(
    paths: Sequence[Path],
    stage: Stage,
    speed: float | None,
    output: Path | None,
    clock: Clock,
    changes: Changes = AS_RECORDED,
) -> Result:
    """Replay the parts of one run.

    Raises:
        FlightError, ReplayError, WeightsError, OSError: see there.
    """
    with ExitStack() as opened:
        flights = [opened.enter_context(Flight(path)) for path in paths]
        lines = opened.enter_context(written(output)) if output is not None else None
        about = flights[0].about
        run, pace = Run(Replay(about, stage, clock, changes)), Pace(clock, speed)
        began_ns = clock.monotonic_ns()
        writer = _Lines(lines, run.replay.site, {"source": str(paths[0]), "from": stage.value}) if lines else None
        for time_ns, (_, message) in run.over(pieces_of(flights)):
            pace.wait(time_ns)
            if writer is not None:
                writer.write(time_ns, message)
        return Result(
            digest=run.replayed.digest(),
            outputs=len(run.replayed),
            pictures=run.replay.pictures,
            sound_s=run.replay.sound_s,
            difference=run.replayed.difference(run.recorded),
            losses=tuple(flight.losses for flight in flights),
            flight_s=(run.last_ns - run.first_ns) / NS,
            took_s=(clock.monotonic_ns() - began_ns) / NS,
            begins_within=about.part > 0,
        )


class _Lines:
    """A header, then a line for each look of a camera and for each fused track of each update."""

    def __init__(self, stream: IO[bytes], site: Site | None, header: dict[str, Any]) -> None:
        self._stream = stream
        self._site = site
        self._header: dict[str, Any] | None = {"type": "header"} | header
        self._start_ns = 0

    def write(self, time_ns: int, message: Message) -> None:
        if self._header is not None:
            self._start_ns = time_ns
            self._line(self._header | {"t0": time_ns / NS})
            self._header = None
        if isinstance(message, CameraUpdate):
            self._line(self._look(message))
        elif isinstance(message, WorldUpdate) and self._site is not None:
            for each in message.tracks:
                self._line(track_fields(each.track, self._site.frame))

    def _look(self, update: CameraUpdate) -> dict[str, Any]:
        return {
            "type": "frame",
            "sensor": update.sensor_id,
            "frame": update.sequence,
            "time": round((update.time_ns - self._start_ns) / NS, 6),
            "detections": found(update.detections),
            "tracks": [followed(track) for track in update.tracks.tracks],
        }

    def _line(self, record: dict[str, Any]) -> None:
        self._stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
