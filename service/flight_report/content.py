"""What a report says, section by section, in the terms of CWA 18150 (test methods for counter-UAS systems: detection,
tracking, identification): for each drone that was flown, sensor by sensor and fused, and with each sensor left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.site import Site
from fusion.types import NS
from service.flight_report import plots
from service.flight_report.document import Block, Document, Facts, Figures, Grid, Heading, Plot, Text, flat
from service.flight_report.observed import Observed, SeenTrack
from service.journal_about import About
from service.schemas import rfc3339
from service.score_flight import Scored
from simulation.verdicts import Verdict

_MOST_ROWS = 40
_SHOWN_S = 1.0  # tracks that lived shorter are counted, not listed
_WORDS = {"hit": "hit", "miss": "miss", "false": "false", "wrong_target": "wrong target", "late": "late"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report is made of.

    Attributes:
        without: what it had been without each sensor; empty: not asked for.
        notes: what was taken for granted of a drone's own log.
        digest: SHA-256 of the flight.
    """

    name: str
    about: About
    site: Site
    scored: Scored
    seen: Observed
    without: Mapping[str, tuple[Scored, Observed]]
    notes: tuple[str, ...]
    digest: str
    version: str

    @property
    def judged(self) -> bool:
        """Whether truth was known at any time."""
        return self.scored.scorer.knows and self.scored.scorer.followed.steps > 0

    @property
    def duration_s(self) -> float:
        return (self.scored.last_ns - self.scored.first_ns) / NS


def document(material: Material) -> Document:
    """The whole report."""
    m, figures = material, material.scored.figures
    begin = rfc3339(m.scored.first_ns)[:19].replace("T", " ")
    blocks = [
        *_summary(m, figures),
        *_flown(m, figures),
        *_detection(m, figures),
        *_tracking(m, figures),
        *_identification(m, figures),
        *_contributions(m, figures),
        *_limits(m, figures),
    ]
    title = f"{m.about.site_name or m.site.file.site.name}: flight report"
    return Document(title, f"{begin} UTC, {_duration(m.duration_s)} · {m.name}", flat(blocks))


# ── Summary ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _summary(m: Material, figures: Json) -> list[Block | None]:
    tiles = _judged_tiles(figures) if m.judged else _plain_tiles(m)
    return [Text(_in_words(m, figures)), Figures(tuple(tiles)), _facts(m, figures)]


def _in_words(m: Material, figures: Json) -> str:
    whole, tracks = figures["figures"], _listed(m.seen)
    drones = sum(track.name == "drone" for track in tracks.values())
    said = (
        f"In {_duration(m.duration_s)} the site showed {_count(len(tracks), 'track')}, {drones} of them called drone."
    )
    if not m.judged:
        return f"{said} What really flew is not known, so this report tells what was seen and not how right it was."
    said = f"{_count(whole['drones'], 'drone')} flew in sight of the sensors. {said}"
    if whole["tracked_share"] is not None:
        said += f" Each drone had a track for {_percent(whole['tracked_share'])} of its time in sight, on average"
        said += f", half of the time within {_metres(whole['position_median_m'])} of where it was."
    if whole["liars"]:
        flagged = whole["liars_flagged"]
        said += f" Of {_count(whole['liars'], 'drone')} that lied about where it was, {flagged} was flagged"
        said += f" after {whole['liar_flagged_after_s']:.1f} s." if flagged else "."
    if whole["honest_flagged"]:
        said += f" {_count(whole['honest_flagged'], 'honest drone')} was flagged as lying."
    return said


def _judged_tiles(figures: Json) -> list[tuple[str, str, str]]:
    whole = figures["figures"]
    rate = whole["false_tracks_per_hour"]
    between = "" if rate is None else f"95 %: {rate['low']:.0f} to {rate['high']:.0f} an hour"
    switches = _count(whole["id_switches"], "change")
    waited = "never" if whole["first_track_worst_s"] is None else f"{whole['first_track_worst_s']:.1f} s"
    return [
        (_percent(whole["tracked_share"]), "of the time in track", "of drones in sight"),
        (_metres(whole["position_median_m"]), "median error of the place", f"90 %: {_metres(whole['position_p90_m'])}"),
        (
            _percent(whole["one_id_share"]),
            "of the time under one id",
            f"{switches} of id",
        ),
        (waited, "until the first track", "the slowest drone"),
        (str(whole["false_tracks"]), "false tracks called drone", between),
        (_metres(whole["gospa_m"]), "GOSPA", f"cut off at {figures['cutoff_m']:.0f} m"),
        (_percent(whole["called_right_share"]), "called what it is", "of the time in track"),
        (_liars(whole), "liars flagged", f"honest flagged: {whole['honest_flagged']} of {whole['honest']}"),
    ]


