"""`deeplomatics evaluate fusion`: what the truth says of recorded flights, scenarios and measurements, side by side.

FLIGHT.mcap                                          judged as recorded, by its own truth or by `--truth`
a scenario                                           simulated first
FOLDER: site.yaml, measurements.jsonl, truth.csv     fused as the service would; a log may stand for `truth.csv`
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from fusion.fuse import bounded_lines
from fusion.reports import Refused, read_line
from fusion.site import Site, parse_site
from fusion.trajectory import Fixes, TrajectoryError, smooth
from fusion.types import NS, Heartbeat, Scan
from service.clock import Clock
from service.demo import find_scenario
from service.flight_file import Flight
from service.flight_logs.log import Alignment, Flown, LogError
from service.flight_logs.read import read_flown
from service.report import wide_console
from service.score import scorer_of, tell
from service.score_flight import score_flight, site_of_flight, truths_of
from service.simulate import simulate
from service.stage import WorldStage
from service.track import Progress
from service.world import BEAT_S, lag_ns
from simulation.score import Scorer
from simulation.score_figures import figures

MEASUREMENTS, SITE = "measurements.jsonl", "site.yaml"
_ENU = (("time", "t"), ("e", "east"), ("n", "north"), ("u", "up"))

Json = dict[str, Any]


class EvaluateError(Exception):
    """What was given cannot be judged; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to judge.

    Attributes:
        judge: the judge after all of it, without these sensors.
        sensors: that may be left out.
    """

    name: str
    judge: Callable[[Sequence[str]], Scorer]
    sensors: tuple[str, ...]


def evaluate(cases: Sequence[Case], *, leave_out: bool, progress: Progress | None = None) -> Json:
    """The figures of each case and, where asked for, of each case without each of its sensors."""
    progress = progress or Progress()
    progress.begin("judging", sum(1 + leave_out * len(case.sensors) for case in cases))
    found: Json = {}
    for case in cases:
        found[case.name] = figures(case.judge(()))
        progress.step()
        if leave_out:
            found[case.name]["without"] = {}
            for sensor in case.sensors:
                found[case.name]["without"][sensor] = figures(case.judge((sensor,)))["figures"]
                progress.step()
    return {"scenarios": found}


# ── What can be judged ──────────────────────────────────────────────────────────────────────────────────────────────


def cases_of(paths: Sequence[Path], truth: Path | None, known: Alignment, *, again: bool = False) -> list[Case]:
    """Flights, folders of flights, and folders of measurements; `again`: flights are fused again by this build.

    Raises:
        EvaluateError: nothing in them can be judged.
        FlightError, LogError, ReplayError, SiteError: see there.
    """
    cases: list[Case] = []
    for path in paths:
        if path.is_file():
            cases.append(flight_case(path, truth, known, again))
            continue
        folders = [folder for folder in (path, *sorted(path.iterdir())) if (folder / MEASUREMENTS).is_file()]
        cases += [measured_case(folder, truth, known) for folder in folders]
        cases += [flight_case(each, truth, known, again) for each in sorted(path.glob("*.mcap"))]
    if not cases:
        raise EvaluateError(
            f"{paths[0]} holds nothing to judge: give flights (.mcap), or folders of {SITE}, {MEASUREMENTS}, truth.csv"
        )
    return cases


def flight_case(path: Path, truth: Path | None, known: Alignment, again: bool) -> Case:
    """A recorded flight."""
    with Flight(path) as flight:
        site = site_of_flight(flight)
    flown = None if truth is None else read_flown(truth, site.frame, known)

    def judge(without: Sequence[str]) -> Scorer:
        return score_flight([path], flown, without, again=again).scorer

    return Case(path.stem, judge, tuple(sorted(site.sensors)))


def scenario_cases(names: Sequence[str], seconds: float, clock: Clock, folder: Path, progress: Progress) -> list[Case]:
    """Scenarios by their names or files, each simulated into `folder` unless its flight is there already.

    Raises:
        ScenarioMissing, SiteError, SimulateError, WeightsError, OSError: see there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for name in names:
        flight = folder / f"{Path(name).stem}-{seconds:g}s.mcap"
        if not flight.exists():
            simulate(find_scenario(name), flight, seconds, clock, progress=progress)
        case = flight_case(flight, None, Alignment(), again=True)  # one that was kept may be an older build's
        cases.append(Case(Path(name).stem, case.judge, case.sensors))
    return cases


# ── Measurements ────────────────────────────────────────────────────────────────────────────────────────────────────


def measured_case(folder: Path, truth: Path | None, known: Alignment) -> Case:
    """A folder of measurements as `fuse` reads them.

    Raises:
        EvaluateError: it holds no truth.
        LogError, SiteError, OSError: see there.
    """
    site = parse_site((folder / SITE).read_text(encoding="utf-8"))
    where = truth or folder / "truth.csv"
    if not where.is_file():
        raise EvaluateError(f"{folder} holds no truth.csv: give --truth, the log of the drone that was flown")
    flown = read_enu(where) or read_flown(where, site.frame, known)
    begin_s, end_s = _scored(folder)

    def judge(without: Sequence[str]) -> Scorer:
        return _fused(site, list(_scans(folder / MEASUREMENTS, site, without)), flown, begin_s, end_s)

    return Case(folder.name, judge, tuple(sorted(site.sensors)))


