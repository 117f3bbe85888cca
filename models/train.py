"""Training of the detector: resumable, seeded, on whatever device there is.

    deeplomatics train detector --data DIR --recipe infrared

A recipe is a few numbers in `RECIPES`. A run keeps `checkpoint.pt` in its work folder (kept out of the repository; read
back with `weights_only`) and continues from it; at its end it writes `models/weights/<band>.safetensors` and
`<band>.json` (architecture, recipe, data split, hash, operating thresholds and figures on `val`). A recipe may begin
with the weights of another: those in its work folder, else the shipped ones where that recipe made them.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from models import running
from models.coco import load_coco
from models.detector import Architecture, DetectorNetwork
from models.evaluate import set_thresholds
from models.halmstad import load_clips
from models.infer import WeightsError
from models.input_ranges import set_largest_inputs
from models.losses import Targets, detection_loss
from models.sampling import DRONES, PASTED, FrameCache, Sample, Sampler
from models.types import Band

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
_MOST_BOXES = 12


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned, besides the data."""

    band: Band
    steps: int = 10000
    batch: int = 32
    crop: int = 128
    rate: float = 2.5e-3
    weight_decay: float = 0.02
    warm_up: int = 300
    average: float = 0.999
    calm: int = 1200  # last steps, on crops close to what a camera gives
    seed: int = 1
    start: str = ""  # the recipe whose weights it begins with; none: from scratch
    pasted: float = PASTED  # share of crops with an object of another clip
    drones: float = DRONES  # share of crops of drone clips


_FURTHER = {"steps": 7500, "rate": 1.5e-3, "warm_up": 200, "seed": 2}
RECIPES: dict[str, Recipe] = {
    "infrared": Recipe("infrared"),
    "visible": Recipe("visible"),
    "infrared-further": Recipe("infrared", **(_FURTHER | {"steps": 6000}), start="infrared"),
    "visible-further": Recipe("visible", **_FURTHER, start="visible"),
    "visible-last": Recipe(
        "visible",
        steps=3300,
        rate=1e-3,
        warm_up=150,
        calm=1000,
        seed=3,
        start="visible-further",
        pasted=0.15,
        drones=0.5,
    ),
}


def train(
    recipe_name: str,
    data: Path,
    work: Path,
    device: str = "auto",
    threads: int | None = None,
    cap: int | None = None,
    extra: Sequence[Path] = (),
) -> Path:
    """Train one recipe to its end, continuing an interrupted run, and write the weights.

    Args:
        recipe_name: a key of `RECIPES`.
        data: the folder of the recordings (`clips.csv` inside).
        work: for the frame cache and the checkpoint.
        device: auto, cpu or cuda.
        threads: of torch on the CPU; all cores when None.
        extra: folders of labelled pictures beside the recordings (`models.coco`).
        cap: stop after this step (for tests); the schedule stays that of the whole recipe.

    Returns:
        Path of the written safetensors.

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
        WeightsError: the weights that the recipe begins with are not here.
    """
    recipe = RECIPES[recipe_name]
    where = running.chosen_device(device)
    if threads:
        torch.set_num_threads(threads)
    clips = load_clips(data, recipe.band, "train")
    clips += [clip for folder in extra for clip in load_coco(folder, recipe.band)]
    run = Run(recipe, where, work / recipe_name / "checkpoint.pt")
    if recipe.start and not run.step:
        run.begin_with(*start_weights(recipe.start, recipe.band, work))
    calm_after = (recipe.steps - recipe.calm - run.step) * recipe.batch
    cache = FrameCache(work / "cache", clips)
    shares = {"pasted": recipe.pasted, "drones": recipe.drones}
    sampler = Sampler(clips, cache, recipe.band, recipe.crop, recipe.seed + run.step, calm_after, **shares)
    last = min(cap or recipe.steps, recipe.steps)
    try:
        _loop(run, sampler, last)
    finally:
        run.save()
    write_weights(run, recipe_name, work / recipe_name)  # for recipes that begin with it
    path = write_weights(run, recipe_name)
    set_largest_inputs(path, data)
    set_thresholds(path, data, where.type, torch.get_num_threads())
    return path


