"""Claims (Remote ID, ADS-B, MAVLink) beside sightings: who says who it is, and whether what is seen bears it out.

A claim never moves a track: it may be a lie. Each claimed id is followed on its own and compared with the sighted
tracks. It attaches to the one it agrees with; it conflicts when that one is seen elsewhere, or when sensors look where
it claims to be and see nothing. A claim that is neither stands as a track marked as claim only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fusion import linear, rows
from fusion.geometry import FloatArray
from fusion.types import Identity, Measurement

_AGREEMENT_MEMORY_S = 2.0
_ATTACH_DISTANCE2, _DETACH_DISTANCE2 = 7.0, 25.0
_CLAIM_ACCEL2 = 9.0
_CLAIM_CALM_S = 20.0
_LEAST_SIGMA2 = 1.0  # m²: reports round, and their errors last
_START_SPEED2 = 400.0
_SILENT_S = 10.0


@dataclass(slots=True)
class Claim:
    """One claimed id: its own filtered state [6], [6, 6], and how it fares beside each sighted track."""

    claimed_id: str
    number: int
    sensor_id: str
    born_ns: int
    time_ns: int
    updated_ns: int
    mean: FloatArray
    covariance: FloatArray
    reports: int = 1
    distance2: dict[int, float] = field(default_factory=dict)
    attached: int | None = None
    apart_since_ns: int | None = None
    empty_since_ns: dict[str, int] = field(default_factory=dict)
    empty_last_ns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A confirmed sighted track to compare with."""

    number: int
    mean: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a claim: identity, score 0..1, reasons in words."""

    identity: Identity
    score: float
    evidence: tuple[str, ...]


def first_claim(report: Measurement, number: int, sensor_id: str, time_ns: int) -> Claim:
    """Follow a claimed id from its first report."""
    mean, cov = np.zeros(6), _START_SPEED2 * np.eye(6)
    d = len(report.z)
    mean[:d], cov[:d, :d] = report.z, _stated(report)
    return Claim(report.claimed_id or "", number, sensor_id, time_ns, time_ns, time_ns, mean, cov)


def carry(claim: Claim, time_ns: int) -> None:
    """Move the claim's state to a later time."""
    dt_s = (time_ns - claim.time_ns) * 1e-9
    if dt_s > 0.0:
        nothing = np.zeros((1, 0, 2, 2))
        x, p = rows.predict(
            claim.mean[None], claim.covariance[None], dt_s, np.array([_CLAIM_ACCEL2]), _CLAIM_CALM_S, 1.0, nothing
        )
        claim.mean, claim.covariance, claim.time_ns = x[0], p[0], time_ns


def hear(claim: Claim, report: Measurement, sensor_id: str, time_ns: int) -> None:
    """Take a further report of the same id."""
    carry(claim, time_ns)
    d = len(report.z)
    jacobian = np.zeros((1, d, 6))
    for k in range(d):
        jacobian[0, k, k] = 1.0
    x, p = claim.mean[None], claim.covariance[None]
    found = rows.innovation(x, p, x[:, :d], jacobian, None)
    low = linear.cholesky(found.spread + _stated(report))
    whitened = linear.solve_lower(low, (np.array(report.z) - found.z)[..., None])[..., 0]
    x, p = rows.update(x, p, found.gain, low, whitened)
    claim.mean, claim.covariance = x[0], p[0]
    claim.updated_ns, claim.sensor_id = time_ns, sensor_id
    claim.reports += 1


