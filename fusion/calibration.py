"""A sensor's attitude, position, clock and focal length from a flight of a drone that reported where it was.

Three steps. `alignment` explains which reports are the drone, under many hypotheses. Each is refined by Gauss-Newton
steps on a robust cost that narrows round by round (Geman and McClure's, with graduated non-convexity: Yang, Antonante,
Tzoumas and Carlone, RA-L 5, 2020), and the one with the greatest likelihood stands. Then what the flight cannot tell is
put back: directions of the parameters about which the data hold less information than the prior keep the prior's value.

The covariance is the inverse of the information, widened by how large the residuals are and by how long they last:
reports a second apart are not independent where path, lens and shutter err slowly (batch means: Flegal and Jones, The
Annals of Statistics 38, 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fusion import linear, spaces
from fusion.alignment import Hypothesis, Sightings, hypotheses
from fusion.geometry import FloatArray, attitude_angles, wrap_angle
from fusion.mounting import BIAS, CLOCK, FOCAL, POSITION, SIZE, TURN, Mounting, View, moved, turn_between, view
from fusion.trajectory import Trajectory

_REFINED = 6  # hypotheses
_LOOKS_REFINED, _LOOKS_USED = 400, 4_000
_WIDEST_RAD = 0.03  # scale of the errors that are allowed for at first
_NARROWING = 1.5
_FREEDOM = 4.0  # degrees of Student's t: errors come in good and bad stretches
_FAR2 = 1e12
_FEWEST_LOOKS = 20
_ALIKE = 0.85  # a second explanation this nearly as good leaves the matter open
_CLOCK_STEP_S = 0.2
_TOLD = 0.5  # of the prior's standard deviation
_SMALL = 1e-5  # of the prior's standard deviation
_MOST_STEPS = 40
_LEAST_SCALE = 0.05  # of what is stated
_SHORTEST_WHILE_S, _LEAST_WHILES = 0.5, 8


class CalibrationError(ValueError):
    """A flight that cannot calibrate the sensor; one plain sentence with the mend."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Standard deviations of what is known before: attitude (each axis), position (each axis), clock, focal (share).

    Zero: known exactly and not estimated.
    """

    attitude_rad: float = math.radians(20.0)
    position_m: float = 2.0
    clock_s: float = 1.0
    focal: float = 0.0

    def sigmas(self, path: Trajectory) -> FloatArray:
        """[11] in the order of `mounting`; the path's displacement is as the drone states its errors."""
        sigma = np.zeros(SIZE)
        sigma[TURN], sigma[POSITION], sigma[BIAS] = self.attitude_rad, self.position_m, path.bias_sigma_m
        sigma[CLOCK], sigma[FOCAL] = self.clock_s, self.focal
        return sigma


