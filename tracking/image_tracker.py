"""The tracker of one camera: a fold over looks, `step(Detections) -> ImageTracks`.

One step, top to bottom:

1. predict      every track to the time of the look              tracking.kalman, existence, classification
2. admit        detections that can be boxes, count the others    tracking.measurements
3. associate    strong detections with all tracks, then weak      tracking.assignment
                ones with the tracks still without (Zhang et al., *ByteTrack*, ECCV 2022, section 3)
4. update       position, existence, class
5. advance      the life cycle; drop what ended                   tracking.lifecycle
6. give birth   from strong detections that no track explains

No clock, no randomness: time comes with the data, and the same looks give the same bits on any processor. Camera motion
has its place between 1 and 3: a compensation would map `Table.state` into the new picture there and nowhere else.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES, Detections
from tracking import assignment, classification, existence, kalman, lifecycle
from tracking.elementary import exp
from tracking.existence import Existence
from tracking.kalman import Gaussian
from tracking.measurements import Measurements, Reason, admissible
from tracking.settings import TrackerSettings
from tracking.table import SnapshotError, Table
from tracking.types import ImageTracks, Status
from tracking.views import image_tracks

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Index = NDArray[np.intp]

SNAPSHOT_VERSION = 2
SMALLEST_PX = 1.0  # no filtered box shrinks below a pixel
NONE = -1
TENTATIVE, DELETED = lifecycle.CODE[Status.TENTATIVE], lifecycle.CODE[Status.DELETED]
PLACE, SIZE = slice(0, 2), slice(2, 4)  # rows of a box: centre x, centre y; width, height
_SMALLEST = np.array([[-math.inf], [-math.inf], [SMALLEST_PX], [SMALLEST_PX]])


class Expected(NamedTuple):
    """What each of N tracks expects of a look.

    Attributes:
        value, noise, variance: [4, N] predicted box, measurement variance, and variance of the innovation; px, px².
        peak: [N] likelihood of a detection right at the expected place, from the object over clutter.
        p_detection: [N] of a visible object; 0 outside the picture.
    """

    value: Array
    noise: Array
    variance: Array
    peak: Array
    p_detection: Array


class Match(NamedTuple):
    """Which measurement each track got.

    Attributes:
        measurement: [N] into the measurements, NONE where there is none.
        seen: [N] whether there is one.
        place: [N] how many times likelier its place is from the object than clutter; 0 where there is none.
        taken: [M] measurements that a track took.
    """

    measurement: Index
    seen: Bools
    place: Array
    taken: Bools


class ImageTracker:
    """Tracks of one camera.

    Args:
        settings: see there.
        first_id: ids count up from here; give the number after the last one ever used, so that none is used again.
    """

    def __init__(self, settings: TrackerSettings | None = None, *, first_id: int = 1) -> None:
        self.settings = settings or TrackerSettings()
        self._next_id = first_id
        self._table = Table.empty()
        self._time_ns: int | None = None
        self._rejected = dict.fromkeys(Reason, 0)

    @property
    def rejected(self) -> dict[Reason, int]:
        """How many detections, births and looks were left out so far, by reason."""
        return dict(self._rejected)

    @property
    def next_id(self) -> int:
        """The id the next track will get."""
        return self._next_id

    def step(self, look: Detections) -> ImageTracks:
        """Tracks after one look; a look without detections is evidence too.

        A look not newer than the last changes nothing and is counted, unless it is older by more than `coast_s`: then
        the clock was set, all tracks end and time starts anew.

        Raises:
            ValueError: the arrays of `look` do not fit each other.
        """
        measured, rejected = admissible(look, self.settings)
        ended = self._ended_by_clock(look.time_ns)
        if self._time_ns is not None and look.time_ns <= self._time_ns:
            self._rejected[Reason.LATE] += 1
            return image_tracks(look, self._table, np.full(len(self._table.id), NONE), (), len(look))
        table = predicted(self._table, self._elapsed_s(look.time_ns), self.settings)
        hope = expected(table, look, self.settings)
        match = associated(table, hope, measured, self.settings)
        table = updated(table, hope, measured, match, look.time_ns, self.settings)
        table = advanced(table, match.seen, look, self.settings)
        alive = table.status != DELETED
        room = self.settings.max_tracks - int(np.count_nonzero(alive))
        births = birthplaces(measured, match.taken, self.settings)
        if len(births) > room:
            rejected[Reason.NO_ROOM] = len(births) - room
        births = births[:room]
        born = newborn(measured.take(births), look.time_ns, self._next_id, self.settings) if len(births) else None
        self._commit(table.renewed(alive, born), len(births), look.time_ns, rejected)
        followed = indices(measured, match.measurement.compress(alive))
        return image_tracks(
            look,
            self._table,
            detection=np.concatenate([followed, measured.index.take(births)]),
            deleted=ended + tuple(table.id.compress(~alive).tolist()),
            rejected=sum(rejected.values()),
        )

    def snapshot(self) -> bytes:
        """Everything the next steps depend on; the same state gives the same bytes."""
        header = {
            "version": SNAPSHOT_VERSION,
            "settings": self.settings.model_dump(mode="json"),
            "next_id": self._next_id,
            "time_ns": self._time_ns,
            "rejected": self._rejected,
            "tracks": len(self._table.id),
        }
        return json.dumps(header, sort_keys=True).encode() + b"\n" + self._table.to_bytes()

    def restore(self, data: bytes) -> None:
        """Go on from `snapshot()`; ids still count up from the greater of both.

        Raises:
            SnapshotError: the bytes are no snapshot of this version, or were made with other settings.
        """
        head, _, body = data.partition(b"\n")
        header = _header(head)
        if header["settings"] != self.settings.model_dump(mode="json"):
            raise SnapshotError("Snapshot was made with other tracker settings: start afresh, or with those settings")
        self._table = Table.from_bytes(body, header["tracks"])
        self._next_id = max(self._next_id, header["next_id"])
        self._time_ns = header["time_ns"]
        self._rejected = {reason: int(header["rejected"].get(reason, 0)) for reason in Reason}

    def _elapsed_s(self, time_ns: int) -> float:
        return 0.0 if self._time_ns is None else (time_ns - self._time_ns) * 1e-9

    def _ended_by_clock(self, time_ns: int) -> tuple[int, ...]:
        if self._elapsed_s(time_ns) >= -self.settings.coast_s:
            return ()
        ended = tuple(self._table.id.tolist())
        self._table, self._time_ns = Table.empty(), None
        return ended

    def _commit(self, table: Table, births: int, time_ns: int, rejected: dict[Reason, int]) -> None:
        self._table, self._time_ns = table, time_ns
        self._next_id += births
        for reason, count in rejected.items():
            self._rejected[reason] += count


# -- the parts of a step, each a pure function of the table ------------------------------------------------------------


def predicted(table: Table, dt_s: float, settings: TrackerSettings) -> Table:
    """Tracks `dt_s` later, before the look."""
    noise = area(table.state.value) * variances(settings.speed_noise, settings.size_noise)
    belief = existence.predict(
        table.belief, dt_s, visible_s=settings.visible_s, hidden_s=settings.hidden_s, survival_s=settings.survival_s
    )
    keep = exp(-min(dt_s / settings.class_memory_s, 700.0))
    return table._replace(
        state=kalman.predict(table.state, dt_s, noise),
        belief=belief,
        classes=classification.fade(table.classes, keep),
    )


def expected(table: Table, look: Detections, settings: TrackerSettings) -> Expected:
    """What the tracks expect of `look`, before any of its detections is seen."""
    value = table.state.value
    box_area = area(value)
    noise = measurement_noise(box_area, settings)
    variance = table.state.var_value + noise
    within = (value[PLACE] >= 0.0) & (value[PLACE] <= limits(look))
    inside = np.logical_and.reduce(within, axis=0)
    return Expected(
        value=value,
        noise=noise,
        variance=variance,
        peak=peak_over_clutter(variance, box_area, look.width * look.height / settings.clutter_per_look),
        p_detection=np.where(inside, settings.p_detection, 0.0),
    )


def associated(table: Table, hope: Expected, measured: Measurements, settings: TrackerSettings) -> Match:
    """Strong measurements with all tracks, then weak ones with the tracks that are left.

    A measurement that is likelier clutter than the track's stays alone. That holds back a track that was not seen for
    long, and could be anywhere, from the faint detections that there are everywhere.
    """
    tracks, measurements = len(table.id), len(measured.score)
    match = Match(
        measurement=np.full(tracks, NONE, dtype=np.intp),
        seen=np.zeros(tracks, dtype=np.bool_),
        place=np.zeros(tracks),
        taken=np.zeros(measurements, dtype=np.bool_),
    )
    i, j, distance = assignment.gated_pairs(hope.value, hope.variance, measured.box, settings.gate)
    place = hope.peak.take(i) * heavy_tail(distance)
    gain = existence.gain(table.belief, settings.p_detection).take(i) * place * measured.odds.take(j)
    likely, strong = gain >= 1.0, measured.strong.take(j)
    for weak in (False, True):
        offered = likely & ~strong & ~match.seen.take(i) if weak else likely & strong
        (pairs,) = offered.nonzero()
        if len(pairs):
            pairs = pairs[assignment.assign(i.take(pairs), j.take(pairs), gain.take(pairs))]
            a, b = i.take(pairs), j.take(pairs)
            match.measurement[a], match.seen[a], match.place[a], match.taken[b] = b, True, place.take(pairs), True
    return match


def updated(
    table: Table, hope: Expected, measured: Measurements, match: Match, time_ns: int, settings: TrackerSettings
) -> Table:
    """Tracks after the look: place, existence and class."""
    seen = match.seen
    if not seen.any():
        return table._replace(belief=existence.after_look(table.belief, hope.p_detection, match.place))
    at = match.measurement  # NONE points to the last measurement, whose values `seen` then masks
    state = kalman.update(table.state, measured.box.take(at, axis=1), hope.noise, seen)
    since_s, age_s = seconds(time_ns - table.seen_ns), seconds(table.seen_ns - table.born_ns)
    weight = np.where(seen, np.minimum(since_s / settings.class_independent_s, 1.0), 0.0)
    evidence = classification.likelihood(measured.class_scores.take(at, axis=1))
    ratio = existence.evidence(
        match.place,
        measured.odds.take(at),
        since_s,
        age_s,
        clutter_s=settings.clutter_s,
        independent_s=np.where(table.status == TENTATIVE, settings.score_independent_s, settings.weak_spell_s),
    )
    return table._replace(
        seen_ns=np.where(seen, time_ns, table.seen_ns),
        state=not_smaller_than_a_pixel(state),
        belief=existence.after_look(table.belief, hope.p_detection, ratio),
        classes=classification.update(table.classes, evidence, weight),
    )


def advanced(table: Table, seen: Bools, look: Detections, settings: TrackerSettings) -> Table:
    """Tracks with the status that the look gave them."""
    total = table.belief.total
    coasted_out = look.time_ns - table.seen_ns > settings.coast_s * 1e9
    lost = (total < settings.delete_existence) | coasted_out | left(table.state.value, limits(look))
    event = lifecycle.events(lost=lost, seen=seen, sure=total >= settings.confirm_existence)
    return table._replace(status=lifecycle.advance(table.status, event))


def birthplaces(measured: Measurements, taken: Bools, settings: TrackerSettings) -> Index:
    """Measurements that no track explains and that may begin one, best first; equal scores are ordered by place."""
    (places,) = (~taken & (existence_at_birth(measured.odds, settings) >= settings.least_at_birth)).nonzero()
    if len(places) == 0:
        return places
    others = measured.box.compress(taken, axis=1)
    covered = overlap(measured.box.take(places, axis=1)[:, :, None], others[:, None]) > settings.birth_overlap
    places = places.compress(~np.logical_or.reduce(covered, axis=1))
    order = np.lexsort((*measured.box.take(places, axis=1)[::-1], -measured.score.take(places)))
    return places.take(order)


def newborn(measured: Measurements, time_ns: int, first_id: int, settings: TrackerSettings) -> Table:
    """A tentative track for each measurement, at rest but of unknown velocity."""
    count = len(measured.score)
    box_area = area(measured.box)
    at_rest = np.zeros((2, count))
    unknown = np.full((len(CLASSES), count), classification.UNKNOWN)
    evidence = classification.likelihood(measured.class_scores)
    return Table(
        id=np.arange(first_id, first_id + count),
        born_ns=np.full(count, time_ns),
        seen_ns=np.full(count, time_ns),
        status=np.full(count, lifecycle.CODE[Status.TENTATIVE], dtype=np.int64),
        state=not_smaller_than_a_pixel(
            Gaussian(
                value=measured.box,
                rate=at_rest,
                var_value=measurement_noise(box_area, settings),
                cov=at_rest,
                var_rate=at_rest + box_area * (settings.speed_sigma * settings.speed_sigma),
            )
        ),
        belief=Existence(visible=existence_at_birth(measured.odds, settings), hidden=np.zeros(count)),
        classes=classification.update(unknown, evidence, np.ones(count)),
    )


# -- small quantities --------------------------------------------------------------------------------------------------


def area(box: Array) -> Array:
    """Square of the unit "box" of the settings, px²; [N] from [4, N]."""
    return np.asarray(box[2] * box[3])


@lru_cache(maxsize=8)
def variances(place_sigma: float, size_sigma: float) -> Array:
    """[4, 1] for x, y, width, height."""
    place, size = place_sigma * place_sigma, size_sigma * size_sigma
    return np.array([[place], [place], [size], [size]])


def measurement_noise(box_area: Array, settings: TrackerSettings) -> Array:
    """Variance of a measured box around the true one, px², [4, N]."""
    relative = variances(settings.position_sigma, settings.size_sigma)
    return box_area * relative + settings.pixel_sigma * settings.pixel_sigma


def existence_at_birth(odds: Array, settings: TrackerSettings) -> Array:
    """Probability that there is an object, after its first detection, [M]."""
    told = settings.existence_at_birth * odds
    return np.asarray(told / (told + (1.0 - settings.existence_at_birth)))


def seconds(nanoseconds: NDArray[np.int64]) -> Array:
    return np.asarray(nanoseconds * 1e-9)


def limits(look: Detections) -> Array:
    """Width and height of the picture, [2, 1]."""
    return np.array([[look.width], [look.height]], dtype=np.float64)


def peak_over_clutter(variance: Array, box_area: Array, area_per_clutter: float) -> Array:
    """Density of the innovation at zero over that of clutter, [N].

    Clutter is spread evenly over the picture, and in width and height over about one box each. The innovation follows
    Student's t with 4 degrees of freedom, whose tails are as heavy as a detector's and which needs no exponential:
    Γ(4) / (Γ(2) (4π)² √|S|) (1 + d²/4)⁻⁴ (see `heavy_tail`).
    """
    determinant = np.multiply.reduce(variance, axis=0)
    return np.asarray((6.0 / (16.0 * math.pi * math.pi)) * area_per_clutter * box_area / np.sqrt(determinant))


def heavy_tail(distance: Array) -> Array:
    """Student's t density over its peak, for squared Mahalanobis distances; 4 axes, 4 degrees of freedom."""
    base = 1.0 + 0.25 * distance
    square = base * base
    return 1.0 / (square * square)


