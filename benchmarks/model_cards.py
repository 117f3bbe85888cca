"""A page for each weights file of the detector, from its card: data, split, figures, limits, licence.

    python -m benchmarks.model_cards [--output docs/models] [--figures FILE…]

`models/weights/<band>.json` holds what training, `evaluate operating-points` and the recipe wrote; `--figures` takes
what `deeplomatics evaluate detector --json` wrote, for splits that the card does not hold. A page is never edited by
hand: run this again after new weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.infer import WEIGHTS_FOLDER
from models.types import CLASSES

DOCS = Path(__file__).resolve().parents[1] / "docs" / "models"
BANDS = ("infrared", "visible")
LIMITS = """\
- Learned from one data set, filmed in southern Sweden by day with three kinds of drones: other drones, nights, rain and
  cities were not seen in training. Scenes that training never saw are given apart below where the figures tell them.
- What it has no class for (balloons, insects, letters that a camera writes into its picture) it calls one of the four.
- Annotated boxes have the padding of who drew them; figures at IoU 0.5 hold for that habit (decision 0017).
- A camera that pans fills the time planes with edges."""


def page(card: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]) -> str:
    """The page in Markdown; `splits` holds the figures of each split by name."""
    band = card["architecture"]["band"]
    parts = [
        f"# {card['name']}",
        f"Detector of {', '.join(CLASSES)} in {band} pictures. Made from its card, `models/weights/{band}.json`, "
        "by `python -m benchmarks.model_cards`; not edited by hand.",
        "\n".join(_facts(card)),
    ]
    for split, figures in splits.items():
        parts.append(f"## On `{split}`: {figures['clips']} clips, {figures['frames']} frames")
        parts += ["\n".join(each) for each in _tables(figures)]
    if card.get("operating_points"):
        parts += ["## Operating points, on `val` through the tracker", "\n".join(_points(card))]
    return "\n\n".join([*parts, "## Limits", LIMITS]) + "\n"


def _facts(card: Mapping[str, Any]) -> Iterator[str]:
    recipe = card["recipe"]
    yield from ("| | |", "| --- | --- |")
    yield f"| data | {card['data']} |"
    yield f"| made by | `{card['command']}`, {card['steps_done']} steps of {recipe['batch']} crops |"
    if "sampler" in card:
        yield f"| sampler | {card['sampler']} |"
    yield f"| SHA-256 | `{card['sha256']}` |"
    yield "| licence | Apache-2.0, as the program; the recordings are CC0 |"


def _tables(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for rule, words in (("iou50", "IoU 0.5"), ("centre", "by centre")):
        rows = [name for name in (*CLASSES, "any class", "mean") if name in figures[rule]]
        yield [
            *_head(words, ("precision", "recall", "F1", "AP")),
            *(
                _row(name, [figures[rule][name].get(key) for key in ("precision", "recall", "f1", "average_precision")])
                for name in rows
            ),
        ]
    for group in ("by distance", "by scene"):
        table = figures.get(group, {})
        if table and all(isinstance(value, Mapping) for row in table.values() for value in row.values()):
            lines = [
                _row(f"{where}, {name}", [row["iou50 f1"], row["centre f1"], row["centre recall"]])
                for where, of_classes in table.items()
                for name, row in of_classes.items()
            ]
            yield [*_head(group, ("F1 IoU 0.5", "F1 by centre", "recall by centre")), *lines]
    errors = figures.get("expected calibration error")
    if errors:
        yield [*_head("expected calibration error", CLASSES), *(_row(k, list(v.values())) for k, v in errors.items())]
    per_minute = figures["drone boxes per minute in clips without drones"]
    yield [f"Drone boxes per minute in clips without drones: {per_minute:.1f}."]


def _points(card: Mapping[str, Any]) -> Iterator[str]:
    yield from _head("threshold of drones", ("false alarms an hour", "drone clips found", "named right"))
    for point in card["operating_points"]:
        yield _row(str(point["threshold"]), [point["false_alarms_per_hour"], point["found"], point["named_right"]])
    yield ""
    minutes = card["operating_points_hours"] * 60
    yield f"Measured over {minutes:.1f} minutes: one false alarm more or less is one of these steps."


def _head(first: str, columns: Sequence[str]) -> list[str]:
    return [f"| {first} | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]


def _row(name: str, values: Sequence[float | None]) -> str:
    return f"| {name} | " + " | ".join("" if v is None else f"{v:.3f}".rstrip("0").rstrip(".") for v in values) + " |"


def write(folder: Path, output: Path, figures: Sequence[Mapping[str, Any]] = ()) -> list[Path]:
    """A page per band; what was written."""
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for band in BANDS:
        card = json.loads((folder / f"{band}.json").read_text(encoding="utf-8"))
        splits = dict(card.get("metrics", {}))
        splits |= {
            each[band]["split"]: each[band] for each in figures if each.get(band, {}).get("sha256") == card["sha256"]
        }
        path = output / f"{band}.md"
        path.write_text(page(card, splits), encoding="utf-8")
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DOCS)
    parser.add_argument("--figures", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    figures = [json.loads(path.read_text(encoding="utf-8")) for path in options.figures]
    for path in write(WEIGHTS_FOLDER, options.output, figures):
        print(path)


if __name__ == "__main__":
    main()