class Run:
    """The state of one training run: network, its moving average, optimiser, step."""

    def __init__(self, recipe: Recipe, device: torch.device, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.checkpoint = recipe, device, checkpoint
        # A third quicker on processors that multiply bfloat16 themselves.
        self.half = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.network = DetectorNetwork(Architecture(recipe.band)).to(device, memory_format=torch.channels_last)
        self.average = running.copied_weights(self.network)
        decay = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.99))
        self.step, self.started_from = 0, ""
        saved = running.load_checkpoint(checkpoint, device)
        if saved is not None:
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.average, self.step = saved["average"], saved["step"]
            self.started_from = saved["started_from"]

    def begin_with(self, weights: dict[str, Tensor], sha256: str) -> None:
        """Take over the weights of a run before; a time plane that it did not have begins at nothing."""
        stem = "stem.0.weight"
        missing = self.network.stem[0].in_channels - weights[stem].shape[1]
        weights = weights | {stem: functional.pad(weights[stem], (0, 0, 0, 0, 0, missing))}
        self.network.load_state_dict(weights, strict=False)
        self.average = running.copied_weights(self.network)
        self.started_from = sha256

    def save(self) -> None:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        done = {"average": self.average, "step": self.step, "started_from": self.started_from}
        running.save_checkpoint(self.checkpoint, {**state, **done})

    def learn(self, planes: Tensor, targets: Targets) -> dict[str, float]:
        """One step on one batch; its losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            cells = self.network(planes)
        losses = detection_loss(cells, targets)
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        self.step += 1
        # Short at first, so that the start is forgotten.
        running.follow(self.average, self.network, self.recipe.average * (1 - math.exp(-self.step / 1000)))
        return {name: float(value.detach()) for name, value in losses.items()}

    def _rate(self) -> float:
        recipe = self.recipe
        if self.step < recipe.warm_up:
            return recipe.rate * (self.step + 1) / recipe.warm_up
        done = (self.step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
        return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def _loop(run: Run, sampler: Sampler, last: int) -> None:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )  # fmt: skip
    console = Console(stderr=True)
    smooth: dict[str, float] = {}
    start, first = time.monotonic(), run.step
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"training {run.recipe.band}", total=last, completed=run.step, losses="")
        for planes, targets in _batches(sampler, run.recipe, run.device, last - run.step):
            for name, value in run.learn(planes, targets).items():
                smooth[name] = value if name not in smooth else 0.98 * smooth[name] + 0.02 * value
            text = " ".join(f"{name} {value:.3f}" for name, value in smooth.items())
            progress.update(bar, advance=1, losses=text)
            if run.step % 250 == 0:
                run.save()
                pace = (run.step - first) * run.recipe.batch / (time.monotonic() - start)
                console.log(f"step {run.step} of {last}: {text}, {pace:.0f} crops/s")


def _batches(sampler: Sampler, recipe: Recipe, device: torch.device, count: int) -> Iterator[tuple[Tensor, Targets]]:
    """Batches drawn by one thread ahead of the network, in one fixed order."""
    ready: queue.Queue[tuple[Tensor, Targets]] = queue.Queue(maxsize=4)
    over = threading.Event()

    def draw() -> None:
        for _ in range(count):
            batch = collate([sampler.draw() for _ in range(recipe.batch)])
            while not over.is_set():
                try:
                    ready.put(batch, timeout=0.5)
                    break
                except queue.Full:
                    continue

    threading.Thread(target=draw, daemon=True, name="sampler").start()
    try:
        for _ in range(count):
            planes, targets = ready.get()
            planes = planes.to(device, memory_format=torch.channels_last)
            yield planes, Targets(*(part.to(device) for part in targets))
    finally:
        over.set()


def collate(samples: list[Sample]) -> tuple[Tensor, Targets]:
    """Stack crops; pad their boxes to the same number."""
    count = len(samples)
    boxes = torch.zeros(count, _MOST_BOXES, 4)
    boxes[..., 2:] = 1.0
    labels = torch.zeros(count, _MOST_BOXES, dtype=torch.int64)
    valid = torch.zeros(count, _MOST_BOXES, dtype=torch.bool)
    for row, sample in enumerate(samples):
        n = min(len(sample.boxes), _MOST_BOXES)
        boxes[row, :n] = torch.from_numpy(sample.boxes[:n])
        labels[row, :n] = torch.from_numpy(sample.labels[:n])
        valid[row, :n] = True
    planes = torch.from_numpy(np.stack([sample.planes for sample in samples]))
    return planes, Targets(boxes, labels, valid, torch.tensor([s.bird_weight for s in samples]))


def start_weights(recipe_name: str, band: Band, work: Path) -> tuple[dict[str, Tensor], str]:
    """The weights that a recipe ended with, and the SHA-256 of their file: from its own run, else the shipped ones.

    Raises:
        WeightsError: neither is here.
    """
    for path in (work / recipe_name / f"{band}.safetensors", WEIGHTS_FOLDER / f"{band}.safetensors"):
        if path.is_file():
            card = json.loads(path.with_suffix(".json").read_text())
            if card.get("recipe_name", band) == recipe_name:
                return load_file(path), card["sha256"]
    raise WeightsError(f"This recipe begins with the weights of the recipe '{recipe_name}', which is to be run first.")


def write_weights(run: Run, recipe_name: str, folder: Path = WEIGHTS_FOLDER) -> Path:
    """The averaged weights as safetensors, and beside them what made them."""
    path = folder / f"{run.recipe.band}.safetensors"
    card = {
        "name": f"deeplomatics-{run.recipe.band}",
        "architecture": run.network.architecture.to_dict(),
        "recipe_name": recipe_name,
        "recipe": asdict(run.recipe),
        "started_from_sha256": run.started_from,
        "steps_done": run.step,
        "data": "Halmstad multi-sensor drone data set (CC0), split train by scene",
        "command": f"deeplomatics train detector --recipe {recipe_name}",
        "torch": torch.__version__,
    }
    running.write_weights(path, run.average, card)
    return path
