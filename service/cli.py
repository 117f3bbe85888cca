"""The command `deeplomatics`. Status 0: done, 1: the work failed, 2: the call was wrong; errors are one sentence.

Each command imports what it needs when it is called: `--help` answers at once, and torch, which takes seconds, is
loaded only by those who detect.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from service import cli_flights, cli_score, cli_simulate
from service.call_error import CallError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from fusion.sensors.address import SourceAddress
    from fusion.sensors.camera.config import CameraConfig
    from fusion.sensors.microphone_array.config import ArrayConfig, SoundAddress
    from fusion.site import Site
    from models import types as model_types
    from service.demo import Demo
    from service.settings import DetectorSettings, Settings

#: What every wrong call raises. Typer brings a click of its own, or not, by version, and does not export this class.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="deeplomatics",
    help="See and locate drones: from cameras and recordings to live tracks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Band(StrEnum):
    VISIBLE = "visible"
    INFRARED = "infrared"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def main() -> NoReturn:
    """Entry point: runs a command and turns what went wrong into one sentence and a status."""
    try:
        status = app(standalone_mode=False)
    except (UsageError, CallError) as error:
        status = _fail(_sentence(error), 2)
    except typer.Abort:
        status = _fail("stopped", 1)
    except _failures() as error:
        status = _fail(_sentence(error), 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(sentence: str, status: int) -> int:
    print(f"deeplomatics: {sentence}", file=sys.stderr)
    return status


def _failures() -> tuple[type[BaseException], ...]:
    """What the work itself may fail with. Only modules that are loaded can have raised."""
    names = (
        ("fusion.calibration", "CalibrationError"),
        ("fusion.sensors.camera.source", "SourceError"),
        ("fusion.sensors.microphone_array.source", "SoundError"),
        ("fusion.trajectory", "TrajectoryError"),
        ("models.audit", "AuditError"),
        ("models.halmstad", "DatasetError"),
        ("models.infer", "WeightsError"),
        ("service.operating_point", "OperatingPointError"),
        ("service.calibrate", "CalibrateError"),
        ("service.evaluate_fusion", "EvaluateError"),
        ("service.evaluate_tracker", "RecordingError"),
        ("service.evidence", "EvidenceError"),
        ("service.export", "ExportError"),
        ("service.fuse", "FuseError"),
        ("service.flight_file", "FlightError"),
        ("service.flight_logs.log", "LogError"),
        ("service.flight_report.command", "ReportError"),
        ("service.mot", "MotError"),
        ("service.record", "RecordError"),
        ("service.recording", "RecordingError"),
        ("service.said", "SaidError"),
        ("service.replay", "ReplayError"),
        ("service.server", "PortError"),
        ("service.simulate", "SimulateError"),
        ("service.database", "StoreError"),
        ("tracking.evaluate", "JudgeMissing"),
    )
    return (OSError, *(getattr(sys.modules[module], name) for module, name in names if module in sys.modules))


def _sentence(error: BaseException) -> str:
    if isinstance(error, UsageError):
        return str(getattr(error, "format_message", error.__str__)())
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return str(error)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("deeplomatics"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


Sources = Annotated[list[str], typer.Option("--source", help="File, folder of images, URL or camera number.")]
Sensors = Annotated[
    list[Band], typer.Option("--sensor", help="What it sees in: once for all sources, or once for each in order.")
]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one. [8000]")]
Host = Annotated[str | None, typer.Option(help="Address to serve on: of this machine only. [127.0.0.1]")]
_DATA_FOLDER = "DEEPLOMATICS_DATA_FOLDER"
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the store.", file_okay=False)]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the detector runs.")]
WeightsOption = Annotated[
    list[str],
    typer.Option(
        "--weights", help="Other weights (.safetensors) or a network of your own (.onnx); BAND=FILE for one band only."
    ),
]
OperatingPoint = Annotated[
    float | None,
    typer.Option("--operating-point", min=0.0, help="False drone alarms per hour that are borne, as measured on val."),
]


@app.command()
def demo(
    scenario: Annotated[str, typer.Option("--scenario", help="Name of a scenario, or a scenario file.")] = "demo",
    host: Host = None,
    port: Port = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Keep the store and the flights in this folder.", file_okay=False, envvar=_DATA_FOLDER
        ),
    ] = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """A simulated site, live, with the console in the browser.

    Example: deeplomatics demo --scenario swarm-at-dusk
    """
    from service import server
    from service.clock import SystemClock
    from service.demo import Demo
    from service.recording import RecordingSettings

    demo = Demo(SystemClock(), cli_simulate.read_scenario(scenario))
    options: dict[str, Any] = {"host": host, "port": port, "site_name": demo.site.file.site.name}
    with _demo_folder(data) as folder:
        recording = RecordingSettings(folder=Path(folder) / "flights", keep_days=2.0, max_gb=4.0)
        options |= {"data_folder": folder, "recording": recording, "cameras": demo.cameras(), "arrays": demo.arrays()}
        _serve(_settings(options, device), demo.site, demo)
    server.exit_if_held()  # the folder is gone by then


def _demo_folder(data: Path | None) -> AbstractContextManager[Path | str]:
    """As given, else one that ends with the demo: nothing simulated stays among what a site of the user's saw."""
    from service.settings import default_data_folder

    if data is not None:
        return nullcontext(data)
    base = default_data_folder()
    try:
        base.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix="demo-", dir=base, ignore_cleanup_errors=True)
    except OSError as error:
        raise CallError(f"cannot write to {base}: {error.strerror}; name another folder with --data") from None


