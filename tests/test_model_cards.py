"""A page for each weights file says what its card says, in tables whose rows are whole."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.model_cards import page, write
from models.infer import WEIGHTS_FOLDER
from models.types import CLASSES

FOUND = {"precision": 0.9, "recall": 0.8, "f1": 0.847, "average_precision": 0.7, "objects": 10}
FIGURES: dict[str, Any] = {
    "clips": 2,
    "frames": 600,
    "split": "test",
    "iou50": dict.fromkeys(CLASSES, FOUND) | {"mean": {"f1": 0.8123}},
    "centre": dict.fromkeys(CLASSES, FOUND),
    "by distance": {"close": {"drone": {"iou50 f1": 0.5, "centre f1": 0.6, "centre recall": 0.7}}},
    "expected calibration error": {
        "scores": dict.fromkeys(CLASSES, 0.1),
        "probabilities": dict.fromkeys(CLASSES, 0.02),
    },
    "drone boxes per minute in clips without drones": 3.2,
}
CARD: dict[str, Any] = {
    "name": "deeplomatics-infrared",
    "architecture": {"band": "infrared"},
    "recipe": {"batch": 32},
    "data": "recordings",
    "command": "deeplomatics train detector",
    "steps_done": 10,
    "sha256": "abc",
    "operating_points": [{"threshold": 0.5, "false_alarms_per_hour": 14.2, "found": 1.0, "named_right": 0.5}],
    "operating_points_hours": 0.07,
}


def test_the_page_says_what_the_card_says() -> None:
    text = page(CARD, {"test": FIGURES})
    for told in (
        "`abc`",
        "On `test`: 2 clips, 600 frames",
        "| mean |  |  | 0.812 |  |",
        "| close, drone | 0.5 | 0.6 | 0.7 |",
    ):
        assert told in text
    assert "| 0.5 | 14.2 | 1 | 0.5 |" in text
    assert "| probabilities | 0.02 |" in text
    assert "3.2." in text
    for above, below in pairwise(text.splitlines()):
        if above.startswith("|") and below.startswith("|"):
            assert above.count("|") == below.count("|")


def test_pages_of_all_bands_and_figures_of_these_weights_only(tmp_path: Path) -> None:
    for path in WEIGHTS_FOLDER.glob("*.json"):
        shutil.copy(path, tmp_path)
    sha256 = json.loads((tmp_path / "visible.json").read_text())["sha256"]
    figures = {"infrared": FIGURES | {"sha256": "of others"}, "visible": FIGURES | {"sha256": sha256}}
    infrared, visible = write(tmp_path, tmp_path / "pages", [figures])
    assert "On `test`: 2 clips" not in infrared.read_text(encoding="utf-8")
    assert "On `test`: 2 clips" in visible.read_text(encoding="utf-8")
