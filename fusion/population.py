"""All targets of a site with their rows, laid one after another in a few arrays, and the noise of each camera."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion import initiation, linear, rows
from fusion.geometry import FloatArray
from fusion.life import Target
from fusion.noise import SensorNoise
from fusion.refinement import Refinement
from fusion.settings import FusionSettings
from fusion.types import Scan

_CLUTTER, _LEAST_CLUTTER = 0.1, 0.003  # false reports in a look: where nothing is stated, and at the least
_PERIODS = 5.0  # over so many of them a sensor's period is held
#: Motion modes of an ordinary target: quiet and agile.
MODES = 2

#: A target with its rows [C, n], covariances [C, n, n] and log weights [C].
Piece = tuple[Target, FloatArray, FloatArray, FloatArray]


class Population:
    """Targets in order of their numbers; row `starts[t] … + lengths[t]` belong to target `t`.

    Attributes:
        merged_ns: when doubles were last looked for.
        x, p, log_weight, accel2: rows [R, n], [R, n, n], their log weights and acceleration densities [R].
        slow_cov, slow_rate: [T, K, 2, 2] and [T, K] of each target's camera slots, see `noise`.
        noises: what has been learned of each camera, by id.
        refinements: what has been learned of how each camera stands, by id.
        eyes, periods_s: the last look of each sensor, by id (where it stands, what it covers), and how long after the
            one before it came.
        clutter: how many false reports each sensor's looks bring, as far as they have shown.
    """

    def __init__(self, settings: FusionSettings) -> None:
        self.settings = settings
        self.noises: dict[str, SensorNoise] = {}
        self.eyes: dict[str, Scan] = {}
        self.periods_s: dict[str, float] = {}
        self.clutter: dict[str, float] = {}
        self.merged_ns = 0
        self.refinements: dict[str, Refinement] = {}
        self.targets: list[Target] = []
        n = rows.size(settings.slots)
        self.x: FloatArray = np.zeros((0, n))
        self.p: FloatArray = np.zeros((0, n, n))
        self.log_weight: FloatArray = np.zeros(0)
        self.accel2: FloatArray = np.zeros(0)
        self.slow_cov: FloatArray = np.zeros((0, settings.slots, 2, 2))
        self.slow_rate: FloatArray = np.zeros((0, settings.slots))
        self.lengths: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.starts: NDArray[np.intp] = np.zeros(0, dtype=np.intp)

    def __len__(self) -> int:
        return len(self.targets)

    def lay(self, pieces: list[Piece]) -> None:
        """These targets and no others, in this order."""
        n = rows.size(self.settings.slots)
        self.targets = [piece[0] for piece in pieces]
        self.lengths = np.array([len(piece[1]) for piece in pieces], dtype=np.intp)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.x = np.concatenate([np.zeros((0, n)), *(piece[1] for piece in pieces)])
        self.p = np.concatenate([np.zeros((0, n, n)), *(piece[2] for piece in pieces)])
        self.log_weight = np.concatenate([np.zeros(0), *(piece[3] for piece in pieces)])
        self.accel2 = np.concatenate([np.zeros(0), *(self._accelerations(piece) for piece in pieces)])
        self.slow_cov = np.zeros((len(pieces), self.settings.slots, 2, 2))
        self.slow_rate = np.zeros((len(pieces), self.settings.slots))
        self.refresh()

    def _accelerations(self, piece: Piece) -> FloatArray:
        motion = self.settings.motion
        if piece[0].ray is None:
            return np.array([motion.quiet_accel**2, motion.agile_accel**2])
        return initiation.bank_accelerations(motion.agile_accel) ** 2

    def pieces(self) -> list[Piece]:
        return [(target, *self.mixture(t)) for t, target in enumerate(self.targets)]

    def add(self, born: list[Piece]) -> None:
        if born:
            self.lay(self.pieces() + born)

    def without(self, gone: set[int]) -> None:
        """Take out the targets at these places."""
        if gone:
            self.lay([piece for t, piece in enumerate(self.pieces()) if t not in gone])

    def mixture(self, t: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows, covariances and log weights of target `t`."""
        mine = self.rows_of(t)
        return self.x[mine], self.p[mine], self.log_weight[mine]

    def collapsed(self, t: int) -> tuple[FloatArray, FloatArray]:
        """Mean [6] and covariance [6, 6] of target `t` over its rows."""
        x, p, log_weight = self.mixture(t)
        return rows.collapse(x[:, : rows.KINEMATIC], p[:, : rows.KINEMATIC, : rows.KINEMATIC], np.exp(log_weight))

    def all_collapsed(self) -> tuple[FloatArray, FloatArray]:
        """Means [T, 6] and covariances [T, 6, 6] of all targets: `collapsed` of each."""
        weight = np.exp(self.log_weight)
        x, p = self.x[:, : rows.KINEMATIC], self.p[:, : rows.KINEMATIC, : rows.KINEMATIC]
        mean = np.add.reduceat(weight[:, None] * x, self.starts, axis=0)
        gap = x - np.repeat(mean, self.lengths, axis=0)
        spread = p + gap[:, :, None] * gap[:, None, :]
        return mean, np.add.reduceat(weight[:, None, None] * spread, self.starts, axis=0)

    def places(self) -> tuple[FloatArray, FloatArray]:
        """Mean positions [T, 3] of all targets and the sum of each one's position variances [T]."""
        weight = np.exp(self.log_weight)
        place = np.add.reduceat(weight[:, None] * self.x[:, :3], self.starts, axis=0)
        gap = self.x[:, :3] - np.repeat(place, self.lengths, axis=0)
        spread = self.p[:, 0, 0] + self.p[:, 1, 1] + self.p[:, 2, 2] + linear.total(gap * gap)
        return place, np.add.reduceat(weight * spread, self.starts)

    def rows_of(self, t: int) -> slice:
        return slice(int(self.starts[t]), int(self.starts[t] + self.lengths[t]))

    def best_row(self, t: int) -> int:
        return int(self.starts[t]) + int(np.argmax(self.log_weight[self.rows_of(t)]))

    def best_rows(self) -> NDArray[np.intp]:
        """[T] `best_row` of every target."""
        top = np.maximum.reduceat(self.log_weight, self.starts)
        best = np.flatnonzero(self.log_weight == np.repeat(top, self.lengths))
        return best[np.searchsorted(best, self.starts)]

    def whole_rows(self, mean: FloatArray, cov: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The rows of an ordinary target with mean [6] and covariance [6, 6], both motion modes alike."""
        n = rows.size(self.settings.slots)
        x, p = np.zeros((MODES, n)), np.zeros((MODES, n, n))
        x[:, :6], p[:, :6, :6] = mean, cov
        return x, p, np.log(np.full(MODES, 1.0 / MODES))

    def noise(self, scan: Scan) -> SensorNoise:
        """What is known of the errors of the scan's sensor."""
        known = self.noises.get(scan.sensor_id)
        if known is None:
            focal_px = scan.camera.fx if scan.camera else 1.0
            known = SensorNoise.fresh(self.settings.noise, focal_px, scan.pose.attitude_sigma_rad)
            self.noises[scan.sensor_id] = known
        return known

    def note(self, scan: Scan) -> None:
        """This is the sensor's last look now; the longest time between two of late says how often it speaks.

        The longest, as a radar tells of all it saw in one turn at once and then turns.
        """
        before = self.eyes.get(scan.sensor_id)
        if before is not None and before.time_ns < scan.time_ns:
            gap_s = (scan.time_ns - before.time_ns) * 1e-9
            period_s = self.periods_s.get(scan.sensor_id, gap_s)
            fading = math.exp(-gap_s / (_PERIODS * period_s))
            most_s = self.settings.most_tentative_s / self.settings.tentative_looks
            self.periods_s[scan.sensor_id] = min(max(gap_s, fading * period_s), most_s)
        self.eyes[scan.sensor_id] = scan

    def awaits_s(self, sensor_id: str) -> float:
        """How long a sensor's next report may take before its silence says something; 0 where that is not known."""
        return self.settings.tentative_looks * self.periods_s.get(sensor_id, 0.0)

    def expected_clutter(self, scan: Scan) -> float:
        """False reports in one look of the scan's sensor: what it states, until its looks have shown."""
        stated = scan.coverage.clutter if scan.coverage else _CLUTTER
        return max(self.clutter.get(scan.sensor_id, stated), _LEAST_CLUTTER)

    def learn_clutter(self, scan: Scan, false: float) -> None:
        """Follow how many reports of a look are false; `false`: how many of this one's, as it seems now."""
        rate = -math.expm1(-self.periods_s.get(scan.sensor_id, 0.0) / self.settings.clutter_memory_s)
        before = self.expected_clutter(scan)
        self.clutter[scan.sensor_id] = before + rate * (false - before)

    def refinement(self, sensor_id: str) -> Refinement:
        """What is known of how a camera stands."""
        return self.refinements.setdefault(sensor_id, Refinement())

    def carry(self, dt_s: float, now_ns: int) -> None:
        """Move every row `dt_s` on, to `now_ns`: motion modes interact, slow camera errors fade."""
        self._mix_modes(dt_s)
        keep, cov = np.exp(-dt_s * self.slow_rate), self.slow_cov
        keep, cov = np.repeat(keep, self.lengths, axis=0), np.repeat(cov, self.lengths, axis=0)
        motion = self.settings.motion
        calm_s = np.array([motion.lone_calm_s if t.is_lone(now_ns) else motion.calm_s for t in self.targets])
        rows.predict(self.x, self.p, dt_s, self.accel2, np.repeat(calm_s, self.lengths), keep, cov)

    def _mix_modes(self, dt_s: float) -> None:
        whole = np.flatnonzero(self.lengths == MODES)
        if len(whole) == 0:
            return
        stay = 0.5 * (1.0 + math.exp(-2.0 * dt_s / self.settings.motion.sojourn_s))
        if len(whole) == len(self):  # the usual case, without gathering
            rows.mix(self.x, self.p, self.log_weight, slice(0, None, MODES), slice(1, None, MODES), stay)
        else:
            rows.mix(self.x, self.p, self.log_weight, self.starts[whole], self.starts[whole] + 1, stay)

    def refresh(self, sensor_id: str | None = None) -> None:
        """Let the slow errors of one camera, or of all, follow what is known of it now."""
        chosen = [
            (t, k, slot)
            for t, target in enumerate(self.targets)
            for k, slot in enumerate(target.slots)
            if slot is not None and (sensor_id is None or slot.sensor_id == sensor_id)
        ]
        if not chosen:
            return
        t, k = np.array([(t, k) for t, k, _ in chosen]).T
        known = [(self.noises[slot.sensor_id], slot) for _, _, slot in chosen]
        cov = [noise.slow_covariance(slot.image_speed, slot.edge) for noise, slot in known]
        self.slow_cov[t, k] = np.array(cov).reshape(-1, 2, 2)
        self.slow_rate[t, k] = [noise.slow_rate(slot.image_speed, self.settings.noise) for noise, slot in known]
