"""SRP-PHAT and MUSIC of pyroomacoustics (MIT) in an environment of their own, on windows of ours.

`run(windows, places, rate_hz)` makes the environment on first use (under the user's cache folder; nothing of it is a
dependency of the project) and runs this same file in it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REQUIREMENTS = ("pyroomacoustics==0.10.1", "numpy", "scipy")
TRANSFORM = 1024


def environment() -> Path:
    """Python of the peers' environment; made when it is not there."""
    from benchmarks.peer_environment import made  # here: there this file runs alone

    return made("direction-peers", [REQUIREMENTS])


def run(
    windows: np.ndarray, places: np.ndarray, rate_hz: float, speed_mps: float, sources: int = 1
) -> dict[str, dict[str, Any]]:
    """For each peer {"seconds": CPU time, "directions": unit vectors ENU `[W, sources, 3]` of windows `[W, M, N]`}."""
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder, "task.npz"), Path(folder, "answer.json")
        np.savez(task, windows=windows, places=places, rate_hz=rate_hz, speed_mps=speed_mps, sources=sources)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        command = [str(environment()), __file__, str(task), str(answer)]
        subprocess.run(command, check=True, env=os.environ | one_thread)
        return dict(json.loads(answer.read_text(encoding="utf-8")))


# -- in the peers' environment -----------------------------------------------------------------------------------------


def _answer(task: Path, answer: Path) -> None:
    pyroomacoustics = importlib.import_module("pyroomacoustics")  # not there for the checks of this project
    data = np.load(task)
    rate, places = float(data["rate_hz"]), data["places"]
    azimuth = np.radians(np.arange(0.0, 360.0, 5.0))
    colatitude = np.radians(np.arange(2.5, 90.0, 5.0))  # 72 × 18 = 1 296 directions
    found = {}
    for label, kind in (("pyroomacoustics SRP-PHAT", "SRP"), ("pyroomacoustics MUSIC", "MUSIC")):
        estimator = pyroomacoustics.doa.algorithms[kind](
            places.T,
            rate,
            TRANSFORM,
            c=float(data["speed_mps"]),
            num_src=int(data["sources"]),
            azimuth=azimuth,
            colatitude=colatitude,
            dim=3,
        )
        start = time.process_time()
        directions = [_locate(estimator, window) for window in data["windows"]]
        found[label] = {"seconds": time.process_time() - start, "directions": directions}
    answer.write_text(json.dumps(found), encoding="utf-8")


def _locate(estimator: Any, window: np.ndarray) -> list[list[float]]:
    """Its azimuth is from the x axis, and its colatitude from the z axis."""
    hop = TRANSFORM // 2
    starts = range(0, window.shape[1] - TRANSFORM + 1, hop)
    frames = np.stack([window[:, s : s + TRANSFORM] for s in starts], axis=1) * np.hanning(TRANSFORM)
    estimator.locate_sources(np.fft.rfft(frames).swapaxes(1, 2), freq_range=[150.0, 4000.0])
    found = zip(estimator.azimuth_recon.tolist(), estimator.colatitude_recon.tolist(), strict=True)
    return [[math.sin(c) * math.cos(a), math.sin(c) * math.sin(a), math.cos(c)] for a, c in found]


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), Path(sys.argv[2]))
