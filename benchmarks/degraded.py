"""What weather, optics, coding and a trembling mast take from the detector; and which frozen pictures are recognised.

    OMP_NUM_THREADS=1 python -m benchmarks.degraded [--data ../shared/data] [--band visible|infrared] [--keep]

The first seconds of the first `val` clip of each class and distance, ten looks a second, each degradation drawn anew
from the same seed. The operating thresholds stay those of clean pictures. F1 is by both rules of `models.matching`
without the audit; false drone boxes are counted in clips that show no drone. Shaken pictures are looked at
with and without the compensation of `models.steady`.

Frozen pictures: a second of each clip, its last picture for a second and a half, a second more, as encoders would send
it, and what `service.watchdog.Stillness` makes of it; and beside them all live frames of `val`, of which none may be
taken for frozen.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import RESULTS, describe, keep
from models.evaluate import operating
from models.halmstad import Clip, decode, load_clips
from models.infer import Detector, HostBackend, load_detector
from models.matching import RULES, ClipResult, looks, match
from models.types import CLASSES, Band, Frame
from service.watchdog import SECOND_NS, Stillness

Picture = NDArray[np.uint8]
Pictures = Sequence[Picture]
#: For each look the affine map, float64 [2, 3], from a clean picture's pixels to the degraded one's.
Moves = NDArray[np.float64]

FPS, EVERY, SECONDS = 30, 3, 4.0
DRONE = CLASSES.index("drone")
STILL_MOVES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


# -- degradations: all pictures of a clip to those that are looked at --------------------------------------------------


@dataclass(frozen=True)
class Degradation:
    """`recode` is of all pictures of a clip, before some are looked at; `move` and `change` are of one.

    `steadied`: the detector moves earlier pictures onto the present one (`models.steady`), as it does at work.
    """

    name: str
    change: Callable[[Picture, np.random.Generator], Picture] | None = None
    recode: Callable[[Pictures], Pictures] | None = None
    move: Callable[[int, tuple[int, ...], np.random.Generator], Moves] | None = None
    bands: tuple[Band, ...] = ("infrared", "visible")
    steadied: bool = True

    def show(self, pictures: Pictures, rng: np.random.Generator) -> tuple[list[Picture], Moves]:
        shown = list((self.recode(pictures) if self.recode else pictures)[::EVERY])
        moves = np.repeat(STILL_MOVES[None], len(shown), axis=0)
        if self.move is not None:
            moves = self.move(len(shown), pictures[0].shape, rng)
            shown = [moved(picture, move) for picture, move in zip(shown, moves, strict=True)]
        if self.change is not None:
            shown = [self.change(picture, rng) for picture in shown]
        return shown, moves


def bytes_of(values: NDArray[np.floating]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def as_before(picture: Any, like: Picture) -> Picture:
    """OpenCV drops the axis of a single channel."""
    return np.asarray(picture, np.uint8).reshape(like.shape)


def moved(picture: Picture, move: NDArray[np.float64]) -> Picture:
    size = picture.shape[1::-1]
    return as_before(cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REPLICATE), picture)


def blurred(picture: Picture, rng: np.random.Generator, sigma_px: float) -> Picture:
    return as_before(cv2.GaussianBlur(picture, (0, 0), sigma_px), picture)


def noisy(picture: Picture, rng: np.random.Generator, sigma: float) -> Picture:
    return bytes_of(picture + sigma * rng.standard_normal(picture.shape, dtype=np.float32))


def rainy(picture: Picture, rng: np.random.Generator, streaks: int) -> Picture:
    """Bright streaks, new in every picture, near ones longer and blurred by their nearness."""
    height, width = picture.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for x, y, length in rng.uniform((0, -20, 8), (width, height, 30), (streaks, 3)):
        end = (round(x + 0.15 * length), round(y + length))
        cv2.line(veil, (round(x), round(y)), end, float(rng.uniform(15, 50)), 1, cv2.LINE_AA)
    return bytes_of(picture + cv2.GaussianBlur(veil, (0, 0), 0.7)[:, :, None])


def shaded(picture: Picture, rng: np.random.Generator, gain: float, offset: float = 0.0) -> Picture:
    """Around the mean of the picture."""
    level = float(picture.mean())
    return bytes_of((picture.astype(np.float32) - level) * gain + level + offset)


def inverted(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.subtract(255, picture, dtype=np.uint8)


def with_dead_pixels(picture: Picture, rng: np.random.Generator, share: float) -> Picture:
    """The same pixels in every picture of every clip, black or white."""
    sensor = np.random.default_rng(1)
    dead = sensor.random(picture.shape[:2]) < share
    out = picture.copy()
    out[dead] = np.where(sensor.random(int(dead.sum())) < 0.5, 0, 255)[:, None]
    return out


def jpeg(picture: Picture, rng: np.random.Generator, quality: int) -> Picture:
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return as_before(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), picture)


def turned(count: int, shape: tuple[int, ...], rng: np.random.Generator, degrees: float) -> Moves:
    height, width = shape[:2]
    return np.repeat(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)[None], count, axis=0)


def shaken(count: int, shape: tuple[int, ...], rng: np.random.Generator, share: float) -> Moves:
    """A mast that swings: an oscillation of 2.3 Hz and a random part, `share` of the picture's width at the largest."""
    time_s = np.arange(count) * EVERY / FPS
    phase = rng.uniform(0, 2 * math.pi, 2)
    swing = np.sin(2 * math.pi * 2.3 * time_s[:, None] + phase) * (0.7, 0.5) + rng.uniform(-0.3, 0.3, (count, 2))
    moves = np.repeat(STILL_MOVES[None], count, axis=0)
    moves[:, :, 2] = swing * share * shape[1]
    return moves


