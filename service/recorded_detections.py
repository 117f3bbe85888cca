"""Detections of labelled clips on disk, so that trackers are judged on the same evidence without detecting again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusion.sensors.address import SourceAddress
from models.halmstad import load_clips
from models.types import Band
from service.settings import DetectorSettings
from service.track import Loader, Progress, Request, track


def record(
    data: Path,
    split: str,
    bands: Sequence[Band],
    work: Path,
    settings: DetectorSettings,
    progress: Progress,
) -> Path:
    """The folder with one `CLIP.jsonl` per clip; those that are missing are made.

    Args:
        work: holds a folder for each set of weights, so that none is taken for another's.

    Raises:
        DatasetError, WeightsError, SourceError, OSError: see there.
    """
    detectors = {band: Loader(band, settings) for band in bands}
    folder = work / "-".join(detectors[band]().sha256[:12] for band in bands)
    folder.mkdir(parents=True, exist_ok=True)
    for band in bands:
        for clip in load_clips(data, band, split):
            path = folder / f"{clip.name}.jsonl"
            if not path.exists():
                request = Request([SourceAddress(str(clip.video), environ={})], band, settings, jsonl=path)
                track(request, _no_clock, progress, detectors[band])
    return folder


def _no_clock() -> int:
    raise AssertionError("a recording carries its own time")