@app.command()
def serve(
    source: Sources = [],  # noqa: B006 (typer copies it)
    sensor: Sensors = [],  # noqa: B006
    loop: Annotated[bool, typer.Option("--loop", help="Files begin again when they end.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Site file (site.yaml) in place of --source.", dir_okay=False)
    ] = None,
    host: Host = None,
    port: Port = None,
    data: DataFolder = None,
    device: DeviceOption = Device.AUTO,
    weights: WeightsOption = [],  # noqa: B006
    operating_point: OperatingPoint = None,
) -> None:
    """Cameras and recordings, live, with the console in the browser.

    Example: deeplomatics serve --source rtsp://camera.local/stream --sensor infrared
    """
    if bool(source) == bool(config):
        raise CallError("give either --source, a camera or a recording, or --config, or try `deeplomatics demo`")
    options: dict[str, Any] = {"host": host, "port": port, "data_folder": data}
    options["detector"] = _detector(weights, operating_point)
    from service import server

    if config is None:
        _serve(_settings(options | {"cameras": _cameras(source, sensor, loop)}, device))
    else:
        _serve_site(config, options, device)
    server.exit_if_held()


def _serve_site(config: Path, options: dict[str, Any], device: Device) -> None:
    site, cameras = _read_site(config)
    from service.base_map import map_of
    from service.site import recording_of

    recording = recording_of(site, config.parent)
    of_site = {"cameras": cameras, "site_name": site.file.site.name, "store": site.file.store, "recording": recording}
    more = {"arrays": _arrays(site, config), "map": map_of(site, config)}
    _serve(_settings(options | of_site | more, device), site)


def _serve(settings: Settings, site: Site | None = None, demo: Demo | None = None) -> None:
    """Until somebody ends it; `server.exit_if_held` is to follow."""
    from service import server

    listener = server.listen(settings.host, settings.port)  # before the slow part: a taken port is told at once
    from service import api, logs
    from service.pipeline import Pipeline

    logs.configure(settings.log_format, settings.log_level, logs.secrets_of((*settings.cameras, *settings.arrays)))
    address = server.address_of(listener)
    make_capture, make_feed = (demo.make_capture, demo.make_feed) if demo else (None, None)
    with server.ended_by_signal(), Pipeline(settings, None, make_capture, site, make_feed) as pipeline:
        app = api.create_app(pipeline)
        with demo.joining(app, pipeline.bus) if demo else nullcontext():
            http = api.server(app, settings.host, settings.port)
            server.run(http.config, listener, lambda: print(f"Deeplomatics is at {address}", flush=True))


