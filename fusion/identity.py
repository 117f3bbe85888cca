"""Claims (Remote ID, ADS-B, MAVLink) beside sightings: who says who it is, and whether what is seen bears it out.

A claim never moves a track: it may be a lie. Each report of a claimed id is weighed against each sighted track, as a
likelihood ratio: this is the body that speaks, with all the errors an honest one may have (the receiver's, a height
that is metres off, a message that is late), against one that is some tens of metres away and says it is here. A track
of vague place explains both alike and so says little either way; a bird says nothing of itself. Errors last, so the
place counts once; that both turn alike counts again with each turn. Claims and tracks are then paired one to one, and
what does not fit is said: a body seen elsewhere, one id in two places, two ids on one body, and of a claim that no
track bears out, sensors that look there and see nothing and a body that turns wherever the claim turns. A claim that
nothing speaks for or against stands as a track marked as claim only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion import association, linear, spaces
from fusion.geometry import FloatArray
from fusion.types import NS, Identity, Measurement, Scan
from models.types import CLASSES

_CLAIM_ACCEL2 = 9.0
_CLAIM_CALM_S = 20.0
_START_SPEED2 = 400.0
_SILENT_S = 10.0
#: What honest reports may be off by, beside what they state: metres along each axis, seconds late.
_HONEST_SIGMA_M = (3.0, 3.0, 10.0)
_LATE_SIGMA_S, _TURN_RADPS = 1.5, 0.4
_HONEST_SPEED2 = 4.0  # variance of a velocity, (m/s)²
#: A track's variance may be so much too small: how all its sensors err together (as they were set up) no flight shows.
_DOUBT2 = 2.0**2
#: σ of how far from where it claims to be a body is that does not: the nearest lie that is worth telling from a truth.
_ELSEWHERE_M = 25.0
#: Evidence, in nats: bounds of what the place says, and of what one second of turning alike does.
_MOST_FOR, _MOST_AGAINST, _MOST_TURN = 3.0, 4.0, 1.0
_AGREES, _DISAGREES = 2.0, -2.0
_SURE_S = 3.0  # agreement that lasts so long is no chance meeting
_MEMORY_S = 2.0  # of what the place says, and of the squared distance that pairs claims with tracks
_TURN_MEMORY_S = 5.0
_LOYALTY = 6.0  # of that distance: a pair is not changed for less
_PAIRED = 1e5  # more pairs before nearer ones
#: One id in two places.
_FASTEST_MPS = 80.0
_PLACE_S, _PLACE_REPORTS = 6.0, 3
_JUMP_S = 20.0
#: A claim that moves as a track does, elsewhere: over how long that is judged, how long one turn takes, and nats a turn
#: may be worth: some do fly in formation.
_ALIKE_S, _ALIKE_TURN_S, _MOST_ALIKE = 10.0, 4.0, 3.0
#: Looks that see nothing where a claim says it is.
_LOOK_NS = NS // 2
_LONGEST_BETWEEN_LOOKS_S = 2.0
_FRESH_S = 3.0
_HIDDEN = 0.04  # probability that a body is hidden from one sensor for as long as it matters
_SEEN_GATE = 12.0
_TRUSTED_S = 30.0
_REFUTED = 3.0  # nats for a lie
_TELLING = 1.0  # nats from which on a reason is named
_NOT_BIRD = 1.0 - 1.0 / len(CLASSES)  # before anything is known of a body


@dataclass(slots=True)
class Likeness:
    """How a claim fares beside one track.

    Attributes:
        place, turns: nats for one body, of where both are and of how both turn, with short memories.
        distance2: squared distance in standard deviations, averaged.
        agrees_since_ns: when evidence for one body became clear; None once there is more against it.
        gap_m: [3] mean of claim minus track; apart_m2 its variance, travelled_m2 that of the track's place [3].
    """

    since_ns: int
    place: float
    distance2: float
    gap_m: list[float]
    place_m: list[float]
    turns: float = 0.0
    apart_m2: float = 0.0
    travelled_m2: float = 0.0
    agrees_since_ns: int | None = None

    @property
    def evidence(self) -> float:
        """Nats. Turning alike counts no more than the place does: a lie made of one's own place turns alike too."""
        return self.place + min(self.turns, max(self.place, 0.0))