def recoded(pictures: Pictures, codec: str, fps: int = FPS, bit_rate: int = 0, **options: str) -> list[Picture]:
    """Through an encoder and back; `bit_rate` is bits a second, `options` are the codec's own."""
    container_bytes = io.BytesIO()
    form = "gray" if pictures[0].shape[2] == 1 else "bgr24"
    with av.open(container_bytes, "w", format="matroska") as out:
        stream: Any = out.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        if bit_rate:
            stream.bit_rate = bit_rate
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.squeeze(picture), format=form)))
        out.mux(stream.encode(None))
    container_bytes.seek(0)
    with av.open(container_bytes, "r") as back:
        return [as_before(each.to_ndarray(format=form), pictures[0]) for each in back.decode(video=0)]


X264 = partial(recoded, codec="libx264", preset="veryfast")
DEGRADATIONS = (
    Degradation("clean"),
    Degradation("clean, not steadied", steadied=False),
    Degradation("shaken by 0.5 % of the width", move=partial(shaken, share=0.005)),
    Degradation("shaken by 0.5 %, not steadied", move=partial(shaken, share=0.005), steadied=False),
    Degradation("shaken by 2 % of the width", move=partial(shaken, share=0.02)),
    Degradation("shaken by 2 %, not steadied", move=partial(shaken, share=0.02), steadied=False),
    Degradation("blur, sigma 1 px", partial(blurred, sigma_px=1.0)),
    Degradation("blur, sigma 2 px", partial(blurred, sigma_px=2.0)),
    Degradation("noise, sigma 4", partial(noisy, sigma=4.0)),
    Degradation("noise, sigma 10", partial(noisy, sigma=10.0)),
    Degradation("rain, 100 streaks", partial(rainy, streaks=100)),
    Degradation("rain, 400 streaks", partial(rainy, streaks=400)),
    Degradation("H.264, crf 32", recode=partial(X264, crf="32")),
    Degradation("H.264, crf 40", recode=partial(X264, crf="40")),
    Degradation("JPEG, quality 25", partial(jpeg, quality=25)),
    Degradation("gain 0.5", partial(shaded, gain=0.5)),
    Degradation("gain 1.5", partial(shaded, gain=1.5)),
    Degradation("offset +50", partial(shaded, gain=1.0, offset=50.0)),
    Degradation("polarity inverted", inverted, bands=("infrared",)),
    Degradation("dead pixels, 1 in 1000", partial(with_dead_pixels, share=0.001)),
    Degradation("rotated by 3°", move=partial(turned, degrees=3.0)),
    Degradation("rotated by 8°", move=partial(turned, degrees=8.0)),
)


# -- the table ---------------------------------------------------------------------------------------------------------


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """The first clip of each class and distance."""
    first: dict[tuple[int, str], Clip] = {}
    for clip in clips:
        first.setdefault((clip.label, clip.distance), clip)
    return list(first.values())