def _settings(options: dict[str, Any], device: Device) -> Settings:
    from pydantic import ValidationError

    from service.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    if device is not Device.AUTO:
        given["detector"] = given.get("detector", {}) | {"device": device.value}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise CallError(_wrong_setting(error.errors(include_input=False, include_url=False)[0])) from None


def _detector(weights: list[str], operating_point: float | None) -> dict[str, Any]:
    """Settings of the detector as given in the call; a FILE without a band is for all bands."""
    files: dict[str, Path] = {}
    for text in weights:
        band, equals, name = text.partition("=")
        named = equals and band in list(Band)
        path = Path(name if named else text)
        if not path.is_file():
            raise CallError(f"there is no file {path}: check the name")
        files |= dict.fromkeys([band] if named else list(Band), path)
    given: dict[str, Any] = {"weights": files} if files else {}
    return given | ({} if operating_point is None else {"operating_point": operating_point})


def _wrong_setting(error: ErrorDetails) -> str:
    """Our own validators speak in sentences; pydantic's need to be told what they speak of."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    name = "__".join(str(part) for part in error["loc"])
    return f"the setting {name} (or DEEPLOMATICS_{name.upper()}) is wrong: {error['msg'].lower()}"


def _address(text: str) -> SourceAddress:
    """A source as given in the call. A name that is not there is a wrong call, not a camera that failed."""
    from fusion.sensors.address import SourceAddress

    try:
        address = SourceAddress(text)
    except ValueError as error:
        raise CallError(f"a source cannot be used: {error}") from None
    if address.kind == "path" and not Path(address.reveal()).exists():
        raise CallError(f"there is no file, folder or device {address}: check the name")
    return address


def _arrays(site: Site, path: Path) -> tuple[ArrayConfig, ...]:
    from fusion.site import SiteError
    from service.site import arrays_of

    try:
        return arrays_of(site, path)
    except SiteError as error:
        raise CallError(f"{path}, {error.faults[0]}") from None


def _read_site(path: Path) -> tuple[Site, tuple[CameraConfig, ...]]:
    from fusion.site import SiteError
    from service.site import read_site

    if not path.is_file():
        raise CallError(f"there is no file {path}: check the name")
    try:
        return read_site(path)
    except SiteError as error:
        more = f" (and {len(error.faults) - 1} more; `deeplomatics check {path}` says all)" if error.faults[1:] else ""
        raise CallError(f"{path}, {error.faults[0]}{more}") from None


@app.command()
def check(site: Annotated[Path, typer.Argument(help="Site file (site.yaml).")]) -> None:
    """All that is wrong with a site file, each with its line and the mend.

    Example: deeplomatics check site.yaml
    """
    from fusion.site import SiteError
    from service.site import read_site

    if not site.is_file():
        raise CallError(f"there is no file {site}: check the name")
    try:
        _, cameras = read_site(site)
    except SiteError as error:
        for fault in error.faults:
            print(f"{site}, {fault}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{site} is right: {len(cameras)} cameras")


@app.command()
def fuse(
    measurements: Annotated[Path, typer.Argument(help="Measurements of any sensors, one JSON object a line.")],
    site: Annotated[Path, typer.Option("--site", help="Site file (site.yaml): where the sensors stand.")],
    output: Annotated[Path | None, typer.Option("--output", help="Fused tracks, JSON lines. [standard output]")] = None,
) -> None:
    """Recorded measurements of any sensors to fused tracks in three dimensions.

    Example: deeplomatics fuse measurements.jsonl --site site.yaml --output tracks.jsonl
    """
    from fusion.site import SiteError
    from service.fuse import fuse_file, placed_site, say_refusals

    for path in (measurements, site):
        if not path.is_file():
            raise CallError(f"there is no file {path}: check the name")
    try:
        placed = placed_site(site)
    except SiteError as error:
        more = f" (and {len(error.faults) - 1} more)" if error.faults[1:] else ""
        raise CallError(f"{site}, {error.faults[0]}{more}") from None
    say_refusals(fuse_file(measurements, placed, output))


@app.command()
def calibrate(
    site: Annotated[Path, typer.Argument(help="Site file (site.yaml), with the sensor roughly placed.")],
    flight: Annotated[Path, typer.Argument(help="Measurements, with the drone's own positions, JSON lines.")],
    sensor: Annotated[str, typer.Option("--sensor", help="Id of the camera or array to calibrate.")],
    output: Annotated[Path | None, typer.Option("--output", help="The site file with the sensor as found.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Residuals as a picture (png, svg, pdf).")] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Site file where it is known, to compare.")] = None,
    drone: Annotated[str | None, typer.Option("--drone", help="Id of the drone. [the one that reports most]")] = None,
    focal: Annotated[bool, typer.Option("--focal", help="Find the focal length too.")] = False,
    attitude_sigma: Annotated[
        float | None, typer.Option(min=0.01, max=180.0, help="Degrees, how well the orientation is known. [20]")
    ] = None,
    position_sigma: Annotated[
        float | None, typer.Option(min=0.001, max=1000.0, help="Metres, how well the position is known. [2]")
    ] = None,
    clock_sigma: Annotated[
        float | None, typer.Option(min=0.001, max=60.0, help="Seconds, how well the clock is known. [1]")
    ] = None,
) -> None:
    """Where a sensor stands, looks, and how far its clock is off, from a flight of a drone that reported its GPS.

    Example: deeplomatics calibrate site.yaml flight.jsonl --sensor cam-east --output site-calibrated.yaml
    """
    placed = _placed(site)
    known_truth = None if truth is None else _placed(truth)
    if not flight.is_file():
        raise CallError(f"there is no file {flight}: check the name")
    for path, where in ((site, placed), (truth, known_truth)):
        if where is not None and sensor not in where.sensors:
            raise CallError(f"{path} has no sensor {sensor}: give one of {', '.join(where.sensors)}")
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise CallError(f"a plot is written as png, svg or pdf: give {plot} one of these endings")
    from service.calibrate import Known, calibrate_file, corrected, table
    from service.partial import written

    known = Known(attitude_sigma, position_sigma, clock_sigma, focal)
    found = calibrate_file(placed, flight, sensor, known, drone, known_truth)
    for line in table(found):
        print(line)
    if output is not None:
        with written(output) as stream:
            stream.write(corrected(site.read_text(encoding="utf-8"), found).encode())
    if plot is not None:
        from service.calibration_plot import draw

        draw(found, plot)


def _placed(path: Path) -> Site:
    from fusion.site import SiteError
    from service.fuse import placed_site

    if not path.is_file():
        raise CallError(f"there is no file {path}: check the name")
    try:
        return placed_site(path)
    except SiteError as error:
        more = f" (and {len(error.faults) - 1} more)" if error.faults[1:] else ""
        raise CallError(f"{path}, {error.faults[0]}{more}") from None


def _cameras(sources: list[str], sensors: list[Band], loop: bool) -> tuple[CameraConfig, ...]:
    """One camera per source, named after its file or by its number."""
    from fusion.sensors.camera.config import CameraConfig

    bands = sensors * len(sources) if len(sensors) == 1 else sensors or [Band.VISIBLE] * len(sources)
    if len(bands) != len(sources):
        raise CallError("give --sensor once for all sources, or once for each of them in the same order")
    addresses = [_address(text) for text in sources]
    names = _names(addresses)
    return tuple(
        CameraConfig(id=name, source=address, spectrum=band.value, loop=loop)
        for name, address, band in zip(names, addresses, bands, strict=True)
    )


def _names(addresses: list[SourceAddress]) -> list[str]:
    """Ids: a file's or folder's own name as far as an id may hold it, else `camera-N`; no name twice."""
    names: list[str] = []
    for number, address in enumerate(addresses, 1):
        stem = Path(address.reveal()).stem if address.kind == "path" else ""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:48].strip("-_") or f"camera-{number}"
        names.append(name if name not in names else f"{name}-{number}")
    return names


OutputFile = Annotated[Path | None, typer.Option("--output", help="JSON lines; `-` is standard output. [-]")]
MotFile = Annotated[Path | None, typer.Option("--mot", help="Tracks as MOTChallenge reads them.")]
VideoFile = Annotated[Path | None, typer.Option("--video", help="MP4 with the tracks drawn in.")]
Fps = Annotated[float | None, typer.Option("--fps", min=0.001, max=1000, help="Of a det.txt or a folder of images.")]


@app.command()
def track(
    source: Annotated[list[str], typer.Argument(help="Video, folder of images, URL, or a MOTChallenge det.txt.")],
    sensor: Annotated[Band, typer.Option("--sensor", help="What the camera sees in.")] = Band.VISIBLE,
    output: OutputFile = None,
    mot: MotFile = None,
    video: VideoFile = None,
    fps: Fps = None,
    device: DeviceOption = Device.AUTO,
    weights: WeightsOption = [],  # noqa: B006
    operating_point: OperatingPoint = None,
) -> None:
    """A recording through detector and tracker: every frame, as fast as the machine can.

    Example: deeplomatics track flight.mp4 --sensor infrared --output flight.jsonl --video boxes.mp4
    """
    addresses = [_address(text) for text in source]
    from service.clock import SystemClock
    from service.partial import STANDARD_OUTPUT
    from service.progress import shown
    from service.track import Request, RequestError
    from service.track import track as run

    if output is None and mot is None and video is None:
        output = STANDARD_OUTPUT
    settings = _alone(device, _detector(weights, operating_point))
    request = Request(addresses, sensor.value, settings, fps, output, mot, video)
    try:
        with shown() as progress:
            run(request, SystemClock().now_ns, progress)
    except RequestError as error:
        raise CallError(str(error)) from None


def _alone(device: Device, given: dict[str, Any] | None = None) -> DetectorSettings:
    """Settings of a detector that has the machine to itself."""
    settings = _settings({"detector": given or None}, device).detector
    if "threads" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"threads": os.cpu_count() or 1})


@app.command()
def listen(
    audio: Annotated[str, typer.Argument(help="Recording (wav, flac…), or a live array: URL or number of a device.")],
    array: Annotated[
        Path | None, typer.Option("--array", help="Places of the microphones (array.yaml): tells directions too.")
    ] = None,
    output: OutputFile = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Sound to what is heard and, with an array of four or more microphones, where from; live until interrupted.

    Example: deeplomatics listen flight.flac --array array.yaml --output heard.jsonl
    Example: deeplomatics listen "tcp://array.local:5000?rate=48000&format=s16le" --array array.yaml
    """
    if array is not None and not array.is_file():
        raise CallError(f"there is no file {array}: check the name")
    source = _sound_source(audio)
    from functools import partial

    from models.acoustic_infer import load_recogniser
    from service.clock import SystemClock
    from service.listen import listen as run
    from service.listen import read_array
    from service.listen_live import listen_live
    from service.partial import STANDARD_OUTPUT
    from service.progress import shown
    from service.track import RequestError

    recogniser = partial(load_recogniser, device=device.value)
    try:
        places = None if array is None else read_array(array, audio if source.live else None)
        with shown() as progress:
            if not source.live:
                run(Path(audio), places, output or STANDARD_OUTPUT, recogniser, progress, _warn)
            elif places is None:
                raise CallError("a live source needs --array: the places of its microphones")
            else:
                listen_live(places, output or STANDARD_OUTPUT, recogniser, progress, _warn, SystemClock())
    except RequestError as error:
        raise CallError(str(error)) from None