def left(box: Array, limit: Array) -> Bools:
    """No part of the box is in the picture any more."""
    centre, half = box[PLACE], 0.5 * box[SIZE]
    return np.asarray(np.logical_or.reduce((centre + half < 0.0) | (centre - half > limit), axis=0))


def overlap(a: Array, b: Array) -> Array:
    """Intersection over union of boxes [4, N] given by centre and size, element by element (broadcast)."""
    wide = np.minimum(a[0] + 0.5 * a[2], b[0] + 0.5 * b[2]) - np.maximum(a[0] - 0.5 * a[2], b[0] - 0.5 * b[2])
    high = np.minimum(a[1] + 0.5 * a[3], b[1] + 0.5 * b[3]) - np.maximum(a[1] - 0.5 * a[3], b[1] - 0.5 * b[3])
    common = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    return np.asarray(common / (a[2] * a[3] + b[2] * b[3] - common))


def not_smaller_than_a_pixel(state: Gaussian) -> Gaussian:
    """State with width and height at least a pixel."""
    return state._replace(value=np.maximum(state.value, _SMALLEST))


def indices(measured: Measurements, at: Index) -> Index:
    """Indices into the `Detections` for indices into the measurements; NONE stays as it is."""
    return np.where(at == NONE, NONE, measured.index.take(at)) if len(measured.index) else at


def _header(head: bytes) -> dict[str, Any]:
    try:
        header = json.loads(head)
    except ValueError as error:
        raise SnapshotError("These bytes are no tracker snapshot: the header is not JSON") from error
    if not isinstance(header, dict) or header.get("version") != SNAPSHOT_VERSION:
        raise SnapshotError(f"This tracker reads snapshots of version {SNAPSHOT_VERSION} only")
    return header
