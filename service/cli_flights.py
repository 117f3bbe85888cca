"""The commands of `deeplomatics` that work on recorded flights."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.call_error import CallError

if TYPE_CHECKING:
    from service.replay import Changes

app = typer.Typer()


class From(StrEnum):
    RAW = "raw"
    DETECTIONS = "detections"
    MEASUREMENTS = "measurements"
    TRACKS = "tracks"


class Format(StrEnum):
    GEOJSON = "geojson"
    CSV = "csv"
    KML = "kml"
    CZML = "czml"
    MOT = "mot"
    MP4 = "mp4"
    WAV = "wav"
    COCO = "coco"


FlightFile = Annotated[Path, typer.Argument(metavar="FLIGHT.mcap", help="Recorded flight.")]
FlightFiles = Annotated[
    list[Path], typer.Argument(metavar="FLIGHT.mcap...", help="Recorded flight; the parts of one run in their order.")
]
Camera = Annotated[str | None, typer.Option("--camera", help="Which camera, where there are several.")]


def _there(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise CallError(f"there is no file {path}: check the name")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1e6:
        raise CallError(f"--speed {text}: give a number above 0, times real time, or max")
    return speed


@app.command()
def replay(
    flight: FlightFiles,
    speed: Annotated[str, typer.Option("--speed", help="Times real time, or max.")] = "max",
    from_: Annotated[From, typer.Option("--from", help="What is taken from the file; the rest is computed.")] = (
        From.DETECTIONS
    ),
    output: Annotated[Path | None, typer.Option("--output", help="Tracks, JSON lines; `-` is standard output.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Status 1 unless the same comes out as was recorded.")] = False,
) -> None:
    """A recorded flight through the same pipeline again.

    Example: deeplomatics replay flight.mcap --speed max --from detections --output tracks.jsonl
    """
    pace = _speed(speed)
    _there(*flight)
    from service.clock import SystemClock
    from service.replay import Stage
    from service.replay_command import replay as run

    result = run(flight, Stage(from_.value), pace, output, SystemClock())
    for sentence in result.sentences():
        print(sentence, file=sys.stderr)
    if check and result.difference:
        raise typer.Exit(1)


@app.command()
def export(
    flight: FlightFile,
    format_: Annotated[Format, typer.Option("--format", help="For which tools.")],
    output: Annotated[Path, typer.Option("--output", help="File to write; `-` is standard output.")],
    camera: Camera = None,
    array: Annotated[str | None, typer.Option("--array", help="Whose sound, where there are several.")] = None,
    marks: Annotated[
        str | None,
        typer.Option("--marks", help="For coco: what people said of tracks since, of a service (http://…) or a file."),
    ] = None,
) -> None:
    """A flight for other people's tools: maps, tables, globes, trackers' benchmarks, a video with boxes, a sound; and
    the pictures of tracks that people marked, as labelled data (coco, into a folder) for `train detector --extra`.

    Example: deeplomatics export flight.mcap --format kml --output flight.kml
    """
    _there(flight)
    if marks is not None and format_ is not Format.COCO:
        raise CallError("--marks goes with --format coco")
    if format_ is Format.COCO:
        from service.export_coco import export_coco

        for sentence in export_coco(flight, output, marks):
            print(sentence, file=sys.stderr)
        return
    from service.export import export as run

    for sentence in run(flight, format_.value, output, camera, array):
        print(sentence, file=sys.stderr)


PLOTS = (".png", ".svg", ".pdf")
Threshold = Annotated[float | None, typer.Option(min=0.0, max=1.0)]


@app.command()
def compare(
    flight: FlightFile,
    a: Annotated[str, typer.Option("--a", help="`recorded`, or changes as in --b.")] = "recorded",
    b: Annotated[
        str,
        typer.Option(
            "--b",
            help="What is different, with commas: from=STAGE, without=SENSOR, CLASS=SCORE (threshold), weights=FILE.",
        ),
    ] = "from=detections",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table as JSON too.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw both runs too (.png, .svg, .pdf).")] = None,
) -> None:
    """What would have been different: another build's output, another setting, other weights, one sensor less.

    Example: deeplomatics compare flight.mcap --a recorded --b "from=measurements,without=cam-east"
    """
    _there(flight)
    from service.compare import differences, runs, show

    if plot is not None and plot.suffix not in PLOTS:
        raise CallError(f"--plot {plot}: the name must end in one of {', '.join(PLOTS)}")
    both = runs(flight, _variant(a), _variant(b))
    compared = differences(flight, *both)
    show(compared)
    if plot is not None:
        from service.compare_plot import draw

        draw(*both, compared, plot)
    if json_file is not None:
        json_file.write_text(json.dumps(compared, indent=2) + "\n", encoding="utf-8")


def _variant(text: str) -> tuple[From, Changes]:
    from models.types import CLASSES
    from service.replay import Changes
    from service.settings import DetectorSettings

    stage, without, thresholds, weights = From.TRACKS, list[str](), dict[str, float](), list[Path]()
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = part.partition("=")
        if name == "recorded" and not value:
            continue
        if name == "from" and value in list(From):
            stage = From(value)
        elif name == "without" and value:
            without.append(value)
        elif name == "weights" and value:
            weights.append(Path(value))
        elif name in CLASSES:
            thresholds[name] = _score(name, value)
        else:
            raise CallError(f"{part!r} is no change: give from=, without=, weights= or a class and its threshold")
    if stage is From.TRACKS and (without or thresholds or weights):
        stage = From.RAW if weights else From.DETECTIONS if thresholds else From.MEASUREMENTS
    _there(*weights)
    detector = DetectorSettings(weights={"visible": weights[0], "infrared": weights[0]} if weights else {})
    return stage, Changes(tuple(without), thresholds, detector)


def _score(name: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:
        raise CallError(f"{name}={text}: a threshold lies between 0 and 1")
    return score


@app.command()
def seal(
    flight: FlightFile,
    output: Annotated[Path, typer.Option("--output", help="Sealed file to write (.tar).")],
) -> None:
    """Evidence: flight, settings, weights' hashes and a chain of hashes in one file that `verify` proves.

    Example: deeplomatics seal flight.mcap --output flight.sealed.tar
    """
    _there(flight)
    from service.evidence import seal as run

    print(run(flight, output))


@app.command()
def verify(
    sealed: Annotated[Path, typer.Argument(help="Sealed file.")],
    seal_: Annotated[str | None, typer.Option("--seal", help="The seal that was noted when it was made.")] = None,
) -> None:
    """Whether a sealed file is what it was, to the last byte; needs no network. Status 1 if it is not.

    Example: deeplomatics verify flight.sealed.tar --seal 3f7a…
    """
    _there(sealed)
    from service.evidence import verify as run

    found = run(sealed, seal_)
    print(found.sentence)
    if not found.good:
        raise typer.Exit(1)


@app.command()
def record(
    url: Annotated[str, typer.Option("--url", help="A running service, http://HOST:PORT.")],
    output: Annotated[Path, typer.Option("--output", help="Flight to write (.mcap).")],
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="How long. [until stopped]")] = None,
) -> None:
    """Record a running service from outside, by its interface: it begins a file of its own, which is
    fetched when the time is over. The service has to record (`recording:` in its site file).

    Example: deeplomatics record --url http://127.0.0.1:8000 --output flight.mcap
    """
    if output.exists():
        raise CallError(f"{output} exists already: give another name")
    from service.clock import SystemClock
    from service.record import record as run

    print(run(url, output, seconds, SystemClock()))