@dataclass(slots=True)
class Place:
    """A second place from which an id is heard."""

    z: list[float]
    time_ns: int
    since_ns: int
    reports: int = 1


@dataclass(slots=True)
class Absence:
    """A sensor that looks where the claim says it is and sees nothing: since when, until when, and nats against there
    being a body at each of the places `around` the claim."""

    since_ns: int
    last_ns: int
    missed: list[float]


@dataclass(slots=True)
class Claim:
    """One claimed id: its own filtered state [6], [6, 6], what it says it is, and how it fares beside each track."""

    claimed_id: str
    number: int
    sensor_id: str
    born_ns: int
    time_ns: int
    updated_ns: int
    mean: FloatArray
    covariance: FloatArray
    label: str | None = None
    reports: int = 1
    likeness: dict[int, Likeness] = field(default_factory=dict)
    attached: int | None = None
    apart_since_ns: int | None = None
    agreed_ns: int | None = None
    absences: dict[str, Absence] = field(default_factory=dict)
    heard_by: dict[str, int] = field(default_factory=dict)
    other: Place | None = None
    jumped_ns: int | None = None
    jump_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A confirmed sighted track to compare with: rows [C, 6], covariances [C, 6, 6], weights [C], and how probably it
    is a bird."""

    number: int
    x: FloatArray
    p: FloatArray
    weight: FloatArray
    bird: float

    @property
    def mean(self) -> FloatArray:
        """[6]"""
        mean: FloatArray = linear.total(self.x.T * self.weight)
        return mean


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a claim: identity, score 0..1, reasons in words."""

    identity: Identity
    score: float
    evidence: tuple[str, ...]


# --- hearing ---------------------------------------------------------------------------------------------------------


def first_claim(
    report: Measurement, number: int, sensor_id: str, time_ns: int, sightings: Collection[Sighting] = ()
) -> Claim:
    """Follow a claimed id from its first report, weighed against the sighted tracks."""
    mean, cov = np.zeros(6), _START_SPEED2 * np.eye(6)
    d = len(report.z)
    mean[:d], cov[:d, :d] = report.z, _stated(report)
    claim = Claim(report.claimed_id or "", number, sensor_id, time_ns, time_ns, time_ns, mean, cov, report.label)
    claim.heard_by[sensor_id] = time_ns
    _weigh(claim, report, sightings, 0.0)
    return claim


def carry(claim: Claim, time_ns: int) -> None:
    """Move the claim's state to a later time."""
    dt_s = (time_ns - claim.time_ns) / NS
    if dt_s > 0.0:
        calm = math.exp(-dt_s / _CLAIM_CALM_S)
        move = np.diag([1.0] * 3 + [calm] * 3)
        move[:3, 3:] = _CLAIM_CALM_S * (1.0 - calm) * np.eye(3)
        claim.mean = linear.total(move * claim.mean)
        spread = linear.multiply(linear.multiply(move, claim.covariance), move.T) + _motion_noise(dt_s, calm)
        claim.covariance, claim.time_ns = 0.5 * (spread + spread.T), time_ns


def _motion_noise(dt_s: float, calm: float) -> FloatArray:
    """Covariance that white acceleration adds to velocities that fade (Stone et al. 2014, 3.2.2)."""
    lost, calm_s = 1.0 - calm, _CLAIM_CALM_S
    speed = 0.5 * calm_s * (1.0 - calm * calm)
    place = max(calm_s**2 * dt_s - 2.0 * calm_s**3 * lost + calm_s**2 * speed, 0.0)
    noise = np.diag([place] * 3 + [speed] * 3)
    noise[:3, 3:] = noise[3:, :3] = 0.5 * calm_s**2 * lost * lost * np.eye(3)
    return _CLAIM_ACCEL2 * noise


