"""The simulated sound field against pyroomacoustics in the free field: the same recording, the same places.

    python -m benchmarks.acoustic_field [--json FILE]

A noise of 300 Hz to 3 kHz stands still at several places; 8 microphones hear it in air that absorbs nothing, because
the peer's free field has none. Both fields may differ by one gain and one delay (the peer's filters have 40 samples of
it); what then remains, as a share of the sound's power, is the disagreement. The peer runs in an environment of its own
(see `directions_peers`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RATE, COUNT = 16_000, 8_000
PEERS_DELAY = 40
SOURCES = ((20.0, 5.0, 8.0), (-60.0, 40.0, 30.0), (3.0, -2.0, 1.0))


def measure() -> dict[str, Any]:
    """Disagreement in dB for each place of the source."""
    from benchmarks.directions import places
    from benchmarks.directions_peers import environment
    from fusion.geometry import FloatArray
    from simulation.sound_field import Air, Recorded, field, still

    class ClearAir(Air):
        def absorption_db_per_m(self, frequency_hz: Any) -> FloatArray:
            return np.zeros_like(np.asarray(frequency_hz, np.float64))

    air, sound = ClearAir(), _noise()
    task: dict[str, Any] = {
        "sound": sound,
        "places": places(),
        "sources": np.array(SOURCES),
        "speed_mps": air.speed_mps,
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs, answer = Path(folder, "task.npz"), Path(folder, "answer.npy")
        np.savez(inputs, **task)
        subprocess.run([environment(), __file__, "--peer", inputs, answer], check=True, env=os.environ)
        theirs = np.load(answer)
    heard_s = np.arange(COUNT) / RATE
    ours = [field([Recorded(still(place), sound, RATE)], places(), heard_s, air) for place in SOURCES]
    return {
        f"source at {math.dist(place, (0, 0, 0)):.0f} m, dB": _disagreement(a, b)
        for place, a, b in zip(SOURCES, ours, theirs, strict=True)
    }


def _noise() -> np.ndarray:
    spectrum = np.random.default_rng(1).standard_normal((COUNT // 2 + 1, 2)).view(np.complex128)[:, 0]
    frequency = np.fft.rfftfreq(COUNT, 1.0 / RATE)
    rise = np.clip((frequency - 300.0) / 100.0, 0.0, 1.0) * np.clip((3000.0 - frequency) / 300.0, 0.0, 1.0)
    return np.fft.irfft(spectrum * rise, COUNT)


def _disagreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Power of the difference over that of ours, in dB, with one gain for all microphones."""
    gain = float((ours * theirs).sum() / np.square(theirs).sum())
    return 10.0 * math.log10(float(np.square(ours - gain * theirs).sum() / np.square(ours).sum()))


def _peer(inputs: Path, answer: Path) -> None:
    pyroomacoustics = importlib.import_module("pyroomacoustics")
    task = np.load(inputs)
    pyroomacoustics.constants.set("c", float(task["speed_mps"]))
    heard = []
    for source in task["sources"]:
        room = pyroomacoustics.AnechoicRoom(3, fs=RATE)
        room.add_source(source, signal=task["sound"])
        room.add_microphone_array(task["places"].T)
        room.simulate()
        heard.append(room.mic_array.signals[:, PEERS_DELAY : PEERS_DELAY + COUNT])
    np.save(answer, np.array(heard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        _peer(*options.peer)
        return
    text = json.dumps(measure(), indent=2, ensure_ascii=False)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
