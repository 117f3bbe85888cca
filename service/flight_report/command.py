"""`deeplomatics report`: a flight, judged and drawn, as one file."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from service.flight_file import Flight
from service.flight_logs.log import Alignment
from service.flight_logs.read import read_flown
from service.flight_report import html
from service.flight_report.content import Material, document
from service.flight_report.observed import Observed
from service.partial import written
from service.score_flight import Scored, run_flight, site_of_flight, truths_of
from service.track import Progress

_BLOCK = 1 << 20


class ReportError(Exception):
    """There is nothing to report; one plain sentence."""


def report(
    flight: Path,
    output: Path,
    truth: Path | None = None,
    known: Alignment | None = None,
    *,
    leave_out: bool = True,
    progress: Progress | None = None,
) -> str:
    """Write a report of a flight; what is to be told.

    Args:
        truth: log of the drone that was flown, in place of the truth in the flight.
        leave_out: also what it had been without each of the sensors.

    Raises:
        ReportError: nothing was recorded.
        LogError, ReplayError, FlightError, OSError: see there.
    """
    progress = progress or Progress()
    material = gather(flight, truth, known or Alignment(), leave_out, progress)
    if output.suffix == ".pdf":
        from service.flight_report import pdf

        whole = pdf.write(document(material))
    else:
        whole = html.write(document(material))
    with written(output) as stream:
        stream.write(whole)
    judged = "judged by the truth" if material.judged else "without truth: it says what was seen, not how right it was"
    return f"{output} written, {len(whole) // 1024} KB, {judged}"


def gather(flight: Path, truth: Path | None, known: Alignment, leave_out: bool, progress: Progress) -> Material:
    """All that a report is made of."""
    with Flight(flight) as opened:
        about, site = opened.about, site_of_flight(opened)
    flown = None if truth is None else read_flown(truth, site.frame, known)

    def run(without: tuple[str, ...]) -> tuple[Scored, Observed]:
        seen = Observed()
        scored = run_flight([flight], flown, without, seen.watch)
        for told in () if flown is None else truths_of(flown):
            seen.fly(told)
        progress.step()
        return scored, seen

    scored, seen = run(())
    if not scored.last_ns:
        raise ReportError(f"{flight} holds no message: nothing was recorded")
    left = tuple(name for name in scored.sensors if leave_out and len(scored.sensors) > 1)
    progress.begin(flight.name, len(left))
    without = {name: run((name,)) for name in left}
    notes = () if flown is None else flown.notes
    return Material(flight.name, about, site, scored, seen, without, notes, _digest(flight), version("deeplomatics"))


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()