def hear(claim: Claim, report: Measurement, sensor_id: str, time_ns: int, sightings: Collection[Sighting]) -> None:
    """Take a further report of the same id, and weigh it against the sighted tracks.

    A report from where no aircraft could have come since the last is kept aside: it is a slip, another body with the
    same id, or, when nothing more is heard from the old place, a jump.
    """
    claim.heard_by[sensor_id] = time_ns
    if _is_of_the_other(claim, report, time_ns) or not _reachable(
        claim.mean, report, time_ns - claim.updated_ns, claim.covariance
    ):
        _hear_elsewhere(claim, report, sensor_id, time_ns)
        return
    elapsed_s = (time_ns - claim.updated_ns) / NS
    carry(claim, time_ns)
    _take(claim, report)
    claim.updated_ns, claim.sensor_id = time_ns, sensor_id
    claim.reports += 1
    _weigh(claim, report, sightings, elapsed_s)


def _take(claim: Claim, report: Measurement) -> None:
    """Kalman update; the covariance loses a sum of squares and stays symmetric."""
    d = len(report.z)
    low = linear.cholesky(claim.covariance[:d, :d] + _stated(report))
    white = linear.solve_lower(low, (np.array(report.z) - claim.mean[:d])[:, None])
    gain = linear.solve_lower(low, claim.covariance[:d])
    claim.mean = claim.mean + linear.multiply(gain.T, white)[:, 0]
    claim.covariance = claim.covariance - linear.multiply(gain.T, gain)


def _reachable(mean: FloatArray, report: Measurement, dt_ns: int, covariance: FloatArray) -> bool:
    """Whether an aircraft that was at `mean` [6] can be where the report says."""
    gap = np.array(report.z[:3]) - mean[:3]
    sigma2 = max(float(_stated(report)[k, k]) + float(covariance[k, k]) for k in range(3))
    most_m = 20.0 + _FASTEST_MPS * max(dt_ns, 0) / NS + 4.0 * math.sqrt(sigma2)
    return float(linear.total(gap * gap)) <= most_m * most_m


def _is_of_the_other(claim: Claim, report: Measurement, time_ns: int) -> bool:
    """Whether it comes from the second place where the id was heard lately, and not from the first."""
    other, here = claim.other, np.array(report.z[:3])
    if other is None or (time_ns - other.time_ns) / NS > _PLACE_S:
        return False
    first, second = here - claim.mean[:3], here - np.array(other.z)
    return bool(linear.total(second * second) < linear.total(first * first))


def _hear_elsewhere(claim: Claim, report: Measurement, sensor_id: str, time_ns: int) -> None:
    other = claim.other
    there = np.concatenate([np.array(report.z[:3]), np.zeros(3)])
    known = np.zeros((6, 6))
    if other is None or not _reachable(np.array([*other.z, 0, 0, 0]), report, time_ns - other.time_ns, known):
        claim.other = Place(there[:3].tolist(), time_ns, time_ns)
        return
    other.z, other.time_ns, other.reports = there[:3].tolist(), time_ns, other.reports + 1
    if other.reports >= _PLACE_REPORTS and claim.updated_ns < other.since_ns:
        _jump(claim, report, sensor_id, time_ns)


def _jump(claim: Claim, report: Measurement, sensor_id: str, time_ns: int) -> None:
    """The id is heard from the new place only: follow it there, and remember that it cannot have flown."""
    gap = np.array(report.z[:3]) - claim.mean[:3]
    fresh = first_claim(report, claim.number, sensor_id, time_ns)
    claim.mean, claim.covariance = fresh.mean, fresh.covariance
    claim.time_ns = claim.updated_ns = time_ns
    claim.jumped_ns, claim.jump_m = time_ns, math.sqrt(float(linear.total(gap * gap)))
    claim.other, claim.likeness, claim.absences = None, {}, {}
    claim.attached = claim.apart_since_ns = claim.agreed_ns = None


