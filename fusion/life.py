"""What the engine keeps of one target besides its rows: life, class, cameras, claims."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

from fusion.settings import FusionSettings
from models.types import CLASSES
from tracking.types import Status

_MOST_LOG_ODDS = 14.0
_LEAST_LOG_CLASS = -12.0
MOST_LOG_RATIO = 6.0  # of one report, for or against
_LATE_NS = 1_000_000_000
#: An ambiguous crossing of rays waits this long, and so does a ray that may cross another before it counts as a track.
PATIENCE_NS = 1_000_000_000
_LABEL_LEAST, _LABEL_MOST = 0.1, 0.95


@dataclass(slots=True)
class Slot:
    """A camera whose slow error the target carries, with its last look, how fast the target moved in its picture (px/s)
    and how much larger the slow error is there than in the middle (a factor of σ)."""

    sensor_id: str
    seen_ns: int
    image_speed: tuple[float, float] = (0.0, 0.0)
    edge: float = 1.0


@dataclass(slots=True)
class Ray:
    """A camera's last direction to a target of unknown range: origin and unit vector in ENU, σ rad, apparent size."""

    sensor_id: str
    time_ns: int
    origin_m: tuple[float, float, float]
    direction: tuple[float, float, float]
    sigma_rad: float
    size_rad: float | None


@dataclass(slots=True)
class Target:
    """Mutable record of one target inside the engine; what others see is `fusion.types.Track`."""

    number: int
    born_ns: int
    updated_ns: int
    log_odds: float
    status: Status = Status.TENTATIVE
    ray: Ray | None = None  # while only one camera knows it
    slots: list[Slot | None] = field(default_factory=list)
    log_class: list[float] = field(default_factory=lambda: [0.0] * len(CLASSES))
    labelled_ns: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    source_tracks: dict[str, str] = field(default_factory=dict)  # each sensor's own track that it last was
    looked: dict[str, int] = field(default_factory=dict)
    hits: int = 1
    misses: int = 0
    near_since_ns: dict[int, int] = field(default_factory=dict)
    awaits_s: float = 0.0  # a report of the sensor that saw it last may take so long
    crossed: bool = False  # its ray has met rays of other sensors: it may be seen from there too
    shadowed: int = 0  # looks in which its sensor had one report for it and for a target of known place
    eye: tuple[str, tuple[float, float, float]] | None = None  # the last sensor that gave a direction, and its place

    @property
    def existence(self) -> float:
        return 1.0 / (1.0 + math.exp(-self.log_odds))

    def is_lone(self, now_ns: int) -> bool:
        """Whether at most one sensor has followed it of late."""
        if self.ray is not None:
            return True
        return not self.seen_by(2, now_ns - _LATE_NS)

    def seen_by(self, sensors: int, since_ns: int) -> bool:
        """Whether so many sensors or more have seen it since then."""
        for when in self.seen.values():
            if when > since_ns:
                sensors -= 1
                if not sensors:
                    return True
        return False

    def is_ranged(self) -> bool:
        """Whether anything but one sensor's bearings has told of it."""
        return self.ray is None or any(name != self.ray.sensor_id for name in self.seen)

    def slot_of(self, sensor_id: str) -> int | None:
        for k, slot in enumerate(self.slots):
            if slot is not None and slot.sensor_id == sensor_id:
                return k
        return None

    def slot_to_give(self) -> int:
        """The empty slot, or the one of the camera longest unseen."""
        return min(range(len(self.slots)), key=lambda k: (-1 if (s := self.slots[k]) is None else s.seen_ns, k))


def class_probabilities(target: Target) -> tuple[float, ...]:
    """Posterior of the classes under a flat prior."""
    return _posterior(tuple(target.log_class))


@lru_cache(maxsize=4096)
def _posterior(log_class: tuple[float, ...]) -> tuple[float, ...]:
    top = max(log_class)
    mass = [math.exp(v - top) for v in log_class]
    whole = math.fsum(mass)
    return tuple(m / whole for m in mass)


def hear_label(target: Target, sensor_id: str, label: str | None, score: float, time_ns: int, look_s: float) -> None:
    """Bayes over sensors: a label seen in quick succession by one sensor counts once per `look_s`."""
    if label not in CLASSES:
        return
    share = _fresh_share(target.labelled_ns, sensor_id, time_ns, look_s)
    if share < 0.1:
        return
    target.labelled_ns[sensor_id] = time_ns
    hit = min(max(score, _LABEL_LEAST), _LABEL_MOST)
    more, less = share * math.log(hit), share * math.log((1.0 - hit) / (len(CLASSES) - 1))
    for k, name in enumerate(CLASSES):
        target.log_class[k] += more if name == label else less
    top = max(target.log_class)
    target.log_class = [max(v - top, _LEAST_LOG_CLASS) for v in target.log_class]


