"""How cameras share detectors: on the CPU each has its own; on CUDA all of a band meet in one batch."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from models.types import Band, Detections, Frame
from service.camera_line import FrameDetector
from service.operating_point import thresholds
from service.settings import DetectorSettings


class BatchDetector(Protocol):
    """What `models.foreign.load_any` returns; used by one thread at a time."""

    name: str
    sha256: str
    backend: str
    thresholds: dict[str, float]

    def detect(self, frames: Sequence[Frame], /) -> list[Detections]: ...

    def forget(self, sensor_id: str, /) -> None: ...


class OwnDetector:
    """A detector that one camera has to itself."""

    def __init__(self, detector: BatchDetector) -> None:
        self._detector = detector

    def detect(self, frame: Frame) -> Detections:
        return self._detector.detect([frame])[0]

    def forget(self, sensor_id: str) -> None:
        self._detector.forget(sensor_id)


class SharedDetector:
    """One detector for many cameras: whoever finds it free runs it for all who wait.

    While one batch runs, the frames of the other cameras gather for the next, so the batch grows with the load and a
    lone frame waits for nobody. At most one frame per camera waits, so at most as many as there are cameras.
    """

    def __init__(self, detector: BatchDetector) -> None:
        self._detector = detector
        self._changed = threading.Condition()
        self._waiting: list[Frame] = []
        self._found: dict[int, Detections] = {}
        self._busy = False

    def detect(self, frame: Frame) -> Detections:
        with self._changed:
            self._waiting.append(frame)
            self._changed.wait_for(lambda: id(frame) in self._found or not self._busy)
            if id(frame) in self._found:
                return self._found.pop(id(frame))
            batch, self._waiting = self._waiting, []
            self._busy = True
        return self._run(batch, frame)

    def forget(self, sensor_id: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)
            self._detector.forget(sensor_id)

    def _run(self, batch: list[Frame], own: Frame) -> Detections:
        """Detect outside the lock. A failure is the runner's alone: the others go back to waiting."""
        found: list[Detections] = []
        try:
            found = self._detector.detect(batch)
        finally:
            with self._changed:
                self._busy = False
                if found:
                    self._found.update((id(frame), each) for frame, each in zip(batch, found, strict=True))
                else:
                    self._waiting.extend(frame for frame in batch if frame is not own)
                self._changed.notify_all()
        with self._changed:
            return self._found.pop(id(own))


def load(band: Band, settings: DetectorSettings) -> BatchDetector:
    """The detector of a band: ours, or the user's own network. The first call imports torch, which takes seconds.

    Raises:
        models.infer.WeightsError: missing, changed or foreign weights, or a device that is not here.
    """
    from models.foreign import load_any

    weights = settings.weights.get(band)
    return load_any(
        band, weights=weights, device=settings.device, threads=settings.threads, precision=settings.precision
    )


class DetectorPool:
    """Loads what the cameras need before they start, so that bad weights are known then, and hands it to them.

    Args:
        bands: one per camera.

    Raises:
        models.infer.WeightsError, OperatingPointError: see `load` and `service.operating_point`.
    """

    def __init__(self, settings: DetectorSettings, bands: Sequence[Band]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._shared: dict[Band, SharedDetector] = {}
        self._spare: dict[Band, list[OwnDetector]] = {}
        self._thresholds: dict[Band, dict[str, float]] = {}
        self.backends: dict[Band, str] = {}
        self.weights: dict[Band, str] = {}  # SHA-256
        for band in bands:
            self._add(band, load(band, settings) if band not in self._shared else None)

    def thresholds(self, band: Band) -> Mapping[str, float]:
        """Operating threshold per class: the operator's, else the one that lies with the weights."""
        return self._thresholds.get(band, self._settings.thresholds)

    def get(self, band: Band) -> FrameDetector:
        """A detector for one camera; a camera that begins again after a crash gets a fresh one."""
        with self._lock:
            if band in self._shared:
                return self._shared[band]
            if self._spare[band]:
                return self._spare[band].pop()
        return OwnDetector(load(band, self._settings))

    def _add(self, band: Band, detector: BatchDetector | None) -> None:
        if detector is None:
            return
        self.backends[band] = detector.backend
        self.weights[band] = detector.sha256
        self._thresholds[band] = thresholds(detector, self._settings)
        if detector.backend == "torch-cuda":
            self._shared[band] = SharedDetector(detector)
        else:
            self._spare.setdefault(band, []).append(OwnDetector(detector))
