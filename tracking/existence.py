"""Is there an object behind a track? Bayes over three cases: there and to be seen, there but hidden, or not there.

This is integrated probabilistic data association with "Markov chain two" (Musicki, Evans, Stankovic, *Integrated
Probabilistic Data Association*, IEEE Trans. Automatic Control 39(6), 1994), its chain in continuous time. Misses of a
real detector come in runs: an object against a tree is missed in every frame. With the hidden case a run of misses
costs belief per *second*, not per frame, so the same settings serve 5 and 100 frames a second; and the longer a track
has been seen, the longer it is believed in while hidden.

Arrays are float64 [N]; `visible + hidden` is the existence probability, what is missing to 1 is "no object".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking.elementary import exp

Array = NDArray[np.float64]


class Existence(NamedTuple):
    """Probability that the object is there and visible, and that it is there and hidden; both [N]."""

    visible: Array
    hidden: Array

    @property
    def total(self) -> Array:
        return self.visible + self.hidden


def predict(belief: Existence, dt_s: float, *, visible_s: float, hidden_s: float, survival_s: float) -> Existence:
    """Belief `dt_s` later; objects hide after `visible_s`, show after `hidden_s`, leave after `survival_s` (means)."""
    settled = visible_s / (visible_s + hidden_s)  # share of time visible
    mixing = exp(-min(dt_s * (1.0 / visible_s + 1.0 / hidden_s), 700.0))
    survival = exp(-min(dt_s / survival_s, 700.0))
    total = belief.total
    visible = settled * total + mixing * (belief.visible - settled * total)
    return Existence(survival * visible, survival * (total - visible))


def after_look(belief: Existence, p_detection: Array, ratio: Array) -> Existence:
    """Belief after one look.

    Args:
        p_detection: probability that this look would detect a visible object; 0 outside the picture.
        ratio: how many times likelier the assigned detection is from this object than clutter; 0 where there is none.
    """
    weighed = belief.visible * ((1.0 - p_detection) + p_detection * ratio)
    absent = np.maximum(1.0 - belief.total, 0.0)
    normaliser = weighed + belief.hidden + absent
    return Existence(weighed / normaliser, belief.hidden / normaliser)


def evidence(
    place: Array, odds: Array, since_s: Array, age_s: Array, *, clutter_s: float, independent_s: Array | float
) -> Array:
    """How many times likelier an assigned detection is from the object than clutter, [N], given those before it.

    Looks follow each other closer than the world changes. What was taken for an object a moment ago, the top of a tree,
    is so taken again in the same place and with much the same score: being there again tells little, and what the
    score tells is told once, not once a look. So clutter is either new, anywhere in the picture, or still there:

        place / ((1 - still) + still · place) · ((1 - fresh) + fresh · odds)

    Clutter comes in many kinds with many lengths of stay, so that what has lasted will last: it stays for longer than t
    with probability 1 / (1 + t / clutter_s).

    Args:
        place: how many times likelier its place and size are from the object than from new clutter.
        odds: the same for its score.
        since_s: time since the track's last detection, s.
        age_s: from its first to its last detection, s.
        clutter_s: time within which half of all clutter goes; still = (clutter + age) / (clutter + age + since).
        independent_s: fresh = since / independent, 1 at most.
    """
    lasted = clutter_s + age_s
    still = lasted / (lasted + since_s)
    fresh = np.minimum(since_s / independent_s, 1.0)
    return np.asarray(place / (1.0 + still * (place - 1.0)) * (1.0 + fresh * (odds - 1.0)))


def gain(belief: Existence, p_detection: float) -> Array:
    """g so that the scene is g · ratio times likelier with a detection assigned to the track than with it missed.

    The assignment that maximises the product over all tracks is the likeliest joint one; a detection for which it is
    below 1 is likelier clutter.
    """
    seen = belief.visible * p_detection
    return seen / (1.0 - seen)