def _sound_source(text: str) -> SoundAddress:
    from fusion.sensors.microphone_array.config import SoundAddress

    try:
        source = SoundAddress(text)
    except ValueError as error:
        raise CallError(f"the source cannot be used: {error}") from None
    if source.kind == "path" and not Path(text).is_file():
        raise CallError(f"there is no file {text}: check the name")
    return source


def _warn(sentence: str) -> None:
    print(f"deeplomatics: {sentence}", file=sys.stderr)


train_app = typer.Typer(help="Train a network on recordings.", no_args_is_help=True, rich_markup_mode=None)
evaluate_app = typer.Typer(help="The metrics of the field.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")

Data = Annotated[Path, typer.Option("--data", help="Folder of the recordings.", exists=True, file_okay=False)]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")]
Split = Annotated[str, typer.Option("--split", help="train, val or test.")]


@train_app.command("detector")
def train_detector(
    data: Data,
    recipe: Annotated[str, typer.Option("--recipe", help="Which one; it names the weights.")] = "infrared",
    work: Annotated[Path, typer.Option("--work", help="For the checkpoint and the cache.")] = Path("out/train"),
    device: DeviceOption = Device.AUTO,
    extra: Annotated[
        list[Path],
        typer.Option("--extra", help="Labelled pictures beside them, of `export --format coco`; may be repeated."),
    ] = [],  # noqa: B006 (typer copies it)
    start: Annotated[
        Path | None, typer.Option("--start", help="Weights to begin with; without, from scratch.", dir_okay=False)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.1, help="Take so long, instead of the recipe's steps.")
    ] = None,
) -> None:
    """Train the detector; an interrupted run goes on where it was.

    Example: deeplomatics train detector --data recordings --recipe infrared
    """
    from models.train import RECIPES
    from models.train import train as run

    if recipe not in RECIPES:
        raise CallError(f"there is no recipe {recipe!r}: give one of {', '.join(RECIPES)}")
    path = run(recipe, data, work, device.value, extra=extra, start=start, minutes=minutes)
    print(f"weights written to {path}")