@dataclass(frozen=True, slots=True)
class Residuals:
    """Of the reports taken for the drone's: times by the sensor's clock s [N], reports [N, 2], and reported minus
    predicted, pixels or radians [N, 2], with the mounting as it was thought (`before`) and as found (`after`)."""

    times_s: FloatArray
    z: FloatArray
    before: FloatArray
    after: FloatArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a flight tells of a sensor.

    Attributes:
        mounting: the sensor as found.
        parameters: [11] how it differs from what was thought.
        covariance: [11, 11] of the parameters.
        prior_sigma: [11].
        looks, matched: how many looks there were, and in how many the drone was found.
        spread: how many reports count as one, because their errors last or are larger than stated.
    """

    mounting: Mounting
    parameters: FloatArray
    covariance: FloatArray
    prior_sigma: FloatArray
    residuals: Residuals
    looks: int
    matched: int
    spread: float

    @property
    def sigma(self) -> FloatArray:
        """[11] standard deviations of the parameters."""
        return np.sqrt(np.diagonal(self.covariance))

    @property
    def attitude_sigma_rad(self) -> FloatArray:
        """[3] of azimuth, elevation and roll."""
        slope = _angles_by_turn(self.mounting.to_sensor)
        return np.sqrt(np.diagonal(slope @ self.covariance[TURN, TURN] @ slope.T))

    @property
    def told(self) -> NDArray[np.bool_]:
        """[11] whether the flight told of each parameter at least twice as well as was known before."""
        told: NDArray[np.bool_] = (self.prior_sigma > 0.0) & (self.sigma < _TOLD * self.prior_sigma)
        return told


class _Fit(NamedTuple):
    """A state of the refinement: parameters [11], and the scale of the whitened residuals."""

    parameters: FloatArray
    scale: float


class _Judged(NamedTuple):
    """The reports under one fit.

    white `[M, 2]` residuals and `[M, 2, 11]` derivatives, whitened; distance2 `[M]`; belief `[M]` that a report is the
    drone's; weight `[M]` it has; and the logarithm of how much likelier all looks are than clutter alone.
    """

    white: FloatArray
    jacobian: FloatArray
    distance2: FloatArray
    belief: FloatArray
    weight: FloatArray
    log_likelihood: float


@dataclass(frozen=True, slots=True)
class _Problem:
    """All that stays the same: where the search starts, the data, the prior, and the directions that may change.

    Attributes:
        basis: [11, K] orthonormal directions in units of the prior's standard deviations.
    """

    start: Mounting
    sightings: Sightings
    path: Trajectory
    sigma: FloatArray
    basis: FloatArray

    def scaled(self, parameters: FloatArray) -> FloatArray:
        """[11] in units of the prior's standard deviations."""
        return parameters / np.where(self.sigma > 0.0, self.sigma, 1.0)

    def view(self, parameters: FloatArray) -> View:
        return view(moved(self.start, parameters), self.sightings.times_s, self.path, parameters[TURN])

    def judge(self, fit: _Fit) -> _Judged:
        """Weigh the reports: in each look the nearest is the drone's, with an error of Student's t, or all are clutter
        spread evenly (mixtures of t: Peel and McLachlan, Statistics and Computing 10, 2000)."""
        there, seen = self.view(fit.parameters), self.sightings
        missed = spaces.residual(self.start.space, seen.z, there.z)
        stated = np.square(seen.sigma)[:, :, None] * np.eye(2)
        low = linear.cholesky(np.where(there.valid[:, None, None], stated + there.covariance, np.eye(2)))
        white = linear.solve_lower(low, missed[:, :, None])[:, :, 0]
        distance2 = np.where(there.valid, np.minimum(np.square(white).sum(axis=1), _FAR2), _FAR2)
        counts = np.diff(seen.starts, append=len(white))
        least = np.minimum.reduceat(distance2, seen.starts)
        tail = 1.0 + least / (_FREEDOM * fit.scale**2)
        odds = self.area / (2.0 * math.pi * fit.scale**2 * counts) * tail ** (-0.5 * (_FREEDOM + 2.0))
        nearest = there.valid & (distance2 <= np.repeat(least, counts))
        belief = np.where(nearest, np.repeat(odds / (1.0 + odds), counts), 0.0)
        weight = belief * (_FREEDOM + 2.0) / (_FREEDOM * fit.scale**2 + distance2)
        derivatives = linear.solve_lower(low, there.jacobian)
        return _Judged(white, derivatives, distance2, belief, weight, float(np.log(0.5 + 0.5 * odds).sum()))

    @property
    def area(self) -> float:
        """Of all a sensor could report, in units of what it states of its errors."""
        camera = self.start.camera
        extent = 4.0 * math.pi if camera is None else float(camera.width * camera.height)
        return extent / float(np.median(self.sightings.sigma)) ** 2


def calibrate(start: Mounting, sightings: Sightings, path: Trajectory, prior: Prior) -> Calibration:
    """Attitude, position, clock and focal length of the sensor that reported `sightings` of a drone on `path`.

    Raises:
        CalibrationError: the sensor's reports do not follow the drone, or follow it in several ways.
    """
    used = sightings.thinned(_LOOKS_USED)
    sigma = prior.sigmas(path)
    problem = _Problem(start, used, path, sigma, np.eye(SIZE)[:, sigma > 0.0])
    fit = _settle(problem, _best_explanation(problem, prior))
    told = _tell(problem, fit, problem.judge(fit))
    basis = told.directions[:, told.information > 1.0]
    kept = basis @ (basis.T @ problem.scaled(fit.parameters))
    problem = replace(problem, basis=basis)
    fit = _settle(problem, fit._replace(parameters=sigma * kept), float(np.median(told.spread)))
    return _result(problem, fit)


# --- which explanation -----------------------------------------------------------------------------------------------


def _best_explanation(problem: _Problem, prior: Prior) -> _Fit:
    """The hypothesis that fits best once refined."""
    few = replace(problem, sightings=problem.sightings.thinned(_LOOKS_REFINED))
    reach = 2.5 * prior.clock_s
    steps = math.ceil(reach / _CLOCK_STEP_S)
    clocks = problem.start.clock_s + np.linspace(-reach, reach, 2 * steps + 1)
    most_turn = min(3.0 * prior.attitude_rad, math.pi)
    guesses = hypotheses(problem.start, few.sightings, problem.path, clocks, most_turn, _REFINED)
    if not guesses:
        raise CalibrationError(
            "the sensor reported nothing while the drone's path is known: check that both clocks tell the same hour"
        )
    fits = [_narrow(few, _guessed(few, guess)) for guess in guesses]
    merits = [few.judge(fit).log_likelihood - 0.5 * float(np.square(few.scaled(fit.parameters)).sum()) for fit in fits]
    best = max(range(len(fits)), key=lambda k: merits[k])
    if _matched(few.judge(fits[best])).sum() < _FEWEST_LOOKS or merits[best] <= 0.0:
        raise CalibrationError(
            "the sensor's reports do not follow the drone's path: check which sensor and which drone, and that the "
            "position and orientation in the site file are roughly right"
        )
    _check_alone(few, fits, merits, best)
    return fits[best]


