"""The GPU benchmark runs whole on the CPU device, without packages that a bare GPU machine lacks; it sees errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu import BANDS, TINY, Keeper, _difference, demand
from models.detector import Architecture, DetectorNetwork
from models.types import Detections

MISSING = ("av", "pydantic", "fastapi", "openvino", "filterpy", "structlog")


@pytest.mark.timeout(400)
def test_all_of_it_runs_on_the_cpu_device_and_without_those_packages(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    code = f"import sys; sys.modules.update(dict.fromkeys({MISSING})); from benchmarks.gpu import main; main()"
    run = [sys.executable, "-c", code, "--device", "cpu", "--seconds", "300", "--json", str(path)]
    subprocess.run(run, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)
    assert "failed" not in path.read_text()
    assert "left out" not in path.read_text()
    report = json.loads(path.read_text())
    for band in BANDS:
        single = report[band]["precision"]["fp32"]
        assert single["paired"] == report[band]["precision"]["boxes of the reference"] > 0
        assert single["operating boxes lost"] == single["operating boxes more"] == 0
        assert single["edge off by, px"]["largest"] < 0.05
        assert [row["batch"] for row in report[band]["by batch"]] == list(TINY.batches)
        assert all(row["frames"] > 0 for row in report[band]["paced cameras"])


def test_a_section_that_fails_says_so_and_one_after_the_time_is_left_out() -> None:
    keeper = Keeper(None, 100.0)
    into: dict[str, object] = {}
    keeper.section(into, "first", lambda: 1 / 0)
    keeper.until = 0.0
    keeper.section(into, "second", lambda: 1)
    assert into == {"first": {"failed": "ZeroDivisionError: division by zero"}, "second": "left out: the time was up"}


def test_operations_are_counted_as_the_field_counts_them() -> None:
    network = DetectorNetwork(Architecture("visible")).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, network.architecture.planes, 64, 96))
    assert demand(network, (120, 180))[0] == pytest.approx(counter.get_total_flops())


def test_lost_and_moved_boxes_are_seen() -> None:
    def found(*boxes: tuple[float, float, float, float]) -> list[Detections]:
        scores = np.full(len(boxes), 0.9, np.float32)
        given = np.array(boxes, np.float32).reshape(-1, 4)
        return [Detections("c", 0, 0, 99, 99, given, scores, np.repeat(scores[:, None], 4, 1))]

    apart = _difference(found((0, 0, 10, 10), (50, 50, 9, 9)), found((1, 0, 10, 10), (20, 20, 9, 9)), 0.5)
    assert (apart["operating boxes lost"], apart["operating boxes more"]) == (1, 1)
    assert apart["edge off by, px"]["largest"] == 1.0