def hit(target: Target, sensor_id: str, time_ns: int, log_ratio: float, look_s: float, vetted: bool) -> None:
    """A report was used: existence by its likelihood ratio against clutter.

    What is false lasts too (the edge of a cloud, an echo): it may be what this sensor took for the target before, and
    then one more report of it says nothing. After `look_s` that has become improbable.

    Args:
        vetted: what lasts has been looked into already, by the sensor's own tracker.
    """
    last_ns = target.seen.get(sensor_id)
    lasts = 0.0 if last_ns is None or vetted else math.exp(-max(time_ns - last_ns, 0) * 1e-9 / look_s)
    ratio = max(-MOST_LOG_RATIO, min(log_ratio, MOST_LOG_RATIO))
    by_chance = lasts + (1.0 - lasts) * math.exp(-ratio)
    target.log_odds = _bounded(target.log_odds - math.log(by_chance))
    target.updated_ns, target.seen[sensor_id], target.looked[sensor_id] = time_ns, time_ns, time_ns
    target.hits += 1
    target.misses = 0


def miss(target: Target, sensor_id: str, time_ns: int, probability: float, look_s: float) -> None:
    """A sensor looked where the target is and saw nothing. Looks in quick succession are one look: what hides a drone
    from a camera (a tree, the sun) hides it from the next frame too."""
    share = _fresh_share(target.looked, sensor_id, time_ns, look_s)
    target.looked[sensor_id] = time_ns
    target.log_odds = _bounded(target.log_odds + share * math.log(1.0 - probability))
    target.misses += 1


def age(target: Target, dt_s: float, mean_life_s: float) -> None:
    """Existence fades while nobody looks: drones land and leave."""
    gone = target.existence * math.exp(-dt_s / mean_life_s)
    target.log_odds = min(math.log(gone / max(1.0 - gone, 1e-12)), _MOST_LOG_ODDS) if gone > 0.0 else -_MOST_LOG_ODDS


def next_status(target: Target, now_ns: int, settings: FusionSettings) -> Status:
    """The life of a track, as a table:

    tentative → confirmed: existence ≥ confirm and three reports, and no crossing to wait for; → deleted: silent
    tentative_s
    confirmed → coasting: silent coast_s; coasting → confirmed: a report; either → deleted: existence < delete or lost_s
    """
    silent_s = (now_ns - target.updated_ns) * 1e-9
    if target.status is Status.TENTATIVE:
        # Not by existence: it begins at 0.1, and one look of a camera that misses it would end it before the sensor
        # that reports it, five times a second say, speaks again: each report would begin another, and end so.
        if silent_s > max(settings.tentative_s, target.awaits_s):
            return Status.DELETED
        waits = target.ray is not None and target.crossed and now_ns - target.born_ns < PATIENCE_NS
        sure = target.log_odds >= _logit(settings.confirm) and target.hits >= 3 and not waits
        return Status.CONFIRMED if sure else Status.TENTATIVE
    if target.log_odds < _logit(settings.delete) or silent_s > settings.lost_s:
        return Status.DELETED
    return Status.COASTING if silent_s > settings.coast_s else Status.CONFIRMED


def _bounded(log_odds: float) -> float:
    return max(-_MOST_LOG_ODDS, min(log_odds, _MOST_LOG_ODDS))


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _fresh_share(when: dict[str, int], sensor_id: str, time_ns: int, look_s: float) -> float:
    last = when.get(sensor_id)
    return 1.0 if last is None else min(1.0, max(0.0, (time_ns - last) * 1e-9 / look_s))


def absorb(keep: Target, drop: Target) -> None:
    """`keep` takes over what `drop` knew: they were one."""
    keep.log_odds = max(keep.log_odds, drop.log_odds)
    keep.updated_ns, keep.born_ns = max(keep.updated_ns, drop.updated_ns), min(keep.born_ns, drop.born_ns)
    keep.hits += drop.hits
    for mine, theirs in ((keep.seen, drop.seen), (keep.looked, drop.looked), (keep.labelled_ns, drop.labelled_ns)):
        for sensor_id, when in theirs.items():
            mine[sensor_id] = max(when, mine.get(sensor_id, when))
    keep.log_class = [max(a + b, _LEAST_LOG_CLASS) for a, b in zip(keep.log_class, drop.log_class, strict=True)]
    if keep.status is Status.TENTATIVE:
        keep.status = drop.status