def _plain_tiles(m: Material) -> list[tuple[str, str, str]]:
    tracks = _listed(m.seen)
    drones = [track for track in tracks.values() if track.name == "drone"]
    longest = max((_lived_s(track) for track in drones), default=0.0)
    return [
        (str(len(tracks)), "tracks", f"of {_SHOWN_S:g} s or more"),
        (str(len(drones)), "called drone", f"the longest for {_duration(longest)}"),
        (str(len(m.seen.alerts)), "alerts", ""),
        (str(sum(track.conflicting > 0 for track in tracks.values())), "claims in doubt", "identity conflicting"),
    ]


def _liars(whole: Json) -> str:
    return f"{whole['liars_flagged']} of {whole['liars']}" if whole["liars"] else "–"


def _facts(m: Material, figures: Json) -> Facts:
    sensors = (f"{name} ({_kind(m.site, name)})" for name in m.site.sensors)
    truth = "not known"
    if m.judged:
        complete = figures["truth"]["complete"]
        truth = (
            "all that flew, from the simulation"
            if complete
            else f"one drone, by its own log {figures['truth']['source']}"
        )
    simulated = (("simulated", f"detections {m.about.detections or 'rendered'}"),) if m.about.scenario else ()
    return Facts(
        (
            ("flight", f"{m.name}, SHA-256 {m.digest[:16]}…"),
            ("from, to (UTC)", f"{rfc3339(m.scored.first_ns)[:19]} to {rfc3339(m.scored.last_ns)[:19]}"),
            ("sensors", ", ".join(sensors)),
            ("truth", truth),
            *simulated,
            ("recorded, judged by", f"Deeplomatics {m.about.version}, {m.version}"),
        )
    )


def _kind(site: Site, name: str) -> str:
    config = site.sensors[name].config
    return f"{config.spectrum} camera" if config.kind == "camera" else config.kind.replace("_", " ")


# ── What was flown ──────────────────────────────────────────────────────────────────────────────────────────────────


def _flown(m: Material, figures: Json) -> list[Block | None]:
    tracks = _listed(m.seen)
    rows = [_flown_row(m, each) for each in figures["drones"] if each["class"] == "drone"]
    unseen = sorted(n for n, c in m.seen.classes.items() if c == "drone" and n not in m.scored.scorer.followed.drones)
    others = sorted({n for n, c in m.seen.classes.items() if c != "drone"})
    header = ("drone", "in sight", "of two sensors", "speed up to", "height", "nearest to the site", "says of itself")
    grid = Grid(header, tuple(rows), "By the truth; in sight: a working sensor could see it.")
    return [
        Heading("What was flown" if m.judged else "What was seen"),
        grid if rows else None,
        Text(f"Never in sight of a sensor: {', '.join(unseen)}.") if unseen else None,
        Text(f"Besides: {', '.join(others[:30])}.", note=True) if others else None,
        None
        if m.judged
        else Text("What was flown is not known: no simulation and no log of a drone tells it (--truth)."),
        Plot(plots.overview(m.site, m.seen, tracks), _map_caption(m)),
        Plot(
            plots.heights(m.seen, tracks, m.site.frame.origin.altitude_m),
            "Heights over the flight, above the site's origin: true ones broad and pale, tracks thin.",
        ),
    ]


def _map_caption(m: Material) -> str:
    truth = "true paths of the drones broad and pale, " if m.seen.truths else ""
    return f"The site from above: {truth}tracks thin, in the colour of what they were called; cameras' views pale blue."


def _flown_row(m: Material, drone: Json) -> tuple[str, ...]:
    path = m.seen.truths[drone["name"]].places
    speed = np.sqrt(np.square(path[:, 3:5]).sum(axis=1)).max()
    low, high = (path[:, 2].min(), path[:, 2].max()) if np.isfinite(path[:, 2]).all() else (math.nan, math.nan)
    near = np.sqrt(np.square(np.nan_to_num(path[:, :3])).sum(axis=1)).min()
    says = "nothing" if drone["claimed_id"] is None else drone["claimed_id"]
    return (
        drone["name"],
        f"{drone['in_sight_s']:.1f} s",
        f"{drone['two_sensors_s']:.1f} s",
        f"{speed:.1f} m/s",
        "not known" if math.isnan(low) else f"{low:.0f} to {high:.0f} m",
        f"{near:.0f} m",
        f"{says}, a lie" if drone["lies"] else says,
    )