# --- weighing --------------------------------------------------------------------------------------------------------


def _weigh(claim: Claim, report: Measurement, sightings: Collection[Sighting], elapsed_s: float) -> None:
    elapsed_s = max(elapsed_s, 0.1)
    rate, slow = (1.0 - math.exp(-elapsed_s / memory_s) for memory_s in (_MEMORY_S, _ALIKE_S))
    kept: dict[int, Likeness] = {}
    for sighting in sightings:
        place, distance2 = _place_evidence(report, sighting)
        mean = sighting.mean.tolist()
        gap = [float(a) - b for a, b in zip(report.z[:3], mean[:3], strict=True)]
        known = claim.likeness.get(sighting.number)
        if known is None:
            known = Likeness(claim.updated_ns, place, distance2, gap, mean[:3])
        known.place += rate * (place - known.place)
        turn = min(elapsed_s, 1.0) * _turn_evidence(claim, sighting)
        known.turns = known.turns * math.exp(-elapsed_s / _TURN_MEMORY_S) + turn
        if known.evidence < 0.0:
            known.agrees_since_ns = None
        elif known.evidence > _AGREES and known.agrees_since_ns is None:
            known.agrees_since_ns = claim.updated_ns
        known.distance2 += rate * (distance2 - known.distance2)
        known.apart_m2 = _follow(known.gap_m, gap, known.apart_m2, slow)
        known.travelled_m2 = _follow(known.place_m, mean[:3], known.travelled_m2, slow)
        kept[sighting.number] = known
    claim.likeness = kept


def _place_evidence(report: Measurement, sighting: Sighting) -> tuple[float, float]:
    """Nats for the report being of the sighted body, and its least squared distance.

    Against a body that says it is here and is `_ELSEWHERE_M` away; and birds do not speak.
    """
    spread = _stated(report)[:3, :3] + _DOUBT2 * sighting.p[:, :3, :3] + _honest(sighting.x[:, 3:6])
    gap = np.array(report.z[:3]) - sighting.x[:, :3]
    here, distance2 = _log_density(gap, spread)
    there, _ = _log_density(gap, spread + _ELSEWHERE_M**2 * np.eye(3))
    ratio = min(_log_mean(here, sighting.weight) - _log_mean(there, sighting.weight), _MOST_FOR)
    ratio += math.log(max(1.0 - sighting.bird, 1e-6) / _NOT_BIRD)
    return max(ratio, -_MOST_AGAINST), min(float(distance2.min()), 1e4)


def _turn_evidence(claim: Claim, sighting: Sighting) -> float:
    """Nats for one body, of both velocities: against another that flies as fast in any level direction."""
    velocity = sighting.x[:, 3:6]
    speed2, claimed2 = linear.total(velocity * velocity), linear.total(claim.mean[3:6] * claim.mean[3:6])
    late2 = (_LATE_SIGMA_S * _TURN_RADPS) ** 2 * speed2 + _HONEST_SPEED2
    spread = claim.covariance[3:, 3:] + sighting.p[:, 3:6, 3:6] + _scaled(late2)
    gap = claim.mean[3:6] - velocity
    same, _ = _log_density(gap, spread)
    level = np.maximum(speed2, claimed2)[:, None, None] * np.diag([0.5, 0.5, 0.0])
    other, _ = _log_density(gap, spread + level)
    ratio = _log_mean(same, sighting.weight) - _log_mean(other, sighting.weight)
    return max(-_MOST_TURN, min(ratio, _MOST_TURN))