def _guessed(problem: _Problem, guess: Hypothesis) -> _Fit:
    parameters = np.zeros(SIZE)
    parameters[TURN] = turn_between(problem.start.to_sensor, guess.to_sensor)
    parameters[CLOCK] = guess.clock_s - problem.start.clock_s
    camera = problem.start.camera
    unit = 1.0 if camera is None else math.sqrt(camera.fx * camera.fy)
    return _Fit(parameters, _WIDEST_RAD * unit / float(np.median(problem.sightings.sigma)))


def _check_alone(problem: _Problem, fits: list[_Fit], merits: list[float], best: int) -> None:
    """That no other explanation is nearly as good."""
    mine = moved(problem.start, fits[best].parameters)
    for fit, merit in zip(fits, merits, strict=True):
        other = moved(problem.start, fit.parameters)
        turn = math.sqrt(float(np.square(turn_between(mine.to_sensor, other.to_sensor)).sum()))
        if merit > _ALIKE * merits[best] and turn > max(0.05, 0.5 * problem.sigma[0]):
            raise CalibrationError(
                f"two attitudes {math.degrees(turn):.0f}° apart explain the flight about equally well: give a better "
                "orientation in the site file, or fly to and fro across the picture, near and far"
            )


# --- refinement ------------------------------------------------------------------------------------------------------


def _narrow(problem: _Problem, fit: _Fit) -> _Fit:
    """Gauss-Newton while the error that is allowed for narrows from wide to what the residuals themselves show."""
    for _ in range(_MOST_STEPS):
        before = fit.scale
        fit = _step(problem, _step(problem, fit))
        fit = fit._replace(scale=max(fit.scale / _NARROWING, _scale(problem.judge(fit), fit)))
        if fit.scale > 0.97 * before:
            break
    return fit


def _settle(problem: _Problem, fit: _Fit, spread: float = 1.0) -> _Fit:
    """Steps until they are small."""
    for _ in range(_MOST_STEPS):
        before = fit
        fit = _step(problem, fit, spread)
        fit = fit._replace(scale=_scale(problem.judge(fit), fit))
        if float(np.abs(problem.scaled(fit.parameters - before.parameters)).max()) < _SMALL:
            break
    return fit


def _scale(judged: _Judged, fit: _Fit) -> float:
    """The scale of t by one step of expectation maximisation."""
    share = float((judged.weight * judged.distance2).sum()) / max(2.0 * float(judged.belief.sum()), 1.0)
    return max(fit.scale * math.sqrt(share), _LEAST_SCALE)


def _step(problem: _Problem, fit: _Fit, spread: float = 1.0) -> _Fit:
    """One step of Gauss and Newton along the basis, shortened while it makes things less likely.

    Args:
        spread: how many times wider than the residuals alone say the data leave the parameters.
    """
    judged = problem.judge(fit)
    information, pull = _normal_equations(problem, judged, spread)
    y = problem.basis.T @ problem.scaled(fit.parameters)
    step = problem.basis @ np.linalg.solve(information + np.eye(len(y)), pull - y)
    cost = _cost(problem, fit, judged, spread)
    for share in (1.0, 0.5, 0.25, 0.1):
        there = fit._replace(parameters=fit.parameters + share * problem.sigma * step)
        if _cost(problem, there, problem.judge(there), spread) <= cost:
            return there
    return fit


def _normal_equations(problem: _Problem, judged: _Judged, spread: float) -> tuple[FloatArray, FloatArray]:
    """Information of the data `[K, K]` and its pull `[K]`, along the basis, in units of the prior."""
    used = np.flatnonzero(judged.weight)
    along = ((judged.jacobian[used] * problem.sigma) @ problem.basis).reshape(2 * len(used), -1)
    weighted = along * np.repeat(judged.weight[used] / spread, 2)[:, None]
    return weighted.T @ along, weighted.T @ judged.white[used].ravel()


def _cost(problem: _Problem, fit: _Fit, judged: _Judged, spread: float) -> float:
    return float(np.square(problem.scaled(fit.parameters)).sum()) - 2.0 * judged.log_likelihood / spread