def compare(claim: Claim, sightings: list[Sighting], elapsed_s: float) -> None:
    """Follow how far each sighted track is from the claim, and attach or not."""
    rate = 1.0 - math.exp(-max(elapsed_s, 0.1) / _AGREEMENT_MEMORY_S)
    present = {s.number: _distance2(claim, s) for s in sightings}
    for number, distance2 in present.items():
        old = claim.distance2.get(number, distance2)
        claim.distance2[number] = old + rate * (min(distance2, 1e4) - old)
    claim.distance2 = {k: v for k, v in claim.distance2.items() if k in present}
    if claim.attached not in present:
        claim.attached = claim.apart_since_ns = None
    if claim.attached is None and claim.distance2 and claim.reports >= 3:
        best = min(claim.distance2, key=lambda k: (claim.distance2[k], k))
        if claim.distance2[best] < _ATTACH_DISTANCE2:
            claim.attached = best
    _note_apart(claim)


def _note_apart(claim: Claim) -> None:
    apart = claim.attached is not None and claim.distance2[claim.attached] > _DETACH_DISTANCE2
    if not apart:
        claim.apart_since_ns = None
    elif claim.apart_since_ns is None:
        claim.apart_since_ns = claim.updated_ns


def look(claim: Claim, sensor_id: str, time_ns: int, inside: bool, sighted: bool) -> None:
    """A sensor looked; `inside`: where the claim says it is; `sighted`: and saw something there."""
    if not inside or sighted or time_ns - claim.empty_last_ns.get(sensor_id, time_ns) > 2_000_000_000:
        claim.empty_since_ns.pop(sensor_id, None)
        claim.empty_last_ns.pop(sensor_id, None)
    if inside and not sighted:
        claim.empty_since_ns.setdefault(sensor_id, time_ns)
        claim.empty_last_ns[sensor_id] = time_ns


def judge(claim: Claim, sighting: Sighting | None, now_ns: int, patience_s: float) -> Verdict:
    """What evidence there is so far."""
    apart_ns = 0 if claim.apart_since_ns is None else now_ns - claim.apart_since_ns
    if sighting is not None and apart_ns > 0 and apart_ns * 1e-9 >= patience_s:
        gap = claim.mean[:3] - sighting.mean[:3]
        metres = math.sqrt(float(linear.total(gap * gap)))
        text = f"{claim.claimed_id} claims to be {metres:.0f} m from where it is seen"
        return Verdict(Identity.CONFLICTING, 0.05, (text,))
    empty = sorted(s for s, since in claim.empty_since_ns.items() if (now_ns - since) * 1e-9 >= patience_s)
    if claim.attached is None and empty:
        longest = max((now_ns - claim.empty_since_ns[s]) * 1e-9 for s in empty)
        names = " and ".join(empty)
        verb = "looks" if len(empty) == 1 else "look"
        text = f"{names} {verb} where {claim.claimed_id} claims to be and saw nothing for {longest:.1f} s"
        return Verdict(Identity.CONFLICTING, max(0.02, 0.2 ** len(empty)), (text,))
    if sighting is not None:
        apart = math.sqrt(claim.distance2[sighting.number])
        score = math.exp(-0.5 * max(claim.distance2[sighting.number] - 3.0, 0.0))
        text = f"{claim.claimed_id} claims to be where it is seen ({apart:.1f} standard deviations apart)"
        return Verdict(Identity.COOPERATIVE, max(score, 0.05), (text,))
    return Verdict(Identity.UNKNOWN, 0.5, (f"only the claim {claim.claimed_id} says so; no sensor looks there",))


def is_silent(claim: Claim, now_ns: int) -> bool:
    return (now_ns - claim.updated_ns) * 1e-9 > _SILENT_S


def _stated(report: Measurement) -> FloatArray:
    d = len(report.z)
    return np.array(report.covariance).reshape(d, d)


def _distance2(claim: Claim, sighting: Sighting) -> float:
    """Squared Mahalanobis distance of the positions, three degrees of freedom."""
    cov = claim.covariance[:3, :3] + sighting.covariance[:3, :3] + _LEAST_SIGMA2 * np.eye(3)
    gap = (claim.mean - sighting.mean)[:3]
    whitened = linear.solve_lower(linear.cholesky(cov), gap[:, None])[:, 0]
    return float(linear.total(whitened * whitened))