def looked_at(clip: Clip, moves: Moves) -> Clip:
    """The clip with its boxes where the degradation put them, numbered by look."""
    boxes = clip.boxes[(clip.boxes[:, 0] % EVERY == 0) & (clip.boxes[:, 0] < len(moves) * EVERY)].copy()
    boxes[:, 0] //= EVERY
    for box in boxes:
        move = moves[int(box[0])]
        middle = move[:, :2] @ (box[2:4] + box[4:6] / 2) + move[:, 2]
        box[2:4] = middle - box[4:6] / 2
    return replace(clip, boxes=boxes)


def run(detector: Detector, clip: Clip, pictures: Pictures, degradation: Degradation) -> ClipResult:
    shown, moves = degradation.show(pictures, np.random.default_rng(len(clip.name)))
    found = []
    for number, picture in enumerate(shown):
        frame = Frame(clip.name, round(number * EVERY * SECOND_NS / FPS), number, clip.band, picture)
        found.append(detector.detect([frame])[0])
    detector.forget(clip.name)
    return ClipResult(
        looked_at(clip, moves),
        frame=np.repeat(np.arange(len(found)), [len(each) for each in found]),
        boxes=np.concatenate([np.zeros((0, 4)), *(each.boxes for each in found)]),
        class_scores=np.concatenate([np.zeros((0, len(CLASSES))), *(each.class_scores for each in found)]),
        frames=len(found),
    )


def figures(results: Sequence[ClipResult], thresholds: dict[str, float]) -> dict[str, float]:
    frames, row = looks(results), {}
    for rule_name, rule in RULES.items():
        by_class = [match(frames, rule, k).at(thresholds[name])["f1"] for k, name in enumerate(CLASSES)]
        row[f"drone f1 {rule_name}"], row[f"mean f1 {rule_name}"] = by_class[DRONE], float(np.mean(by_class))
    others = [look for look in operating(frames, thresholds) if look.clip.label != DRONE]
    alarms = sum(int((look.labels == DRONE).sum()) for look in others)
    row["false drone boxes a minute"] = alarms * 60 * FPS / max(len(others), 1)
    return {name: round(value, 3) for name, value in row.items()}


def table(data: Path, band: Band, seconds: float = SECONDS) -> dict[str, Any]:
    detector = load_detector(band, device="cpu")
    assert isinstance(detector._backend, HostBackend)
    clips = [
        (clip, list(itertools.islice(decode(clip), min(round(seconds * FPS), clip.labelled_frames))))
        for clip in chosen(load_clips(data, band, "val"))
    ]
    rows = {}
    for degradation in DEGRADATIONS:
        if band in degradation.bands:
            detector._backend.steady = degradation.steadied
            results = [run(detector, clip, pictures, degradation) for clip, pictures in clips]
            rows[degradation.name] = figures(results, detector.thresholds)
            print(f"  {degradation.name}: {rows[degradation.name]}", flush=True)
    return {"weights": detector.sha256[:12], "backend": detector.backend, "clips": [clip.name for clip, _ in clips],
            "looks": sum(math.ceil(len(pictures) / EVERY) for _, pictures in clips), "rows": rows}  # fmt: skip


# -- pictures that stand still -----------------------------------------------------------------------------------------

ENCODERS: dict[str, Callable[[Pictures], Pictures]] = {
    "none": list,
    "H.264, crf 23": partial(X264, crf="23", fps=25),
    "H.264, crf 23, no delay": partial(X264, crf="23", tune="zerolatency", fps=25),
    "H.264, crf 35, no delay": partial(X264, crf="35", tune="zerolatency", fps=25),
    "H.264, 1 Mbit/s, no delay": partial(X264, bit_rate=1_000_000, tune="zerolatency", fps=25),
    "H.264, crf 48": partial(X264, crf="48", fps=25),
    "MPEG-4, 1 Mbit/s": partial(recoded, codec="mpeg4", bit_rate=1_000_000, fps=25),
}


