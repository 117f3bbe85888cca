"""One scan against all targets: what should be seen, what is whose, the update, and what it says about the camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion import association, initiation, life, linear, noise, refinement, rows, spaces
from fusion.association import Pairs
from fusion.geometry import FloatArray
from fusion.life import Slot, Target
from fusion.population import Population
from fusion.types import Measurement, Scan, Space
from tracking.types import Status

_PLACES = (Space.POSITION, Space.POSITION_VELOCITY)
DIRECTIONS = (Space.PIXEL, Space.BEARING)
_BEARINGS = (Space.PIXEL, Space.BEARING, Space.AZIMUTH)
_RECENT_NS = 500_000_000
_ITERATIONS = 3
_SILENT = (0.0, 0.0)
#: Iterate where σ of the place is over a twentieth of the distance to the sensor.
_WIDE2 = 0.05**2


class Look(NamedTuple):
    """One scan against all rows and targets. R rows, T targets, M reports of dimension d.

    Attributes:
        slot: [R] camera slot of each row; None for sensors whose slow error is not modelled.
        delay_s: how late the sensor stamps.
        z, noise: reports [M, d] and their white covariance [M, d, d].
        innovation, jacobian: what each row predicts; `predicted` without the slow error.
        distance2, log_likelihood: [T, M] best squared distance and mixture likelihood of each target.
        inside: [T] the sensor would see the target.
    """

    scan: Scan
    slot: NDArray[np.intp] | None
    delay_s: float
    z: FloatArray
    noise: FloatArray
    innovation: rows.Innovation
    jacobian: FloatArray
    predicted: FloatArray
    valid: NDArray[np.bool_]
    pairs: Pairs
    distance2: FloatArray
    log_likelihood: FloatArray
    inside: NDArray[np.bool_]


def look_at(population: Population, scan: Scan) -> Look:
    """Predict what the scan's sensor should report of every row, and score every report against it."""
    delay_s = population.noise(scan).clock_s if scan.space is Space.PIXEL else 0.0
    predicted = _predict(scan, population.x, delay_s)
    inside = _inside(scan, population.x, predicted)
    slot = _slots(population, scan, inside) if scan.space is Space.PIXEL else None
    innovation = rows.innovation(population.x, population.p, predicted.z, predicted.jacobian, slot)
    z, r = _reports(population, scan)
    residual = spaces.residual(scan.space, z[None], innovation.z[:, None])
    valid = predicted.valid & _listening(population, scan)
    pairs = association.pair(residual, innovation.spread, r, valid)
    return Look(
        scan,
        slot,
        delay_s,
        z,
        r,
        innovation,
        predicted.jacobian,
        predicted.z,
        valid,
        pairs,
        np.minimum.reduceat(pairs.distance2, population.starts, axis=0),
        association.mixture(pairs.log_likelihood, population.log_weight, population.starts),
        np.logical_or.reduceat(inside & valid, population.starts),
    )


def _predict(scan: Scan, x: FloatArray, delay_s: float) -> spaces.Prediction:
    wave = next((m.propagation_mps for m in scan.measurements if m.propagation_mps), None)
    return spaces.predict(
        scan.space, x[:, : rows.KINEMATIC], scan.pose, scan.camera, propagation_mps=wave, delay_s=delay_s
    )


def _reports(population: Population, scan: Scan) -> tuple[FloatArray, FloatArray]:
    d = spaces.DIMENSION[scan.space]
    z = np.array([m.z for m in scan.measurements]).reshape(-1, d)
    r = np.array([m.covariance for m in scan.measurements]).reshape(-1, d, d)
    if scan.space is Space.PIXEL:
        r = r + population.noise(scan).white2 * np.eye(2)
    return z, r


def _listening(population: Population, scan: Scan) -> NDArray[np.bool_]:
    """Rows a sensor may update: a bank of ranges hears only the sensor that started it, and positions."""
    if scan.space in _PLACES:
        return np.ones(len(population.x), dtype=bool)
    own = [t.ray is None or t.ray.sensor_id == scan.sensor_id for t in population.targets]
    return np.repeat(np.array(own, dtype=bool), population.lengths)


def _inside(scan: Scan, x: FloatArray, predicted: spaces.Prediction) -> NDArray[np.bool_]:
    """[R] rows where the sensor would see a drone."""
    inside = predicted.valid
    if scan.camera is not None:
        inside = inside & scan.camera.sees(predicted.z)
    if scan.coverage is None:
        return inside
    away = x[:, :3] - np.array(scan.pose.position_m)
    return inside & (linear.total(away * away) < scan.coverage.max_range_m**2)