@train_app.command("eight-bits")
def train_eight_bits(
    data: Data,
    weights: Annotated[Path, typer.Argument(help="Weights of a detector (.safetensors).", dir_okay=False)],
) -> None:
    """Measure for weights of a detector what eight-bit arithmetic has to know; training does it at its end by itself.

    Example: deeplomatics train eight-bits models/weights/infrared.safetensors --data recordings
    """
    from models.input_ranges import set_largest_inputs

    set_largest_inputs(weights, data)
    print(f"written to {weights.with_suffix('.json')}")


@train_app.command("acoustic")
def train_acoustic(
    data: Data,
    work: Annotated[Path, typer.Option("--work", help="For the checkpoint.")] = Path("out/train"),
    device: DeviceOption = Device.AUTO,
) -> None:
    """Train the recogniser of sounds; an interrupted run goes on where it was.

    Example: deeplomatics train acoustic --data recordings
    """
    from models.acoustic_train import train as run

    print(f"weights written to {run('acoustic', data, work, device.value)}")


@train_app.command("directions")
def train_directions(
    work: Annotated[Path, typer.Option("--work", help="For the checkpoint.")] = Path("out/train"),
) -> None:
    """Train the learned directions of sound on simulated fields; an interrupted run goes on where it was.

    Example: deeplomatics train directions
    """
    from models.acoustic_directions_train import train as run
    from simulation.array_scenes import array_scenes

    print(f"weights written to {run(array_scenes, work)}")


