"""Training of the detector: resumable, seeded, on whatever device there is.

    deeplomatics train detector --data DIR --recipe infrared

A recipe is a few numbers in `RECIPES`. A run keeps `checkpoint.pt` in its work folder (kept out of the repository; read
back with `weights_only`) and continues from it; at its end it writes `models/weights/<recipe>.safetensors` and
`<recipe>.json` (architecture, recipe, data split, hash, operating thresholds and figures on `val`).
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from models import running
from models.detector import Architecture, DetectorNetwork
from models.evaluate import set_thresholds
from models.halmstad import load_clips
from models.losses import Targets, detection_loss
from models.sampling import FrameCache, Sample, Sampler
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


RECIPES: dict[str, Recipe] = {"infrared": Recipe("infrared"), "visible": Recipe("visible")}


def train(
    recipe_name: str, data: Path, work: Path, device: str = "auto", threads: int | None = None, cap: int | None = None
) -> Path:
    """Train one recipe to its end, continuing an interrupted run, and write the weights.

    Args:
        recipe_name: a key of `RECIPES`.
        data: the folder of the recordings (`clips.csv` inside).
        work: for the frame cache and the checkpoint.
        device: auto, cpu or cuda.
        threads: of torch on the CPU; all cores when None.
        cap: stop after this step (for tests); the schedule stays that of the whole recipe.

    Returns:
        Path of the written safetensors.

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
    """
    recipe = RECIPES[recipe_name]
    where = running.chosen_device(device)
    if threads:
        torch.set_num_threads(threads)
    clips = load_clips(data, recipe.band, "train")
    run = Run(recipe, where, work / recipe_name / "checkpoint.pt")
    calm_after = (recipe.steps - recipe.calm - run.step) * recipe.batch
    cache = FrameCache(work / "cache", clips)
    sampler = Sampler(clips, cache, recipe.band, recipe.crop, recipe.seed + run.step, calm_after)
    last = min(cap or recipe.steps, recipe.steps)
    try:
        _loop(run, sampler, last)
    finally:
        run.save()
    path = write_weights(run, recipe_name)
    set_thresholds(path, data, where.type, torch.get_num_threads())
    return path


class Run:
    """The state of one training run: network, its moving average, optimiser, step."""

    def __init__(self, recipe: Recipe, device: torch.device, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.checkpoint = recipe, device, checkpoint
        self.network = DetectorNetwork(Architecture(recipe.band)).to(device, memory_format=torch.channels_last)
        self.average = running.copied_weights(self.network)
        decay = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.99))
        self.step = 0
        saved = running.load_checkpoint(checkpoint, device)
        if saved is not None:
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.average, self.step = saved["average"], saved["step"]

    def save(self) -> None:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        running.save_checkpoint(self.checkpoint, {**state, "average": self.average, "step": self.step})

    def learn(self, planes: Tensor, targets: Targets) -> dict[str, float]:
        """One step on one batch; its losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        losses = detection_loss(self.network(planes), targets)
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


def write_weights(run: Run, name: str, folder: Path = WEIGHTS_FOLDER) -> Path:
    """The averaged weights as safetensors, and beside them what made them."""
    path = folder / f"{name}.safetensors"
    card = {
        "name": f"deeplomatics-{name}",
        "architecture": run.network.architecture.to_dict(),
        "recipe": asdict(run.recipe),
        "steps_done": run.step,
        "data": "Halmstad multi-sensor drone data set (CC0), split train by scene",
        "command": f"deeplomatics train detector --recipe {name}",
        "torch": torch.__version__,
    }
    running.write_weights(path, run.average, card)
    return path