# ── Detection ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _detection(m: Material, figures: Json) -> list[Block | None]:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    if m.judged:
        header = ("sensor", "looks", "hit", "miss", "false", "wrong target", "late", "found", "right", "off")
        rows = tuple(_sensor_row(each) for each in figures["sensors"])
        caption = (
            "Each report of each look. Miss: a drone where the sensor looks, without a report. Found: of the "
            "drones in its view, those reported as anything; right: hits among reports; off: median error."
        )
        shades = (
            "the more of the drones in a sensor's view were reported, the darker; red: none of them; grey: none there"
        )
    else:
        header, caption = ("sensor", "looks", "reports", "reports a look"), "Each report of each look."
        rows = tuple(_unjudged_row(name, each) for name, each in sorted(m.seen.sensors.items()))
        shades = "the more of a sensor's looks held a report, the darker; grey: it looked at nothing, or was silent"
    return [
        Heading("Detection, sensor by sensor"),
        Grid(header, rows, caption) if rows else Text("No sensor reported anything."),
        Plot(plots.timeline(m.seen, m.judged), f"Second by second: {shades}.") if m.seen.sensors else None,
    ]


def _sensor_row(sensor: Json) -> tuple[str, ...]:
    unit = "°" if sensor["error_unit"] == "deg" else " m"
    off = "–" if sensor["error_median"] is None else f"{sensor['error_median']:.2f}{unit}"
    counts = (str(sensor[str(verdict)]) for verdict in (Verdict.HIT, Verdict.MISS, Verdict.FALSE, Verdict.WRONG_TARGET))
    shares = _percent(sensor["recall"]), _percent(sensor["precision"])
    return (sensor["sensor"], str(sensor["looks"]), *counts, str(sensor["late"]), *shares, off)


def _unjudged_row(name: str, seconds: Mapping[int, Any]) -> tuple[str, ...]:
    looks, reports = sum(s.looks for s in seconds.values()), sum(s.reports for s in seconds.values())
    return name, str(looks), str(reports), f"{reports / looks:.2f}" if looks else "–"


# ── Tracking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tracking(m: Material, figures: Json) -> list[Block | None]:
    return [Heading("Tracking, fused"), *(_judged_tracking(m, figures) if m.judged else []), _track_list(m)]


def _judged_tracking(m: Material, figures: Json) -> list[Block | None]:
    whole, rate = figures["figures"], figures["figures"]["false_tracks_per_hour"]
    header = (
        "drone",
        "first track after",
        "at range",
        "in track",
        "located",
        "one id",
        "ids",
        "off",
        "90 %",
        "speed off",
    )
    rows = tuple(_drone_row(each) for each in figures["drones"] if each["class"] == "drone")
    ranges = tuple(_range_row(each) for each in figures["by_range"])
    drawn = plots.errors(m.seen, figures["cutoff_m"])
    between = (
        "" if rate is None else f", {rate['per_hour']:.0f} an hour (95 %: {rate['low']:.0f} to {rate['high']:.0f})"
    )
    parts = ""
    if whole["gospa_m"] is not None:
        parts = (
            f"GOSPA {whole['gospa_m']:.1f} m: {whole['gospa_localisation_m']:.1f} m of place, on average "
            f"{whole['gospa_missed']:.2f} drones missed and {whole['gospa_false']:.2f} false at any time. "
        )
    return [
        Grid(
            header,
            rows,
            f"Shares of the time in sight. Located: within {figures['cutoff_m']:.0f} m. One id: the one that had it "
            "longest. Off: medians.",
        ),
        Text(f"{parts}{_count(whole['false_tracks'], 'track')} called drone and of nothing{between}."),
        Plot(drawn, f"How far the tracks were off; the line marks {figures['cutoff_m']:.0f} m.") if drawn else None,
        Grid(("range", "updates", "off, median", "90 %", "speed off, median", "90 %"), ranges,
             "Errors of drones' tracks by the range to the nearest sensor that saw them.") if ranges else None,
    ]  # fmt: skip


def _drone_row(drone: Json) -> tuple[str, ...]:
    first = "never" if drone["first_track_s"] is None else f"{drone['first_track_s']:.1f} s"
    return (
        drone["name"],
        first,
        _metres(drone["first_range_m"]),
        _percent(drone["tracked_share"]),
        _percent(drone["located_share"]),
        _percent(drone["one_id_share"]),
        str(drone["track_ids"]),
        _metres(drone["position_median_m"]),
        _metres(drone["position_p90_m"]),
        "–" if drone["velocity_median_mps"] is None else f"{drone['velocity_median_mps']:.1f} m/s",
    )