def _honest(velocity: FloatArray) -> FloatArray:
    """[..., 3, 3] covariance of what honest places may be off by at velocities [..., 3] m/s, late in a turn too."""
    late = _LATE_SIGMA_S**2 * velocity[..., :, None] * velocity[..., None, :]
    turned2 = (0.5 * _TURN_RADPS * _LATE_SIGMA_S**2) ** 2 * linear.total(velocity * velocity)
    return np.diag(np.square(_HONEST_SIGMA_M)) + late + _scaled(turned2)


def _scaled(variance: FloatArray) -> FloatArray:
    """[..., 3, 3] the same variance [...] along each axis."""
    return np.asarray(variance)[..., None, None] * np.eye(3)


def _log_density(gap: FloatArray, spread: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[C] logarithm of a Gaussian's density at gaps [C, 3], but for a constant, and the squared distances."""
    low = linear.cholesky(spread)
    white = linear.solve_lower(low, gap[..., None])[..., 0]
    distance2: FloatArray = linear.total(white * white)
    return -0.5 * (distance2 + linear.log_determinant(low)), distance2


def _log_mean(log_density: FloatArray, weight: FloatArray) -> float:
    top = float(log_density.max())
    return top + math.log(max(math.fsum((weight * np.exp(log_density - top)).tolist()), 1e-300))


def _follow(mean: list[float], value: list[float], variance: float, rate: float) -> float:
    """Move a mean (in place) towards a value; the variance around it, forgetting alike."""
    off = [v - m for v, m in zip(value, mean, strict=True)]
    for k in range(3):
        mean[k] += rate * off[k]
    return (1.0 - rate) * (variance + rate * math.fsum(v * v for v in off))


# --- pairing ---------------------------------------------------------------------------------------------------------


def pair(claims: Collection[Claim], present: Collection[int]) -> None:
    """Attach claims to tracks, the nearest first, one to one; a claim whose track is taken shares it.

    Args:
        present: numbers of the tracks there are.
    """
    for claim in claims:
        claim.likeness = {number: known for number, known in claim.likeness.items() if number in present}
        if claim.attached not in present:
            claim.attached = None
    offers = {claim.claimed_id: dict(_offers(claim)) for claim in claims}
    numbers = sorted({number for mine in offers.values() for number in mine})
    gain = np.array([[_PAIRED - mine.get(number, math.inf) for number in numbers] for mine in offers.values()])
    given = {row: numbers[column] for row, column in association.assign(gain)} if numbers else {}
    for row, claim in enumerate(claims):
        nearest = min(offers[claim.claimed_id].items(), key=lambda offer: (offer[1], offer[0]), default=(None, 0.0))[0]
        shares = nearest is not None and claim.likeness[nearest].evidence > _AGREES
        claim.attached = given.get(row, nearest if shares else None)
        _note(claim)


def _offers(claim: Claim) -> Iterator[tuple[int, float]]:
    """Tracks that a claim may belong to, with how far from it they are."""
    for number, known in claim.likeness.items():
        if number == claim.attached:
            yield number, known.distance2 - _LOYALTY
        elif known.evidence - _copies(claim, number, claim.updated_ns)[0] > _AGREES:
            yield number, known.distance2


def _note(claim: Claim) -> None:
    """Since when a claim is apart from its track, and when it last agreed."""
    if claim.attached is None:
        claim.apart_since_ns = None
        return
    claim.absences = {}
    evidence = claim.likeness[claim.attached].evidence
    if evidence >= _DISAGREES:
        claim.apart_since_ns = None
    elif claim.apart_since_ns is None:
        claim.apart_since_ns = claim.updated_ns
    if evidence > _AGREES:
        claim.agreed_ns = claim.updated_ns


# --- looking ---------------------------------------------------------------------------------------------------------


def is_worth_a_look(claim: Claim, now_ns: int) -> bool:
    """Whether silence of a sensor says anything: the claim is fresh, and not already known to be what is seen."""
    return (now_ns - claim.updated_ns) / NS < _FRESH_S and (claim.attached is None or claim.apart_since_ns is not None)


def around(claim: Claim) -> FloatArray:
    """States [8, 6] where the body may be if the claim is honest: off to either side along each axis and along its way.

    Of equal weight, they stand for all an honest claim may be off by: the points of a cubature rule of third degree
    (Arasaratnam and Haykin, IEEE TAC 54, 2009) in four dimensions, two standard deviations out.
    """
    sigma = np.sqrt(np.square(_HONEST_SIGMA_M) + np.minimum(np.diag(claim.covariance)[:3], 100.0))
    off = 2.0 * np.concatenate([np.diag(sigma), _LATE_SIGMA_S * claim.mean[None, 3:6]])
    off = np.concatenate([off, np.zeros_like(off)], axis=1)
    return np.concatenate([claim.mean + off, claim.mean - off])


def is_seen(claim: Claim, scan: Scan, owners: Mapping[int, int]) -> bool:
    """Whether a report of the scan may be of the body that claims.

    Args:
        owners: numbers of the tracks that reports of the scan belong to, by the reports' places in it.
    """
    if not scan.measurements:
        return False
    wave = scan.measurements[0].propagation_mps
    there = spaces.predict(scan.space, claim.mean[None], scan.pose, scan.camera, propagation_mps=wave)
    if not bool(there.valid[0]):
        return False
    honest = np.zeros((6, 6))
    honest[:3, :3] = _honest(claim.mean[3:6])
    jacobian = there.jacobian[0]
    spread = linear.multiply(linear.multiply(jacobian, claim.covariance + honest), linear.transpose(jacobian))
    d = len(spread)
    for m, report in enumerate(scan.measurements):
        owner = claim.likeness.get(owners.get(m, 0))
        if owner is not None and owner.place < _DISAGREES:
            continue  # it is of a body that is somewhere else
        low = linear.cholesky(spread + np.array(report.covariance).reshape(d, d))
        missed = spaces.residual(scan.space, np.array([report.z]), there.z)[0]
        white = linear.solve_lower(low, missed[:, None])[:, 0]
        if float(linear.total(white * white)) < _SEEN_GATE:
            return True
    return False


def look(claim: Claim, scan: Scan, inside: NDArray[np.bool_], seen: bool) -> None:
    """A sensor looked; `inside` [8]: at which of the places `around` the claim; `seen`: and saw something there."""
    old = claim.absences.get(scan.sensor_id)
    if seen or (old is not None and (scan.time_ns - old.last_ns) / NS > _LONGEST_BETWEEN_LOOKS_S):
        claim.absences.pop(scan.sensor_id, None)
        old = None
    if seen or scan.coverage is None or not bool(inside.any()):
        return
    if old is None:
        old = claim.absences[scan.sensor_id] = Absence(scan.time_ns, scan.time_ns - _LOOK_NS, [0.0] * len(inside))
    share = min((scan.time_ns - old.last_ns) / _LOOK_NS, 1.0)
    missed = -share * math.log(1.0 - scan.coverage.detection_probability)
    old.missed = [m + missed * bool(i) for m, i in zip(old.missed, inside, strict=True)]
    old.last_ns = scan.time_ns


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(
    claim: Claim, sighting: Sighting | None, now_ns: int, patience_s: float, sharing: Collection[Claim] = ()
) -> Verdict:
    """What evidence there is so far.

    Args:
        sighting: the track it is attached to, if any.
        sharing: other claims attached to the same track.
    """
    against = sorted(_against(claim, sighting, now_ns, patience_s, sharing))
    if against:
        return Verdict(Identity.CONFLICTING, against[0][0], tuple(text for _, text in against))
    if sighting is not None and _is_sure(claim, sighting):
        return Verdict(Identity.COOPERATIVE, _odds(claim, sighting), tuple(_agreement(claim, sighting, sharing)))
    if sighting is not None and claim.apart_since_ns is None:
        text = f"{claim.claimed_id} claims to be where it is seen, for too short a time to tell"
    elif sighting is not None:
        text = f"{claim.claimed_id} begins to claim another place than where it is seen"
    elif claim.agreed_ns is not None and (now_ns - claim.agreed_ns) / NS < _TRUSTED_S:
        ago_s = (now_ns - claim.agreed_ns) / NS
        text = f"only the claim {claim.claimed_id} says so; until {ago_s:.0f} s ago it was seen where it claimed to be"
    else:
        text = f"only the claim {claim.claimed_id} says so; no sensor looks there"
        if claim.absences:
            text = f"only the claim {claim.claimed_id} says so; nothing is seen there yet"
    return Verdict(Identity.UNKNOWN, 0.5, (text,))


def _is_sure(claim: Claim, sighting: Sighting) -> bool:
    since_ns = claim.likeness[sighting.number].agrees_since_ns
    return since_ns is not None and (claim.updated_ns - since_ns) / NS >= _SURE_S


def _against(
    claim: Claim, sighting: Sighting | None, now_ns: int, patience_s: float, sharing: Collection[Claim]
) -> Iterator[tuple[float, str]]:
    """What speaks against the claim: how well it can still be true, 0..1, and in words."""
    yield from _two_places(claim, now_ns)
    if sighting is not None and claim.apart_since_ns is not None:
        apart_s = (now_ns - claim.apart_since_ns) / NS
        if apart_s >= patience_s:
            metres = _metres(claim.likeness[sighting.number].gap_m)
            yield 0.05, f"{claim.claimed_id} claims to be {metres:.0f} m from where it is seen"
    borne_out = 0.0
    if sighting is not None:
        yield from _same_name_twice(claim, sharing)
        borne_out = max(claim.likeness[sighting.number].evidence, 0.0)
    yield from _refuted(claim, now_ns, patience_s, borne_out)


def _two_places(claim: Claim, now_ns: int) -> Iterator[tuple[float, str]]:
    other = claim.other
    both = other is not None and other.reports >= _PLACE_REPORTS and (now_ns - other.time_ns) / NS < _PLACE_S
    if other is not None and both:
        metres = _metres([a - float(b) for a, b in zip(other.z, claim.mean[:3], strict=True)])
        yield 0.02, f"{claim.claimed_id} is heard from two places {metres:.0f} m apart at once"
    if claim.jumped_ns is not None and (now_ns - claim.jumped_ns) / NS < _JUMP_S:
        yield 0.1, f"{claim.claimed_id} claims to have moved {claim.jump_m:.0f} m at once"


def _same_name_twice(claim: Claim, sharing: Collection[Claim]) -> Iterator[tuple[float, str]]:
    """Ids that one receiver hears are of one kind, and a body has one of each kind."""
    rivals = sorted(c.claimed_id for c in sharing if c.apart_since_ns is None and c.heard_by.keys() & claim.heard_by)
    if rivals:
        yield 0.2, f"{' and '.join([claim.claimed_id, *rivals])} all claim to be the one body seen here"


def _refuted(claim: Claim, now_ns: int, patience_s: float, borne_out: float) -> Iterator[tuple[float, str]]:
    """What sensors do not see where it claims to be, and the bodies whose way it seems to copy, together.

    Args:
        borne_out: nats for the track it is attached to being its body. A ghost of vague place washes no liar white.
    """
    reasons = sorted([_absent(claim, now_ns, patience_s), _mirrored(claim, now_ns)], reverse=True)
    nats = math.fsum(each[0] for each in reasons) - borne_out
    if nats >= _REFUTED:
        yield from ((1.0 / (1.0 + math.exp(nats)), text) for each, text in reasons if each >= _TELLING)


def _absent(claim: Claim, now_ns: int, patience_s: float) -> tuple[float, str]:
    """Nats against an honest claim, of the sensors that look there and have seen nothing for a while, and in words.

    An honest one is off by what it was off by before, so the places around it are each judged over all looks.
    """
    if claim.agreed_ns is not None and (now_ns - claim.agreed_ns) / NS < _TRUSTED_S:
        return 0.0, ""  # what hides a body from a sensor for a while is no lie
    empty = {
        name: absence
        for name, absence in sorted(claim.absences.items())
        if (absence.last_ns - absence.since_ns) / NS >= patience_s
    }
    if not empty:
        return 0.0, ""
    unseen = [_HIDDEN + (1.0 - _HIDDEN) * np.exp(-np.array(each.missed)) for each in empty.values()]
    nats = -math.log(math.fsum(np.prod(unseen, axis=0).tolist()) / len(unseen[0]))
    longest = max((a.last_ns - a.since_ns) / NS for a in empty.values())
    verb = "looks" if len(empty) == 1 else "look"
    return (
        nats,
        f"{' and '.join(empty)} {verb} where {claim.claimed_id} claims to be and saw nothing for {longest:.1f} s",
    )


def _mirrored(claim: Claim, now_ns: int) -> tuple[float, str]:
    """Nats against an honest claim, of turning where a body turns that is elsewhere, and in words.

    Two bodies that fly by themselves come apart as far as both travel; each turn in which they do not is a witness.
    """
    nats, metres = _copies(claim, claim.attached, now_ns)
    return nats, f"{claim.claimed_id} claims to move as a body does that is seen {metres:.0f} m away"


def _copies(claim: Claim, own: int | None, now_ns: int) -> tuple[float, float]:
    """Nats for the claim being made of another body's way than that of track `own`, and how far off that body is, m."""
    others = [known for number, known in claim.likeness.items() if number != own]
    return max(((_copied(known, now_ns), _metres(known.gap_m)) for known in others), default=(0.0, 0.0))


def _copied(known: Likeness, now_ns: int) -> float:
    if known.place > _DISAGREES:
        return 0.0
    turns = min((now_ns - known.since_ns) / NS, _ALIKE_S) / _ALIKE_TURN_S
    alike = math.log(max(2.0 * known.travelled_m2, 1e-6) / max(known.apart_m2, 1e-6)) - 1.0
    return turns * max(0.0, min(alike, _MOST_ALIKE))


def _odds(claim: Claim, sighting: Sighting) -> float:
    return 1.0 / (1.0 + math.exp(-claim.likeness[sighting.number].evidence))


def _agreement(claim: Claim, sighting: Sighting, sharing: Collection[Claim]) -> Iterator[str]:
    metres = _metres(claim.likeness[sighting.number].gap_m)
    yield f"{claim.claimed_id} claims to be where it is seen ({metres:.0f} m apart)"
    also = sorted(c.claimed_id for c in sharing if c.apart_since_ns is None)
    if also:
        yield f"it also calls itself {' and '.join(also)}"


def is_silent(claim: Claim, now_ns: int) -> bool:
    return (now_ns - claim.updated_ns) / NS > _SILENT_S


# --- as plain values -------------------------------------------------------------------------------------------------


def claim_of(stored: dict[str, Any]) -> Claim:
    """A claim from what `dataclasses.asdict` and JSON made of it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none.
    """
    changed = {
        "likeness": {int(number): Likeness(**known) for number, known in stored["likeness"].items()},
        "absences": {name: Absence(**each) for name, each in stored["absences"].items()},
        "other": None if stored["other"] is None else Place(**stored["other"]),
        "mean": np.array(stored["mean"]),
        "covariance": np.array(stored["covariance"]),
    }
    return Claim(**{**stored, **changed})


def _metres(vector: list[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in vector))


def _stated(report: Measurement) -> FloatArray:
    d = len(report.z)
    return np.array(report.covariance).reshape(d, d)
