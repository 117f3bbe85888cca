"""What a camera found in one picture, as measurements of the site.

Fused are detections, not filtered tracks: a box centre of this frame is new evidence, a smoothed track fed again and
again would count old evidence many times. The image track that took a detection goes along as a hint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fusion.fields import Fields, Refused, label, numbers
from fusion.geometry import CameraModel, LocalFrame
from fusion.site import Sensor
from fusion.types import Coverage, Measurement, Scan, SensorPose, Space
from models.types import CLASSES, Detections
from tracking.types import ImageTracks, Status

MOST_REPORTS = 100  # of one picture, the best first; more is a picture full of clutter
POINT_SIGMA_PX = 0.1  # of a point whose own error is unknown: the rest is learned per camera
BOX_SHARE = 0.05  # σ of a box's centre, of its size
_MOST_BOX_PX = 100_000.0


def point_report(
    point: tuple[float, float],
    camera: CameraModel,
    *,
    size_px: float | None = None,
    name: str | None = None,
    score: float = 1.0,
    source_track: str | None = None,
) -> Measurement:
    """One thing at `point` (pixels of the calibrated size), `size_px` wide where that is known, of class `name`."""
    sigma2 = POINT_SIGMA_PX**2 + (BOX_SHARE * (size_px or 0.0)) ** 2
    angular = None if size_px is None else size_px / math.sqrt(camera.fx * camera.fy)
    covariance = (sigma2, 0.0, 0.0, sigma2)
    return Measurement(Space.PIXEL, point, covariance, name, score, angular, source_track=source_track)


def read_pixel(fields: Fields, sensor: Sensor, frame: LocalFrame) -> Measurement:
    """`box` or `point`, in pixels of the calibrated size, seen by a camera of the site."""
    camera = sensor.camera
    if camera is None:
        raise Refused(f"sensor {sensor.config.id} is no camera with intrinsics in the site file")
    size_px = None
    if "box" in fields:
        x, y, width, height = numbers(fields, "box", 4)
        if min(width, height) <= 0.0:
            raise Refused("box must have a width and height above zero")
        if max(width, height) > _MOST_BOX_PX:
            raise Refused("box is larger than any picture")
        point, size_px = (x + 0.5 * width, y + 0.5 * height), math.sqrt(width * height)
    else:
        u, v = numbers(fields, "point", 2)
        point = (u, v)
    if not bool(camera.sees(np.array(point))):
        raise Refused("the point lies outside the camera's picture")
    name, score = label(fields)
    return point_report(point, camera, size_px=size_px, name=name, score=score)


READERS = {"pixel": read_pixel}


def measure(
    found: Detections,
    tracks: ImageTracks,
    thresholds: Mapping[str, float],
    pose: SensorPose,
    camera: CameraModel,
    coverage: Coverage | None = None,
) -> Scan:
    """The look of one picture: what reaches its class's threshold, and what a confirmed image track took.

    A picture of another size than the calibrated one (a substream) is taken as the same view, scaled.

    Args:
        thresholds: operating threshold per class; a class without one passes whole.
    """
    followed = {
        track.detection: f"{found.sensor_id}-{track.track_id}"
        for track in tracks.tracks
        if track.detection is not None and track.status is not Status.TENTATIVE
    }
    scale = np.array([camera.width / found.width, camera.height / found.height] * 2)
    boxes = found.boxes.astype(np.float64) * scale
    names = [CLASSES[k] for k in found.class_scores.argmax(1).tolist()]
    reports = []
    for k, (box, name, score) in enumerate(zip(boxes, names, found.scores.tolist(), strict=True)):
        if k in followed or score >= thresholds.get(name, 0.0):
            report = _report(box.tolist(), camera, name, score, followed.get(k))
            reports += [report] if report is not None else []
    return Scan(
        found.sensor_id,
        found.time_ns,
        found.sequence,
        Space.PIXEL,
        pose,
        tuple(reports[:MOST_REPORTS]),
        camera,
        coverage,
    )


def _report(
    box: list[float], camera: CameraModel, name: str, score: float, source_track: str | None
) -> Measurement | None:
    """None for what is no box, and for a centre outside the picture."""
    x, y, width, height = box
    u, v = x + 0.5 * width, y + 0.5 * height
    if not (width > 0.0 and height > 0.0 and 0.0 <= u < camera.width and 0.0 <= v < camera.height):
        return None
    size_px = math.sqrt(width * height)
    return point_report((u, v), camera, size_px=size_px, name=name, score=score, source_track=source_track)
