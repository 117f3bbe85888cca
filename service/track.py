"""`deeplomatics track`: recordings through detector and tracker, every frame, the same bytes each time.

Nothing here looks at a clock: times come from the recordings, so a result depends on the pictures and the build alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.camera.source import SourceError, open_source
from models.types import Band, Detections, Frame
from service.detection import BatchDetector, load
from service.mot import read_detections
from service.operating_point import thresholds
from service.outputs import Header, JsonLines, MotFile, VideoFile, Writer
from service.partial import STANDARD_OUTPUT, partial_name, written
from service.settings import DetectorSettings
from service.stage import TrackerStage
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings

SENSOR_ID = "camera"


class Look(NamedTuple):
    """One frame and what was found in it; no picture where the detections are someone else's."""

    frame: Frame | None
    detections: Detections


class Recording(NamedTuple):
    """Where looks come from, and how many there will be (None: unknown)."""

    header: Header
    frames: int | None
    looks: Iterator[Look]


@dataclass(frozen=True, slots=True)
class Request:
    """What to track, and how.

    Attributes:
        fps: of a det.txt or a folder of images; None where they say it themselves.
        jsonl, mot, video: files to write; None: not wanted; `-`: standard output.
    """

    sources: Sequence[SourceAddress]
    band: Band
    detector: DetectorSettings
    fps: float | None = None
    jsonl: Path | None = None
    mot: Path | None = None
    video: Path | None = None


class RequestError(Exception):
    """What was asked for makes no sense; one plain sentence."""


class Progress:
    """Told while working; says nothing itself."""

    frames = 0

    def begin(self, source: str, frames: int | None) -> None:
        """The next source, with its number of frames where it is known."""

    def step(self) -> None:
        """One more frame is done."""
        self.frames += 1


def track(request: Request, now_ns: Callable[[], int], progress: Progress, detector: Loader | None = None) -> None:
    """Track each source by itself and write all that is asked for.

    Args:
        now_ns: UTC for live sources; recordings carry their own time.
        detector: to be used again by who calls this more than once.

    Raises:
        RequestError, MotError, SourceError, WeightsError, OSError: then nothing stands under its final name.
    """
    _check(request)
    detector = detector or Loader(request.band, request.detector)
    try:
        with ExitStack() as files:
            writers = _writers(request, files)
            for address in request.sources:
                _track_one(address, request, detector, now_ns, writers, progress)
    except SourceError as error:
        raise SourceError(f"{error}{_left_behind(request, progress.frames)}") from None


def _track_one(
    address: SourceAddress,
    request: Request,
    detector: Loader,
    now_ns: Callable[[], int],
    writers: Sequence[Writer],
    progress: Progress,
) -> None:
    with ExitStack() as opened:
        recording = _open(address, request, detector, now_ns, opened)
        progress.begin(str(address), recording.frames)
        try:
            _run(recording, writers, progress)
        except KeyboardInterrupt:
            if not address.live:  # a live source has no other end
                raise


def _left_behind(request: Request, frames: int) -> str:
    files = [path for path in (request.jsonl, request.mot, request.video) if path not in (None, STANDARD_OUTPUT)]
    if not frames or not files:
        return ""
    return f"; the {frames} frames before that are in {', '.join(str(partial_name(path)) for path in files)}"


def _check(request: Request) -> None:
    if request.video is not None and any(map(_is_det_file, request.sources)):
        raise RequestError("a det.txt holds no pictures: leave out --video")
    if len(request.sources) > 1 and (request.mot is not None or request.video is not None):
        raise RequestError("--mot and --video hold one source each: call track once per source")
    files = [path for path in (request.jsonl, request.mot, request.video) if path is not None]
    if len({path.absolute() for path in files}) < len(files):
        raise RequestError("two outputs have the same name: give each its own")
    if request.video == STANDARD_OUTPUT:
        raise RequestError("a video cannot go to standard output: give --video a file name")


def _is_det_file(address: SourceAddress) -> bool:
    return address.kind == "path" and address.reveal().endswith(".txt")


def _writers(request: Request, files: ExitStack) -> list[Writer]:
    writers: list[Writer] = []
    for path, make in ((request.jsonl, JsonLines), (request.mot, MotFile), (request.video, VideoFile)):
        if path is not None:
            writers.append(make(files.enter_context(written(path))))
            files.callback(writers[-1].close)
    return writers


class Loader:
    """The detector, loaded when the first picture needs it: a det.txt needs none, and torch takes seconds."""

    def __init__(self, band: Band, settings: DetectorSettings) -> None:
        self._band = band
        self._settings = settings
        self._detector: BatchDetector | None = None

    def __call__(self) -> BatchDetector:
        if self._detector is None:
            self._detector = load(self._band, self._settings)
        self._detector.forget(SENSOR_ID)
        return self._detector


def _open(
    address: SourceAddress, request: Request, detector: Loader, now_ns: Callable[[], int], opened: ExitStack
) -> Recording:
    if _is_det_file(address):
        return _open_detections(address, request)
    config = CameraConfig(id=SENSOR_ID, source=address, spectrum=request.band, fps=request.fps)
    source = opened.enter_context(open_source(config, now_ns))
    frames = iter(source)
    first = next(frames, None)
    if first is None:
        raise SourceError(f"{address} gave no picture")
    found = detector()
    looks = (Look(frame, found.detect([frame])[0]) for frame in chain([first], frames))
    height, width = first.pixels.shape[:2]
    header = Header(
        source=str(address),
        sensor=request.band,
        width=width,
        height=height,
        fps=round(source.info.fps, 6),
        t0=first.time_ns / 1e9,
        model=found.name,
        model_sha256=found.sha256,
        thresholds=thresholds(found, request.detector),
        version=version("deeplomatics"),
        calibration=dict(getattr(found, "calibration", {})),
    )
    return Recording(header, source.info.frames, looks)


def _open_detections(address: SourceAddress, request: Request) -> Recording:
    file = read_detections(Path(address.reveal()), request.fps)
    header = Header(
        source=str(address),
        sensor=request.band,
        width=file.width,
        height=file.height,
        fps=file.fps,
        t0=0.0,
        model=None,
        model_sha256=None,
        thresholds=request.detector.thresholds,
        version=version("deeplomatics"),
    )
    return Recording(header, file.frames, (Look(None, each) for each in file.detections(SENSOR_ID)))


def _run(recording: Recording, writers: Sequence[Writer], progress: Progress) -> None:
    settings = TrackerSettings.at(recording.header.thresholds)
    tracker = TrackerStage(lambda first_id: ImageTracker(settings, first_id=first_id))
    start_ns: int | None = None
    for writer in writers:
        writer.begin(recording.header)
    for frame, detections in recording.looks:
        start_ns = detections.time_ns if start_ns is None else start_ns
        tracks = tracker.step(detections)
        for writer in writers:
            writer.write((detections.time_ns - start_ns) / 1e9, frame, detections, tracks)
        progress.step()
