"""What listening costs: how many arrays one core carries, and how long after its sound a look is done.

    OMP_NUM_THREADS=1 python -m benchmarks.hearing [--seconds 20] [--json FILE]

One array of eight microphones at 48 kHz hears a simulated drone in noise. All of its work is counted: directions,
recognition, noise floor, fixed emitters, wind and spectrogram, ten looks a second, and the examination of its channels
beside it. Latency is from the arrival of the last sample of a window to the finished look, on a machine that is free;
`cpu_ms_per_look` is what of it a busy machine does not change.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from fusion.geometry import angles_to_direction
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import Block
from models.acoustic_infer import load_recogniser
from service.ear import Ear
from simulation.sound_field import Air, Rotor, at_snr, field, straight

RATE = 48_000
BLOCK = RATE // 50


def microphones() -> np.ndarray:
    """Two squares of 0.2 m, one turned by 45° above the other."""
    angle = np.arange(4) * np.pi / 2.0
    rows = [(np.cos(a + t), np.sin(a + t), h) for t, h in ((0.0, -0.5), (np.pi / 4.0, 0.5)) for a in angle]
    return 0.2 * np.array(rows)


def sound(seconds: float) -> np.ndarray:
    """float32 `[8, N]`: a drone that passes at 15 m/s, 5 dB over white noise."""
    generator = np.random.default_rng(1)
    harmonics = np.arange(1, 17) ** -0.7
    path = straight(80.0 * angles_to_direction(0.6, 0.4), [-9.0, 12.0, 0.0])
    rotor = Rotor(path, (0.0, seconds), (5400.0, 5600.0), 2, tuple(harmonics.tolist()))
    heard = field([rotor], microphones(), np.arange(round(seconds * RATE)) / RATE, Air())
    noisy = at_snr(heard, generator.standard_normal(heard.shape), 5.0)
    samples: np.ndarray = (0.05 / noisy.std() * noisy).astype(np.float32)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = describe()
    samples = sound(options.seconds)
    config = ArrayConfig.model_validate({"microphones": microphones().tolist()})
    ear = Ear(config, RATE, load_recogniser(device="cpu"))
    latencies_ms, cpu_ms, found = [], [], 0
    began = time.process_time()
    for start in range(0, samples.shape[1] - BLOCK + 1, BLOCK):
        block = Block("array", start, start * 1_000_000_000 // RATE, RATE, samples[:, start : start + BLOCK])
        arrived, busy = time.perf_counter(), time.thread_time()
        for heard in ear.step(block):
            latencies_ms.append(1e3 * (time.perf_counter() - arrived))
            cpu_ms.append(1e3 * (time.thread_time() - busy))
            found += bool(heard.directions)
    ear.close()
    cost = (time.process_time() - began) / options.seconds
    late = sorted(latencies_ms[20:])
    result = {
        "machine": machine,
        "microphones": 8,
        "rate_hz": RATE,
        "looks": len(latencies_ms),
        "looks_with_directions": found,
        "cpu_seconds_per_second": round(cost, 4),
        "arrays_per_core": round(1.0 / cost, 1),
        "cpu_ms_per_look_95": round(sorted(cpu_ms[20:])[int(0.95 * len(cpu_ms[20:]))], 2),
        "cpu_ms_per_look": round(float(np.median(cpu_ms[20:])), 2),
        "latency_ms_median": round(late[len(late) // 2], 2),
        "latency_ms_95": round(late[int(0.95 * len(late))], 2),
    }
    print("\n".join(f"{name:24} {value}" for name, value in result.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