def read_enu(path: Path) -> Flown | None:
    """A CSV of seconds and ENU metres of the site; None: it is another kind of log.

    Raises:
        LogError: a row is none, or they make no path.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        header = [name.strip().lower() for name in next(rows, [])]
        if len(header) < 4 or any(name not in names for name, names in zip(header, _ENU, strict=False)):
            return None
        try:
            table = np.array([[float(value) for value in row[:4]] for row in rows if row])
            fixes = Fixes(table[:, 0], table[:, 1:], np.full((len(table), 3), 0.05))
            return Flown(path.parent.name, smooth(fixes), 0, ("CSV of ENU metres",))
        except (IndexError, ValueError) as error:  # TrajectoryError is a ValueError
            reason = str(error) if isinstance(error, TrajectoryError) else "a row is not four numbers"
            raise LogError(f"{path} cannot be used: {reason}") from None


def _scored(folder: Path) -> tuple[float, float]:
    """The part of the flight that nothing was fitted to, s, as `split.json` says it; else all of it."""
    path = folder / "split.json"
    if not path.is_file():
        return -math.inf, math.inf
    split = json.loads(path.read_text(encoding="utf-8"))
    return float(split.get("calibrated_until", -math.inf)), float(split.get("last", math.inf))


def _scans(path: Path, site: Site, without: Sequence[str]) -> Iterator[Scan]:
    with path.open("rb") as stream:
        for number, line in enumerate(bounded_lines(stream), start=1):
            try:
                scan = read_line(line, number, site)
            except Refused:
                continue
            if scan.sensor_id not in without:
                yield scan


def _fused(site: Site, scans: list[Scan], flown: Flown, begin_s: float, end_s: float) -> Scorer:
    """What the service would have shown, had these scans come when they were taken."""
    scorer = scorer_of(site, complete=False, source=flown.name)
    told = [each for each in truths_of(flown) if begin_s * NS <= each.time_ns <= end_s * NS]
    world, lag, step_ns = WorldStage(site.frame, lag_ns(site)), lag_ns(site), round(BEAT_S * NS)
    scans.sort(key=lambda scan: scan.time_ns)
    if not scans or not told:
        raise EvaluateError("measurements and truth have no time in common")
    events = iter([*scans, None])
    scan, k = next(events), 0
    for beat_ns in range(scans[0].time_ns if scan else 0, scans[-1].time_ns + lag + step_ns, step_ns):
        while scan is not None and scan.time_ns <= beat_ns:
            while k < len(told) and told[k].time_ns <= scan.time_ns:
                tell(scorer, site.frame, told[k], beat_ns)
                k += 1
            world.step(scan)
            tell(scorer, site.frame, scan, scan.time_ns)
            scan = next(events)
        update = world.step(Heartbeat(beat_ns))
        tell(scorer, site.frame, Heartbeat(beat_ns), beat_ns)
        if update is not None and (update.tracks or update.ended):
            tell(scorer, site.frame, update, beat_ns)
    scorer.finish()
    return scorer


# ── As tables ───────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    *("seconds", "drones", "GOSPA m", "place m", "speed m/s", "in track", "one id", "switches", "first track s"),
    *("false tracks /h", "liar flagged s", "honest flagged"),
)


def row_of(case: Json) -> list[str]:
    """One line of the table: `COLUMNS` of a case."""
    found = case["figures"]
    rate = found["false_tracks_per_hour"]
    liars = "–"
    if found["liars"]:
        after, count = _number(found["liar_flagged_after_s"], 1), f"{found['liars_flagged']}/{found['liars']}"
        liars = after if found["liars_flagged"] == found["liars"] else f"{count} {after}".strip()
    return [
        _number(case["duration_s"], 0),
        str(found["drones"]),
        _number(found["gospa_m"], 1),
        _number(found["position_median_m"], 1),
        _number(found["velocity_median_mps"], 1),
        _percent(found["tracked_share"]),
        _percent(found["one_id_share"]),
        str(found["id_switches"]),
        _number(found["first_track_worst_s"], 1) if found["first_track_worst_s"] is not None else "never",
        "–" if rate is None else f"{rate['per_hour']:.0f} ({rate['low']:.0f}–{rate['high']:.0f})",
        liars,
        f"{found['honest_flagged']}/{found['honest']}" if found["honest"] else "–",
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100.0 * share:.0f} %"


def _rows(found: Json) -> Iterator[tuple[str, list[str]]]:
    for name, case in found["scenarios"].items():
        yield name, row_of(case)
        for sensor, whole in case.get("without", {}).items():
            yield f"  without {sensor}", row_of({"duration_s": case["duration_s"], "figures": whole})


def show(found: Json) -> None:
    """As a table on standard output."""
    table = Table("", *COLUMNS, box=None)
    for name, cells in _rows(found):
        table.add_row(name, *cells)
    wide_console().print(table)


def markdown(found: Json) -> str:
    """As a table for a page."""
    lines = ["| scenario | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    lines += ["| " + " | ".join((name.strip(), *cells)) + " |" for name, cells in _rows(found)]
    return "\n".join(lines) + "\n"


def flights_folder(kept: Path | None, opened: ExitStack) -> Path:
    """Where simulated flights go: kept, or gone afterwards."""
    return kept or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="deeplomatics-evaluate-")))