def _range_row(row: Json) -> tuple[str, ...]:
    end = "" if row["to_m"] is None else f" to {row['to_m']:.0f} m"
    return (
        f"{row['from_m']:.0f}{end}" if end else f"over {row['from_m']:.0f} m",
        str(row["updates"]),
        _metres(row["position_median_m"]),
        _metres(row["position_p90_m"]),
        f"{row['velocity_median_mps']:.1f} m/s",
        f"{row['velocity_p90_mps']:.1f} m/s",
    )


def _track_list(m: Material) -> Block:
    """The tracks that were shown, the longest first."""
    tracks = sorted(_listed(m.seen).items(), key=lambda item: -_lived_s(item[1]))
    short = len(m.seen.tracks) - len(tracks)
    rows = tuple(_track_row(m, name, track) for name, track in tracks[:_MOST_ROWS])
    more = f" {len(tracks) - _MOST_ROWS} more are not listed." if len(tracks) > _MOST_ROWS else ""
    if not rows:
        return Text("No track lived for a second or more.")
    header = ("track", "called", "from", "for", "nearest", "speed up to", "seen by", "says it is")
    return Grid(
        header, rows, f"Tracks as they were shown, the longest first.{more} {short} lived shorter than a second."
    )


def _track_row(m: Material, name: str, track: SeenTrack) -> tuple[str, ...]:
    path = track.line.places
    near = np.sqrt(np.square(path[:, :3]).sum(axis=1)).min()
    speed = np.percentile(np.sqrt(np.square(path[:, 3:6]).sum(axis=1)), 90.0)
    says = track.claimed_id or "–"
    return (
        name,
        f"{track.name} ({_percent(track.names[track.name] / track.updates)})",
        f"{m.seen.seconds(track.first_ns):.1f} s",
        f"{_lived_s(track):.1f} s",
        f"{near:.0f} m",
        f"{speed:.1f} m/s",
        ", ".join(sorted(track.sensors)),
        f"{says}: conflicting" if track.conflicting else says,
    )


# ── Identification ──────────────────────────────────────────────────────────────────────────────────────────────────


def _identification(m: Material, figures: Json) -> list[Block | None]:
    doubted = [(name, track) for name, track in m.seen.tracks.items() if track.conflicting]
    return [
        Heading("Identification and alerts"),
        *(_judged_identity(figures) if m.judged else []),
        Grid(
            ("track", "says it is", "in doubt for", "because"),
            tuple(
                (n, t.claimed_id or "–", _percent(t.conflicting / t.updates), t.reason) for n, t in doubted[:_MOST_ROWS]
            ),
            "Tracks whose claim was told to be wrong.",
        )
        if doubted
        else Text("No claim was told to be wrong."),
        _alert_list(m),
    ]


def _judged_identity(figures: Json) -> list[Block | None]:
    rows = tuple(
        (
            each["name"],
            each["class"],
            _percent(each["called_right_share"]),
            each["claimed_id"] or "nothing",
            _percent(each["identified_share"]),
            _lie(each),
        )
        for each in figures["drones"]
    )
    header = ("drone", "is a", "called so", "says it is", "known under its id", "its claim")
    return [
        Grid(header, rows, "Called so: of the time in track. Known under its id: of the time in sight.")
        if rows
        else None
    ]


def _lie(drone: Json) -> str:
    if drone["claimed_id"] is None:
        return "–"
    if not drone["lies"]:
        return "honest, but flagged" if drone["flagged_honest"] else "honest"
    return (
        "a lie, never flagged"
        if drone["flagged_after_s"] is None
        else f"a lie, flagged after {drone['flagged_after_s']:.1f} s"
    )


def _alert_list(m: Material) -> Block:
    verdicts = m.scored.scorer.alerts.verdicts
    rows = [
        (
            f"{m.seen.seconds(first.started_ns):.1f} s",
            str(first.kind).replace("_", " "),
            last.text,
            f"{(last.time_ns - first.started_ns) / NS:.1f} s",
            *((_WORDS[str(verdicts[number])] if number in verdicts else "–",) if m.judged else ()),
        )
        for number, (first, last) in sorted(m.seen.alerts.items())
    ]
    if not rows:
        return Text("There was no alert.")
    header = ("at", "alert", "last words", "lasted", *(("verdict",) if m.judged else ()))
    more = f"{len(rows) - _MOST_ROWS} more are not listed." if len(rows) > _MOST_ROWS else ""
    return Grid(header, tuple(rows[:_MOST_ROWS]), more)


