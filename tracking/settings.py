"""What an operator may tune in the tracker: seconds, pixels and box sizes, never frames.

Every spread is a standard deviation ("sigma"). A *box* as unit of length is the geometric mean of the track's own width
and height, so that one setting serves a drone of 9 px and a helicopter of 300 px.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class TrackerSettings(BaseModel):
    """Frozen and checked; each group says its unit. The defaults were chosen on `train` and `val`, never on `test`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Which detections take part: first those at or above `score_high`, then, for tracks still without one, the rest.
    score_low: Probability = 0.1
    score_high: Probability = 0.45
    #: The score at which a detection is as likely to be false as true.
    score_even: Probability = 0.3

    # How detections scatter around the truth.
    position_sigma: Positive = 0.08  # of the centre, boxes
    size_sigma: Positive = 0.2  # of width and height, boxes
    pixel_sigma: Positive = 0.5  # added to both (in quadrature), pixels

    # How objects move: continuous white noise on the velocity (Bar-Shalom, Li, Kirubarajan 2001, section 6.2.2).
    speed_sigma: Positive = 3.0  # of a new track, boxes a second
    growth_sigma: Positive = 0.3  # the same for the size
    speed_noise: Positive = 3.0  # change of velocity within one second, boxes a second
    growth_noise: Positive = 0.3  # the same for the size

    # Where a detection may belong to a track: squared Mahalanobis distance over centre and size, 4 degrees of freedom.
    gate: Positive = 25.0

    # Is there an object? (tracking.existence)
    p_detection: Probability = 0.95  # of an object that can be seen, in one look
    visible_s: Positive = 3.0  # mean time until it cannot be seen (hidden, against clutter, turned away)
    hidden_s: Positive = 0.5  # mean time until it can be seen again
    survival_s: Positive = 60.0  # mean time that an object stays
    clutter_per_look: Positive = 1.0  # mean number of false detections of even score, in one look
    existence_at_birth: Probability = 0.1  # of a first detection of even score
    birth_overlap: Probability = 0.5  # no birth on top of a detection already taken (intersection over union)

    # Life cycle.
    confirm_existence: Probability = 0.9
    delete_existence: Probability = 0.05
    coast_s: Positive = 2.0  # without any detection for longer than this a track ends

    # Which class? (tracking.classification)
    class_independent_s: Positive = 0.2  # looks closer than this tell partly the same
    class_memory_s: Positive = 10.0  # older evidence fades

    # Bounds. Beyond them the weakest detections are left out, and births refused; both are counted.
    max_tracks: Annotated[int, Field(ge=1, le=100_000)] = 1000
    max_detections: Annotated[int, Field(ge=1, le=100_000)] = 1000