@evaluate_app.command("detector")
def evaluate_detector(
    data: Data,
    split: Split = "test",
    json_file: Json = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Other weights than the shipped ones.")] = None,
    sensor: Annotated[list[Band], typer.Option("--sensor", help="One band only.")] = [],  # noqa: B006
    device: DeviceOption = Device.AUTO,
    single: Annotated[bool, typer.Option("--single", help="Single precision, also where eight bits would do.")] = False,
) -> None:
    """Precision, recall, F1 and average precision of the detector, per class and band.

    Example: deeplomatics evaluate detector --data recordings --split test --json figures.json
    """
    from models.evaluate import evaluate

    bands: list[model_types.Band] = [band.value for band in sensor or Band]
    precision: Literal["auto", "single"] = "single" if single else "auto"
    _report(evaluate(data, split, bands, device.value, weights, os.cpu_count() or 1, precision), json_file)


@evaluate_app.command("tracker")
def evaluate_tracker(
    data: Data,
    split: Split = "test",
    json_file: Json = None,
    sensor: Annotated[list[Band], typer.Option("--sensor", help="One band only.")] = [],  # noqa: B006
    recordings: Annotated[
        Path | None, typer.Option("--detections", help="Folder of CLIP.jsonl by `track`, in place of the detector's.")
    ] = None,
    work: Annotated[Path, typer.Option("--work", help="Keeps the detector's detections.")] = Path("out/detections"),
    device: DeviceOption = Device.AUTO,
) -> None:
    """HOTA, IDF1, MOTA, switches, fragments, time to the first track on drone clips; what an operator gets on all.

    Example: deeplomatics evaluate tracker --data recordings --split test
    """
    from service.evaluate_tracker import evaluate
    from service.progress import shown
    from service.recorded_detections import record

    bands: list[model_types.Band] = [band.value for band in sensor or Band]
    if recordings is None:
        with shown() as progress:
            recordings = record(data, split, bands, work, _alone(device), progress)
    _report(evaluate(data, split, recordings, bands=bands), json_file)


