"""The commands that judge by the truth: `evaluate fusion` and `report`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.call_error import CallError

if TYPE_CHECKING:
    from service.flight_logs.log import Alignment

app = typer.Typer()


class Above(StrEnum):
    ELLIPSOID = "ellipsoid"
    SEA = "sea"
    TAKEOFF = "takeoff"


TruthFile = Annotated[
    Path | None,
    typer.Option("--truth", help="Log of the drone that was flown: gpx, csv, ulg (PX4), srt (DJI), kml, geojson."),
]
TruthOffset = Annotated[
    float, typer.Option("--truth-offset", min=-1e7, max=1e7, help="Seconds added to the log's times.")
]
TruthStart = Annotated[
    str | None, typer.Option("--truth-start", help="Time (UTC, ISO 8601) of the log's first position.")
]
TruthHeights = Annotated[
    Above | None, typer.Option("--truth-heights", help="What the log's heights are above. [what the log says]")
]
TruthGeoid = Annotated[
    float | None, typer.Option("--truth-geoid", min=-200.0, max=200.0, help="Metres, sea level above the ellipsoid.")
]
TruthTakeoff = Annotated[
    float | None,
    typer.Option("--truth-takeoff", min=-500.0, max=9000.0, help="Metres, take-off above the ellipsoid. [the site's]"),
]


def alignment(
    truth: Path | None,
    offset_s: float,
    start: str | None,
    heights: Above | None,
    geoid_m: float | None,
    takeoff_m: float | None,
) -> Alignment:
    """What the call says of a log.

    Raises:
        CallError: there is none, or a time is none.
    """
    from fusion.types import NS
    from service.flight_logs.log import Alignment, Heights
    from service.flight_logs.times import utc_s

    if truth is not None and not truth.is_file():
        raise CallError(f"there is no file {truth}: check the name")
    try:
        start_ns = None if start is None else round(utc_s(start) * NS)
    except ValueError:
        raise CallError(f"--truth-start {start}: give a time like 2026-05-01T12:00:00Z") from None
    return Alignment(offset_s, start_ns, None if heights is None else Heights(heights.value), geoid_m, takeoff_m)


def evaluate_fusion(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Flight, folder of flights, or folder of measurements with a site and a truth."),
    ] = [],  # noqa: B006 (typer copies it)
    scenarios: Annotated[
        str, typer.Option("--scenarios", help="Scenarios to simulate: names or files with commas, or all.")
    ] = "",
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, max=86400.0, help="Of each scenario.")] = 60.0,
    leave_out: Annotated[bool, typer.Option("--leave-out", help="Also without each of the sensors.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Fuse flights again: what this build makes of what their sensors reported.")
    ] = False,
    flights: Annotated[
        Path | None, typer.Option("--flights", help="Folder that keeps the simulated flights.", file_okay=False)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the table for a page too.")] = None,
    split: Annotated[str, typer.Option("--split", help="Recordings of a flight are judged on `test` alone.")] = "test",
    truth: TruthFile = None,
    truth_offset: TruthOffset = 0.0,
    truth_start: TruthStart = None,
    truth_heights: TruthHeights = None,
    truth_geoid: TruthGeoid = None,
    truth_takeoff: TruthTakeoff = None,
) -> None:
    """GOSPA, errors by range, ids, time to first track, false tracks an hour, liars, by flight or scenario.

    Example: deeplomatics evaluate fusion --scenarios liar,bird-storm --leave-out --json figures.json
    """
    if not data and not scenarios:
        raise CallError("give --data, flights or folders of measurements, or --scenarios, names or all")
    if split != "test":
        raise CallError(f"--split {split}: nothing of the fusion is trained, so there is only test")
    for path in data:
        if not path.exists():
            raise CallError(f"there is no file or folder {path}: check the name")
    known = alignment(truth, truth_offset, truth_start, truth_heights, truth_geoid, truth_takeoff)
    from fusion.site import SiteError
    from service import evaluate_fusion as run
    from service.clock import SystemClock
    from service.demo import ScenarioMissing
    from service.progress import shown
    from simulation.scenario import scenario_names

    names = list(scenario_names()) if scenarios == "all" else [each.strip() for each in scenarios.split(",") if each]
    try:
        with ExitStack() as opened:
            progress, folder = opened.enter_context(shown()), run.flights_folder(flights, opened)
            cases = run.cases_of(data, truth, known, again=again) if data else []
            cases += run.scenario_cases(names, seconds, SystemClock(), folder, progress)
            found = run.evaluate(cases, leave_out=leave_out, progress=progress)
    except ScenarioMissing as error:
        raise CallError(str(error)) from None
    except SiteError as error:
        raise CallError(str(error.faults[0])) from None
    run.show(found)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if markdown is not None:
        markdown.write_text(run.markdown(found), encoding="utf-8")


@app.command()
def report(
    flight: Annotated[Path, typer.Argument(metavar="FLIGHT.mcap", help="Recorded or simulated flight.")],
    output: Annotated[Path, typer.Option("--output", help="File to write: report.html or report.pdf.")],
    leave_out: Annotated[
        bool, typer.Option("--leave-out/--no-leave-out", help="Also fuse again without each of the sensors.")
    ] = True,
    truth: TruthFile = None,
    truth_offset: TruthOffset = 0.0,
    truth_start: TruthStart = None,
    truth_heights: TruthHeights = None,
    truth_geoid: TruthGeoid = None,
    truth_takeoff: TruthTakeoff = None,
) -> None:
    """What was flown, detected, tracked and identified, with maps and plots: one file that a person can send.

    Example: deeplomatics report flight.mcap --output report.pdf --truth drone.gpx --truth-geoid 46
    """
    if not flight.is_file():
        raise CallError(f"there is no file {flight}: check the name")
    if output.suffix not in (".html", ".pdf"):
        raise CallError(f"a report is written as html or pdf: give {output} one of these endings")
    known = alignment(truth, truth_offset, truth_start, truth_heights, truth_geoid, truth_takeoff)
    from service.flight_report.command import report as run
    from service.progress import shown

    with shown() as progress:
        print(run(flight, output, truth, known, leave_out=leave_out, progress=progress))
