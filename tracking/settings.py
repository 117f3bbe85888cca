"""What an operator may tune in the tracker: seconds, pixels and box sizes, never frames.

Every spread is a standard deviation ("sigma"). A *box* as unit of length is the geometric mean of the track's own width
and height, so that one setting serves a drone of 9 px and a helicopter of 300 px.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from models.types import CLASSES

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
PerClass = Annotated[tuple[Probability, ...], Field(min_length=len(CLASSES), max_length=len(CLASSES))]

DEFAULT_THRESHOLD = 0.45
SCORE_FLOOR = 0.02  # scores are believed no further, and no threshold lies nearer to 0 or 1


class TrackerSettings(BaseModel):
    """Frozen and checked; each group says its unit. The defaults were chosen on `train` and `val`, never on `test`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Which detections take part: first those at or above the threshold of their best class, then, for tracks still
    # without one, the rest. A detection right at the threshold is held to be as likely false as true: where F1 is
    # highest it is true with probability F1 / 2 (Lipton, Elkan, Naryanaswamy, ECML 2014), a little under one half.
    score_low: Probability = 0.1
    thresholds: PerClass = (DEFAULT_THRESHOLD,) * len(CLASSES)  # in the order of CLASSES; the detector's own, see `at`

    # How detections scatter around the truth.
    position_sigma: Positive = 0.08  # of the centre, boxes
    size_sigma: Positive = 0.2  # of width and height, boxes
    pixel_sigma: Positive = 0.5  # added to both (in quadrature), pixels

    # How objects move: continuous white noise on the velocity (Bar-Shalom, Li, Kirubarajan 2001, section 6.2.2). The
    # size wanders without a rate: extrapolated over a miss, the scatter of a detector's boxes grows to absurd sizes.
    speed_sigma: Positive = 3.0  # of a new track, boxes a second
    speed_noise: Positive = 3.0  # change of velocity within one second, boxes a second
    size_noise: Positive = 0.04  # change of size within one second, boxes

    # Where a detection may belong to a track: squared Mahalanobis distance over centre and size, 4 degrees of freedom.
    gate: Positive = 25.0

    # Is there an object? (tracking.existence)
    p_detection: Probability = 0.95  # of an object that can be seen, in one look
    visible_s: Positive = 3.0  # mean time until it cannot be seen (hidden, against clutter, turned away)
    hidden_s: Positive = 0.5  # mean time until it can be seen again
    survival_s: Positive = 60.0  # mean time that an object stays
    clutter_per_look: Positive = 1.0  # mean number of false detections of even score, in one look
    # Held at its threshold a track is confirmed after some 0.4 s, a sure one within 0.1 s.
    clutter_s: Positive = 0.05  # half of all false detections stay in their place for no longer
    score_independent_s: Positive = 0.1  # scores of looks closer than this tell partly the same
    weak_spell_s: Positive = 1.0  # once confirmed, doubtful scores for no longer than about this tell little
    existence_at_birth: Probability = 0.5  # of a first detection of even score
    least_at_birth: Probability = 0.4  # a first detection that makes existence less likely begins no track
    birth_overlap: Probability = 0.5  # no birth on top of a detection already taken (intersection over union)

    # Life cycle.
    confirm_existence: Probability = 0.9
    delete_existence: Probability = 0.05
    coast_s: Positive = 2.0  # without any detection for longer than this a track ends

    # Which class? (tracking.classification)
    class_independent_s: Positive = 0.5  # looks closer than this tell partly the same
    class_memory_s: Positive = 10.0  # older evidence fades

    # Bounds. Beyond them the weakest detections are left out, and births refused; both are counted.
    max_tracks: Annotated[int, Field(ge=1, le=100_000)] = 1000
    max_detections: Annotated[int, Field(ge=1, le=100_000)] = 1000

    @classmethod
    def at(cls, thresholds: Mapping[str, float]) -> Self:
        """The defaults with a detector's operating thresholds per class; those of classes not named stay."""
        known = (thresholds.get(name, DEFAULT_THRESHOLD) for name in CLASSES)
        return cls(thresholds=tuple(min(max(value, SCORE_FLOOR), 1.0 - SCORE_FLOOR) for value in known))
