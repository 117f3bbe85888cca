"""The speed benchmark's own side on a clip made here; the peer needs an environment of a gigabyte and is not made."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bright_spot import write_video

from benchmarks.detector_speed import _put_stand_in, measure
from models.boxes import iou_matrix


def test_every_stage_of_ours_is_measured_on_a_clip(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; there is no engine to measure")
    report = measure(write_video(tmp_path / "spot.mp4"), "visible", turns=1, with_peer=False)
    assert set(report) == {"ours", "decoder alone", "stages, CPU ms", "network"}
    assert report["ours"]["CPU ms"] > report["decoder alone"]["CPU ms"] > 0
    assert all(value > 0 for value in report["network"].values())
    assert sum(report["stages, CPU ms"].values()) > 0


def test_what_stands_in_for_torchvision_suppresses_as_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_stand_in(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchvision", "torchvision.ops"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    nms = importlib.import_module("torchvision.ops").nms
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (50, 2)).astype(np.float32)
    size = rng.uniform(5, 20, (50, 2)).astype(np.float32)
    scores = rng.random(50, dtype=np.float32)
    kept = nms(torch.from_numpy(np.hstack([low, low + size])), torch.from_numpy(scores), 0.5).numpy()
    overlap = iou_matrix(np.hstack([low, size]), np.hstack([low, size]))
    assert (np.diff(scores[kept]) <= 0).all()
    assert (overlap[np.ix_(kept, kept)] - np.eye(len(kept)) <= 0.5).all()
    for dropped in set(range(50)) - set(kept.tolist()):
        assert any(overlap[dropped, k] > 0.5 and scores[k] >= scores[dropped] for k in kept)
    for name in ("torchvision", "torchvision.ops"):
        monkeypatch.delitem(sys.modules, name)