# ── What each sensor contributed ────────────────────────────────────────────────────────────────────────────────────


def _contributions(m: Material, figures: Json) -> list[Block | None]:
    if not m.without:
        return []
    runs = {"all sensors": (m.scored, m.seen)} | {f"without {name}": run for name, run in m.without.items()}
    rows, bars = _judged_runs(runs) if m.judged else _plain_runs(runs)
    text = "The flight fused again with one sensor left out: what gets worse is what that sensor contributed."
    return [
        Heading("What each sensor contributed"),
        Text(text),
        Plot(plots.contributions(list(runs), bars), "All sensors in blue; paler, with the one named left out."),
        rows,
    ]


_Runs = Mapping[str, tuple[Scored, Observed]]
_Bars = list[tuple[str, Sequence[float | None]]]


def _judged_runs(runs: _Runs) -> tuple[Grid, _Bars]:
    found = {name: scored.figures["figures"] for name, (scored, _) in runs.items()}
    header = (
        "",
        "GOSPA",
        "in track",
        "located",
        "one id",
        "off, median",
        "false tracks",
        "liars flagged",
        "honest flagged",
    )
    rows = tuple(
        (
            name,
            _metres(each["gospa_m"]),
            _percent(each["tracked_share"]),
            _percent(each["located_share"]),
            _percent(each["one_id_share"]),
            _metres(each["position_median_m"]),
            str(each["false_tracks"]),
            _liars(each),
            f"{each['honest_flagged']} of {each['honest']}",
        )
        for name, each in found.items()
    )
    caption = "Of drones in sight of the sensors that are left; one that only the missing sensor saw counts no more."
    bars: _Bars = [
        ("GOSPA, m", [each["gospa_m"] for each in found.values()]),
        ("off, median, m", [each["position_median_m"] for each in found.values()]),
        ("located, %", [None if v["located_share"] is None else 100 * v["located_share"] for v in found.values()]),
        ("false tracks", [float(each["false_tracks"]) for each in found.values()]),
    ]
    return Grid(header, rows, caption), bars


def _plain_runs(runs: _Runs) -> tuple[Grid, _Bars]:
    found = {}
    for name, (_, seen) in runs.items():
        tracks = _listed(seen).values()
        drones = [track for track in tracks if track.name == "drone"]
        found[name] = (len(tracks), len(drones), sum(map(_lived_s, drones)), len(seen.alerts))
    rows = tuple((name, str(a), str(b), f"{c:.1f} s", str(d)) for name, (a, b, c, d) in found.items())
    header = ("", "tracks", "called drone", "time of those", "alerts")
    bars: _Bars = [
        ("tracks", [float(each[0]) for each in found.values()]),
        ("called drone", [float(each[1]) for each in found.values()]),
        ("time of those, s", [each[2] for each in found.values()]),
    ]
    return Grid(header, rows), bars


# ── What cannot be said ─────────────────────────────────────────────────────────────────────────────────────────────


def _limits(m: Material, figures: Json) -> list[Block | None]:
    whole = figures["figures"]
    said = [f"Of the flight is missing: {losses}." for losses in m.scored.losses]
    said += [f"Of the drone's log: {note}." for note in m.notes]
    if not m.judged:
        said.append("Without the truth nobody can say what was missed, what was false, or how far tracks were off.")
    elif not figures["truth"]["complete"]:
        said.append(
            "The log tells of one drone. What else flew is not known: a track called drone elsewhere counts as false "
            "though it may have been another drone, and birds and aircraft are not judged."
        )
    if m.judged and m.duration_s < 600.0 and whole["false_tracks_per_hour"] is not None:
        said.append(
            f"{_duration(m.duration_s)} is short: rates of false tracks are known no better than their interval."
        )
    if m.judged and m.about.scenario:
        said.append("The flight is simulated: real weather, radio and sensors may be worse or better.")
    said.append(
        "Terms: CWA 18150 (2024) tests detection, tracking and identification of drones by scenarios flown. Verdicts "
        "and figures: docs/truth.md. Medians are right to 2 %."
    )
    return [Heading("How far this can be trusted"), *(Text(sentence) for sentence in said)]


# ── In words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _listed(seen: Observed) -> dict[str, SeenTrack]:
    return {name: track for name, track in seen.tracks.items() if _lived_s(track) >= _SHOWN_S}


def _lived_s(track: SeenTrack) -> float:
    return (track.last_ns - track.first_ns) / NS


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _metres(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} m" if value < 1.0 else f"{value:.1f} m"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100.0 * share:.0f} %"