def _matched(judged: _Judged) -> NDArray[np.bool_]:
    """[M] the reports that are more likely than not the drone's."""
    likely: NDArray[np.bool_] = judged.belief > 0.5
    return likely


# --- what the flight tells, and how well -----------------------------------------------------------------------------


class _Told(NamedTuple):
    """What the data tell along K orthonormal directions `[11, K]` (in units of the prior): their information `[K]`, and
    how many times more the errors spread than that promised `[K]`; the information is what is left after that."""

    directions: FloatArray
    information: FloatArray
    spread: FloatArray


def _tell(problem: _Problem, fit: _Fit, judged: _Judged) -> _Told:
    information, _ = _normal_equations(problem, judged, 1.0)
    strength, turned = np.linalg.eigh(information - _feigned(problem, fit, judged))
    directions = problem.basis @ turned
    used = np.flatnonzero(judged.weight)
    along = (judged.jacobian[used] * problem.sigma) @ directions
    pulls = (along * (judged.weight[used, None] * judged.white[used])[:, :, None]).sum(axis=1)
    promised = np.maximum(np.diagonal(turned.T @ information @ turned), 1e-9)
    spread = _spread(problem.sightings.times_s[used], pulls, promised)
    return _Told(directions, np.maximum(strength, 0.0) / spread, spread)


def _feigned(problem: _Problem, fit: _Fit, judged: _Judged) -> FloatArray:
    """[K, K] what of the information is only the noise of the path: a drone that hovers seems to move by its errors."""
    used, total = np.flatnonzero(judged.weight), np.zeros((problem.basis.shape[1],) * 2)
    for path in problem.path.shaken():
        shaken = replace(problem, path=path).judge(fit).jacobian[used] - judged.jacobian[used]
        along = ((shaken * problem.sigma) @ problem.basis).reshape(2 * len(used), -1)
        total += (along * np.repeat(judged.weight[used], 2)[:, None]).T @ along
    return total


def _spread(times_s: FloatArray, pulls: FloatArray, promised: FloatArray) -> FloatArray:
    """[K] largest ratio of the variance of the pulls' sums over a while to what was promised, for ever longer whiles.

    Args:
        pulls: [M, K] of each report along each direction.
        promised: [K] variance of their sum if all errors were independent and as large as stated.
    """
    since, most, while_s = times_s - times_s[0], np.ones(len(promised)), 0.0
    while while_s <= since[-1] / _LEAST_WHILES:
        begins = np.flatnonzero(np.diff(np.floor(since / max(while_s, 1e-9)), prepend=-1.0))
        sums = np.add.reduceat(pulls, begins, axis=0)
        most = np.maximum(most, np.square(sums).sum(axis=0) / promised)
        while_s = max(2.0 * while_s, _SHORTEST_WHILE_S)
    return most


def _result(problem: _Problem, fit: _Fit) -> Calibration:
    judged = problem.judge(fit)
    told, chosen = _tell(problem, fit, judged), _matched(judged)
    # The prior's variance, less what the flight took off it.
    gain = told.information / (told.information + 1.0)
    whole = np.eye(SIZE) - (told.directions * gain) @ told.directions.T
    return Calibration(
        moved(problem.start, fit.parameters),
        fit.parameters,
        problem.sigma[:, None] * whole * problem.sigma,
        problem.sigma,
        Residuals(
            problem.sightings.times_s[chosen],
            problem.sightings.z[chosen],
            _missed(problem, np.zeros(SIZE), chosen),
            _missed(problem, fit.parameters, chosen),
        ),
        looks=len(problem.sightings.starts),
        matched=int(chosen.sum()),
        spread=float(np.median(told.spread)),
    )


def _missed(problem: _Problem, parameters: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    """Reported minus predicted [N, 2], in the sensor's own unit; NaN where nothing is predicted."""
    there = problem.view(parameters)
    missed = spaces.residual(problem.start.space, problem.sightings.z[chosen], there.z[chosen])
    return np.where(there.valid[chosen][:, None], missed, np.nan)


def _angles_by_turn(to_sensor: FloatArray) -> FloatArray:
    """[3, 3] derivative of azimuth, elevation and roll by a turn about the sensor's own axes."""
    step = 1e-6
    columns = []
    for axis in np.eye(3):
        ends = [
            np.array(attitude_angles(Rotation.from_rotvec(sign * step * axis).as_matrix() @ to_sensor))
            for sign in (1.0, -1.0)
        ]
        columns.append(wrap_angle(ends[0] - ends[1]) / (2.0 * step))
    return np.stack(columns, axis=-1)