def covers(scan: Scan, means: FloatArray) -> NDArray[np.bool_]:
    """[K] whether the scan's sensor looks where `means` [K, 6] are, so that silence there means something."""
    if scan.coverage is None:
        return np.zeros(len(means), dtype=bool)
    return _inside(scan, means, _predict(scan, means, 0.0))


def field_sr(scan: Scan) -> float:
    """Solid angle over which a sensor of directions strews its reports, steradians."""
    if scan.camera is None:
        return 2.0 * math.pi
    return scan.camera.width * scan.camera.height / (scan.camera.fx * scan.camera.fy)


# --- slots: a target carries the slow error of each camera that sees it ----------------------------------------------


def _slots(population: Population, scan: Scan, inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """[R] slot of this camera in each row; targets in its picture that have none are given one."""
    slots, opened = np.zeros(len(population), dtype=np.intp), []
    seen = np.logical_or.reduceat(inside, population.starts).tolist()
    for t, target in enumerate(population.targets):
        k = target.slot_of(scan.sensor_id)
        if k is None:
            k = target.slot_to_give()
            if seen[t] or target.slots[k] is None:
                target.slots[k] = Slot(scan.sensor_id, scan.time_ns)
                opened.append(t)
        slots[t] = k
    if opened:
        _open_slots(population, np.isin(np.arange(len(slots)), opened), slots, scan)
    return np.repeat(slots, population.lengths)


def _open_slots(population: Population, opened: NDArray[np.bool_], slots: NDArray[np.intp], scan: Scan) -> None:
    """Forget what those slots of the `opened` targets held and begin this camera's slow error there at its prior."""
    mine = np.flatnonzero(np.repeat(opened, population.lengths))
    columns = rows.KINEMATIC + 2 * np.repeat(slots, population.lengths)[mine, None] + np.arange(2)
    prior = np.array(population.noise(scan).slow_covariance((0.0, 0.0), 1.0)).reshape(2, 2)
    population.x[mine[:, None], columns] = 0.0
    population.p[mine[:, None], columns, :] = 0.0
    population.p[mine[:, None], :, columns] = 0.0
    population.p[mine[:, None, None], columns[:, :, None], columns[:, None, :]] = prior


# --- whose is it -----------------------------------------------------------------------------------------------------


def associate(population: Population, look: Look) -> list[tuple[int, int]]:
    """The best one-to-one assignment of (target, report)."""
    coverage = look.scan.coverage
    detection = coverage.detection_probability if coverage else 0.9
    ratio = look.log_likelihood + math.log(detection / (1.0 - detection)) - log_clutter(population, look.scan)
    ratio = ratio + np.array([min(t.log_odds, 0.0) for t in population.targets])[:, None]
    # A report inside the gate of a target is better explained by it than by nothing.
    gain = np.where(look.distance2 <= population.settings.gate, np.maximum(ratio, 1e-3), -np.inf)
    return association.assign(gain)


def log_clutter(population: Population, scan: Scan) -> float:
    """Log density of false reports over the space of the scan."""
    expected = population.expected_clutter(scan)
    if scan.camera is not None:
        return math.log(expected / (scan.camera.width * scan.camera.height))
    extent = {
        Space.AZIMUTH: 2.0 * math.pi,
        Space.BEARING: 2.0 * math.pi**2,
        Space.BEARING_RANGE: 2.0 * math.pi**2 * 1e3,
        Space.POSITION: 1e9,
        Space.POSITION_VELOCITY: 1e9 * 60.0**3,
    }[scan.space]
    return math.log(expected / extent)


def credit(population: Population, look: Look, t: int, m: int) -> None:
    """Target `t` got report `m`: existence and class."""
    scan, target, report = look.scan, population.targets[t], look.scan.measurements[m]
    target.awaits_s = population.awaits_s(scan.sensor_id)
    look_s = population.settings.look_s
    ratio = float(look.log_likelihood[t, m]) - log_clutter(population, scan)
    life.hit(target, scan.sensor_id, scan.time_ns, ratio, look_s, is_vetted(scan, report))
    life.hear_label(target, scan.sensor_id, report.label, report.score, scan.time_ns, look_s)


def is_vetted(scan: Scan, report: Measurement) -> bool:
    """Whether a tracker stands behind it: an image track, or what tells the places of what it reports, as radars do."""
    return report.source_track is not None or scan.space not in DIRECTIONS


def blame(population: Population, look: Look, taken: set[int]) -> None:
    """Targets the sensor should have seen and did not."""
    coverage, scan = look.scan.coverage, look.scan
    if coverage is None:
        return
    for t, target in enumerate(population.targets):
        if t not in taken and bool(look.inside[t]):
            probability, look_s = coverage.detection_probability, population.settings.look_s
            life.miss(target, scan.sensor_id, scan.time_ns, probability, look_s)


# --- the update ------------------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """Gain, spread and residual of the rows to be updated, linearised somewhere."""

    gain: FloatArray
    spread: FloatArray
    residual: FloatArray


def update(population: Population, look: Look, taken: list[tuple[int, int]]) -> None:
    """Kalman update, iterated where the place is wide, of every row of every target that got a report."""
    if not taken:
        return
    given = np.full(len(population), -1, dtype=np.intp)
    given[[t for t, _ in taken]] = [m for _, m in taken]
    of_row = np.repeat(given, population.lengths)
    mine = np.flatnonzero(of_row >= 0)
    report = of_row[mine]
    everyone = len(mine) == len(population.x)
    x, p = (population.x, population.p) if everyone else (population.x[mine], population.p[mine])
    r = look.noise[report]
    step = _Step(look.innovation.gain[mine], look.innovation.spread[mine], look.pairs.residual[mine, report])
    if _is_wide(look.scan, x, p):
        step = _iterate(population, look, mine, report, step)
    low, whitened = _robust_factor(step, r, population.settings.robust)
    rows.update(x, p, step.gain, low, whitened)
    if not everyone:
        population.x[mine], population.p[mine] = x, p
    told = np.where(look.valid[mine], look.pairs.log_likelihood[mine, report], -700.0)
    _reweigh(population, mine, np.where(_keep_ranges(population, look.scan, of_row >= 0)[mine], 0.0, told))


def _keep_ranges(population: Population, scan: Scan, updated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Put updated banks that know one sensor's bearings only back to their ranges; which rows [R] those are."""
    kept = np.zeros(len(population.x), dtype=bool)
    if scan.space not in _BEARINGS:
        return kept
    for t, target in enumerate(population.targets):
        mine = population.rows_of(t)
        if target.ray is not None and not target.is_ranged() and updated[mine.start]:
            population.x[mine], population.p[mine] = initiation.at_their_ranges(
                population.x[mine], population.p[mine], target.ray
            )
            kept[mine] = True
    return kept


def _is_wide(scan: Scan, x: FloatArray, p: FloatArray) -> bool:
    if scan.space in _PLACES:
        return False
    away = x[:, :3] - np.array(scan.pose.position_m)
    spread2 = p[:, 0, 0] + p[:, 1, 1] + p[:, 2, 2]
    return bool((spread2 > _WIDE2 * linear.total(away * away)).any())


def _iterate(
    population: Population, look: Look, mine: NDArray[np.intp], report: NDArray[np.intp], step: _Step
) -> _Step:
    """Linearise again at the updated place (Bell and Cathey, IEEE TAC 38, 1993), as long as it stays in view."""
    x, p = population.x[mine], population.p[mine]
    slot = None if look.slot is None else look.slot[mine]
    for _ in range(_ITERATIONS):
        low, whitened = _robust_factor(step, look.noise[report], population.settings.robust)
        guess = rows.shift(x, step.gain, low, whitened)
        there = _predict(look.scan, guess, look.delay_s)
        if not bool(there.valid.all()):
            return step
        found = rows.innovation(guess, p, there.z, there.jacobian, slot)
        residual = spaces.residual(look.scan.space, look.z[report], found.z)
        back = rows.seen_change(x - guess, there.jacobian, slot)
        step = _Step(found.gain, found.spread, residual - back)
    return step


def _robust_factor(step: _Step, r: FloatArray, robust: float) -> tuple[FloatArray, FloatArray]:
    """Innovation factor and whitened residual; a report too far off counts with a larger variance (Huber)."""
    low = linear.cholesky(step.spread + r)
    whitened = linear.solve_lower(low, step.residual[..., None])[..., 0]
    excess = linear.total(whitened * whitened) / (0.5 * robust * whitened.shape[-1])
    if bool((excess > 1.0).any()):
        scale = np.sqrt(np.maximum(excess, 1.0))
        return low * scale[:, None, None], whitened / scale[:, None]
    return low, whitened


def _reweigh(population: Population, mine: NDArray[np.intp], log_likelihood: FloatArray) -> None:
    population.log_weight[mine] += np.maximum(log_likelihood, -700.0)
    top = np.maximum.reduceat(population.log_weight, population.starts)
    mass = np.maximum(np.exp(population.log_weight - np.repeat(top, population.lengths)), 1e-12)
    whole = np.add.reduceat(mass, population.starts)
    population.log_weight = np.log(mass / np.repeat(whole, population.lengths))


# --- what it says about the camera -----------------------------------------------------------------------------------


def learn(population: Population, look: Look, taken: list[tuple[int, int]]) -> None:
    """Let the camera's noise follow what its reports of well-known targets show."""
    if look.slot is None:
        return
    scan, sensor = look.scan, population.noise(look.scan)
    elapsed_s = min((scan.time_ns - sensor.seen_ns) * 1e-9, 1.0) if sensor.seen_ns else 0.0
    sensor.seen_ns = scan.time_ns
    if not taken:
        return
    row = population.best_rows()[[t for t, _ in taken]]
    speeds = linear.total(look.jacobian[row][:, :, :3] * population.x[row, None, 3:6]).tolist()
    parts = _residuals(population, look, row, np.array([m for _, m in taken]))
    white, white_cov, slow, slow_cov = (part.tolist() for part in parts)
    weights, values = [_SILENT] * len(taken), [_SILENT] * len(taken)
    settings, slots = population.settings.noise, look.slot[row].tolist()
    for i, (t, m) in enumerate(taken):
        target, speed = population.targets[t], (speeds[i][0], speeds[i][1])
        edge = 1.0 if scan.camera is None else noise.edge_factor(scan.camera, scan.measurements[m].z)
        if _well_known(target, scan):
            shown = noise.Residuals(white[i], white_cov[i], slow[i], slow_cov[i], speed, edge)
            edge, weights[i], values[i] = noise.follow(sensor, shown, elapsed_s, settings)
        target.slots[slots[i]] = Slot(scan.sensor_id, scan.time_ns, speed, edge)
    if elapsed_s:
        noise.anchor_clocks([n for n in population.noises.values() if n.seen_ns])
        _refine(population, look, row, np.array([weights, values]), elapsed_s)


def _by_mounting(population: Population, look: Look, row: NDArray[np.intp]) -> FloatArray:
    """[K, 2, 7] how the pixels of K rows move with what is unknown of how the camera stands."""
    away = population.x[row, :3] - np.array(look.scan.pose.position_m)
    return refinement.derivative(look.scan, away, look.jacobian[row][:, :, :3], look.predicted[row])


def _refine(population: Population, look: Look, row: NDArray[np.intp], said: FloatArray, elapsed_s: float) -> None:
    """Let what is known of how the camera stands follow, and take what it now explains out of the slow errors.

    `said` [2, K, 2]: weights and values of `noise.follow` for the K reports at `row`.
    """
    assert look.slot is not None
    scan, settings = look.scan, population.settings.noise
    known = population.refinement(scan.sensor_id)
    refinement.fade(known, elapsed_s, settings.mount_memory_s)
    refinement.hear(known, _by_mounting(population, look, row), *said)
    others = [each for name, each in population.refinements.items() if name != scan.sensor_id]
    moved = refinement.solve(known, others, scan.pose, scan.time_ns, settings)
    if moved is None:
        return
    own = [target.slot_of(scan.sensor_id) is not None for target in population.targets]
    mine = np.flatnonzero(np.repeat(np.array(own, dtype=bool), population.lengths) & look.valid)
    columns = rows.KINEMATIC + 2 * look.slot[mine, None] + np.arange(2)
    population.x[mine[:, None], columns] -= linear.total(_by_mounting(population, look, mine) * moved)


def _well_known(target: Target, scan: Scan) -> bool:
    if target.ray is not None or target.status is not Status.CONFIRMED:
        return False
    return target.seen_by(2, scan.time_ns - _RECENT_NS)


def _residuals(
    population: Population, look: Look, row: NDArray[np.intp], m: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """White and slow posterior residuals [K, 2] of reports `m` at updated rows, each with its covariance [K, 2, 2].

    With S = H P Hᵀ + R = L Lᵀ and A = L⁻¹R, what is left white is Aᵀ L⁻¹ν, and H P⁺ Hᵀ = R − AᵀA.
    """
    assert look.slot is not None
    r, low = look.noise[m], look.pairs.low[row, m]
    a = linear.solve_lower(low, r)
    white = linear.multiply(linear.transpose(a), look.pairs.whitened[row, m][..., None])[..., 0]
    white_cov = r - linear.multiply(linear.transpose(a), a)
    columns = rows.KINEMATIC + 2 * look.slot[row, None] + np.arange(2)
    slow_cov = population.p[row[:, None, None], columns[:, :, None], columns[:, None, :]]
    return white, white_cov, population.x[row[:, None], columns], slow_cov