@evaluate_app.command("operating-points")
def evaluate_operating_points(
    data: Data,
    weights: Annotated[Path | None, typer.Option("--weights", help="Other weights than the shipped ones.")] = None,
    sensor: Annotated[list[Band], typer.Option("--sensor", help="One band only.")] = [],  # noqa: B006
    json_file: Json = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Calibrate a detector's scores on val, choose its thresholds, and measure what each costs; kept in its card.

    Example: deeplomatics evaluate operating-points --data recordings --sensor infrared
    """
    from models.infer import WEIGHTS_FOLDER
    from service.evaluate_operating_points import settle_and_trace

    files = [weights] if weights else [WEIGHTS_FOLDER / f"{band.value}.safetensors" for band in sensor or Band]
    threads = os.cpu_count() or 1
    _report({file.stem: settle_and_trace(file, data, device.value, threads) for file in files}, json_file)


@evaluate_app.command("acoustic")
def evaluate_acoustic(
    data: Data,
    split: Split = "test",
    json_file: Json = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Other weights than the shipped ones.")] = None,
    device: DeviceOption = Device.AUTO,
) -> None:
    """F1 of what sounds are, per second and per clip, against the noise; false alarms; calibration.

    Example: deeplomatics evaluate acoustic --data recordings --split test
    """
    from models.acoustic_evaluate import evaluate

    _report(evaluate(data, split, weights, device.value, os.cpu_count() or 1), json_file)


evaluate_app.command("fusion")(cli_score.evaluate_fusion)


def _report(figures: dict[str, Any], json_file: Path | None) -> None:
    from service.report import show

    show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


app.add_typer(cli_simulate.app)
app.add_typer(cli_score.app)
app.add_typer(cli_flights.app)  # last, so that the commands keep their order
