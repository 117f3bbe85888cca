"""The tracker everybody writes first: an extended Kalman filter each, the nearest report to the nearest target.

Constant velocity, pixels, no motion modes, no slow errors, no existence. It is helped: started at the true places, and
its targets never end.
"""

from __future__ import annotations

import numpy as np

from fusion.geometry import FloatArray
from fusion.spaces import predict
from fusion.types import NS, Scan

_ACCEL2 = 9.0
_SIGMA2_PX = 1.0
_GATE = 16.0


class NearestNeighbour:
    """States [N, 6] started at `states`, σ 0.5 m and 1 m/s."""

    def __init__(self, states: FloatArray, time_ns: int) -> None:
        self.x, self.time_ns = states.copy(), time_ns
        self.p = np.stack([np.diag([0.25] * 3 + [1.0] * 3)] * len(states))

    def step(self, scan: Scan) -> None:
        self._carry((scan.time_ns - self.time_ns) / NS)
        self.time_ns = scan.time_ns
        if not scan.measurements:
            return
        seen = predict(scan.space, self.x, scan.pose, scan.camera)
        spread = seen.jacobian @ self.p @ np.swapaxes(seen.jacobian, 1, 2) + _SIGMA2_PX * np.eye(2)
        gap = np.array([m.z for m in scan.measurements])[None] - seen.z[:, None]
        distance2 = np.einsum("tmi,tij,tmj->tm", gap, np.linalg.inv(spread), gap)
        distance2[~seen.valid] = np.inf
        for _ in range(min(distance2.shape)):
            t, m = np.unravel_index(int(np.argmin(distance2)), distance2.shape)
            if distance2[t, m] > _GATE:
                return
            gain = self.p[t] @ seen.jacobian[t].T @ np.linalg.inv(spread[t])
            self.x[t] += gain @ gap[t, m]
            self.p[t] -= gain @ spread[t] @ gain.T
            distance2[t, :], distance2[:, m] = np.inf, np.inf

    def _carry(self, dt_s: float) -> None:
        move = np.eye(6) + dt_s * np.eye(6, k=3)
        noise = np.kron([[dt_s**3 / 3.0, dt_s**2 / 2.0], [dt_s**2 / 2.0, dt_s]], np.eye(3)) * _ACCEL2
        self.x = self.x @ move.T
        self.p = move @ self.p @ move.T + noise