def freezes(data: Path, band: Band) -> dict[str, Any]:
    """Shares, by encoder: of frozen pictures that are left out, and of live ones that are said to be frozen.

    And of all frames of `val` as they are: how many are left out.
    """
    clips = load_clips(data, band, "val")
    left_out, frozen = {}, {}
    for name, encoder in ENCODERS.items():
        some = chosen(clips)
        left_out[name] = round(float(np.concatenate([_frozen_left_out(encoder, clip) for clip in some]).mean()), 3)
        frozen[name] = round(float(np.concatenate([_live_frozen(encoder, clip) for clip in some]).mean()), 3)
    live = [reason for clip in clips for reason in reasons(decode(clip), FPS)]
    return {"frozen frames left out": left_out, "live frames said to be frozen": frozen,
            "live frames": len(live), "live frames left out": sum(map(bool, live))}  # fmt: skip


def _live_frozen(encoder: Callable[[Pictures], Pictures], clip: Clip) -> NDArray[np.bool_]:
    sent = encoder(list(itertools.islice(decode(clip), 75)))
    return np.array([reason == "frozen" for reason in reasons(sent, 25)])


def _frozen_left_out(encoder: Callable[[Pictures], Pictures], clip: Clip) -> NDArray[np.bool_]:
    """Without the first, which nobody can know."""
    live = list(itertools.islice(decode(clip), 50))
    sent = encoder([*live[:25], *[live[25]] * 38, *live[26:]])
    return np.array([bool(reason) for reason in reasons(sent, 25)])[26 : 25 + 38]


def reasons(pictures: Iterable[Picture], fps: int) -> Iterator[str]:
    stillness = Stillness()
    for number, picture in enumerate(pictures):
        yield stillness.see(picture, number * SECOND_NS // fps)


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parents[1] / "docs" / "robustness.md"
BEGIN, END = "<!-- python -m benchmarks.degraded --page -->", "<!-- end -->"


def tables(reports: dict[str, dict[str, Any]]) -> str:
    """Markdown of what is kept of both bands."""
    head = ["", *(f"{band}: {what}" for band in reports for what in ("drone F1", "mean F1", "false drones a minute"))]
    names = [each.name for each in DEGRADATIONS if any(each.name in report["rows"] for report in reports.values())]
    rows = [
        [name, *(cell for report in reports.values() for cell in _cells(report["rows"].get(name)))] for name in names
    ]
    kinds = {"frozen, left out": "frozen frames left out", "live, called frozen": "live frames said to be frozen"}
    columns = [(r["freezes"][key], f"{band}: {what}") for band, r in reports.items() for what, key in kinds.items()]
    encoders = [[name, *(f"{figures[name]:.2f}" for figures, _ in columns)] for name in ENCODERS]
    frozen = _markdown([["encoder", *(title for _, title in columns)], *encoders])
    live = ", ".join(f"{band} {_of_live(report['freezes'])}" for band, report in reports.items())
    return f"{_markdown([head, *rows])}\n\n{frozen}\n\nFrames of `val`, as they are, that were left out: {live}."


def _cells(row: dict[str, float] | None) -> list[str]:
    if row is None:
        return ["", "", ""]
    pairs = [f"{row[f'{what} f1 iou50']:.2f} / {row[f'{what} f1 centre']:.2f}" for what in ("drone", "mean")]
    return [*pairs, f"{row['false drone boxes a minute']:.0f}"]


def _of_live(figures: dict[str, Any]) -> str:
    return f"{figures['live frames left out']} of {figures['live frames']}"


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def kept() -> dict[str, dict[str, Any]]:
    files = {band: RESULTS / f"degraded_{band}.json" for band in ("infrared", "visible")}
    return {band: json.loads(path.read_text(encoding="utf-8")) for band, path in files.items() if path.is_file()}


def write_page() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(kept())}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--band", choices=("visible", "infrared"), action="append")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each clip")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/degraded_BAND.json")
    parser.add_argument("--freezes", action="store_true", help="only frozen pictures; the rest stays as it is kept")
    parser.add_argument("--page", action="store_true", help="only put what is kept into docs/robustness.md")
    given = parser.parse_args()
    if given.page:
        write_page()
        return
    bands: list[Band] = given.band or ["infrared", "visible"]
    for band in bands:
        print(band)
        if given.freezes:
            report = kept()[band]
        else:
            report = {"machine": describe(), "seconds of each clip": given.seconds}
            report |= table(given.data, band, given.seconds)
        report["freezes"] = freezes(given.data, band)
        print(f"  freezes: {report['freezes']}")
        if given.keep:
            print(keep(f"degraded_{band}", report))


if __name__ == "__main__":
    main()
