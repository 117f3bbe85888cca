"""Training of the detector: resumable, seeded, on whatever device there is.

    deeplomatics train detector --data DIR --recipe infrared

A recipe is a few numbers in `RECIPES`. A run keeps `checkpoint.pt` in its work folder (kept out of the repository; read
back with `weights_only`) and continues from it; at its end it writes `models/weights/<band>.safetensors` and
`<band>.json` (architecture, recipe, data split, hash, operating thresholds and figures on `val`).
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from models import running
from models.coco import load_coco
from models.detector import SIZES, Architecture, DetectorNetwork
from models.evaluate import set_thresholds
from models.footage import Footage
from models.halmstad import load_clips
from models.infer import WeightsError, architecture_of, load_network
from models.input_ranges import set_largest_inputs
from models.losses import Targets, detection_loss
from models.sampling import Pasting, Sampler
from models.types import Band

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
_AHEAD = 4  # batches
_TOLD, _SAVED = 50, 250  # steps between a word about them, and between checkpoints


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned, besides the data."""

    band: Band
    steps: int = 15000
    batch: int = 256
    crop: int = 128
    rate: float = 3e-3
    weight_decay: float = 0.05
    warm_up: int = 300
    average: float = 0.999
    calm: float = 0.12  # share of the steps, the last ones, on crops close to what a camera gives
    pasting: Pasting = field(default_factory=Pasting)
    seed: int = 1
    size: str = "large"  # a key of `detector.SIZES`


RECIPES: dict[str, Recipe] = {
    # In infrared contrast is much of a thing's name, so there is no haze.
    "infrared": Recipe("infrared", steps=3479, calm=0.2, pasting=Pasting(times=1, sizes=(9.5, 36.0), haziest=1.0)),
    "visible": Recipe("visible", steps=6722),
}


def train(recipe_name: str, data: Path, work: Path, device: str = "auto", **how: Any) -> Path:
    """Train one recipe to its end, continuing an interrupted run, and write the weights with their figures on `val`.

    Args:
        recipe_name, data, work, device, how: as for `learn`.

    Returns:
        Path of the written safetensors.

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
    """
    run = learn(recipe_name, data, work, device, **how)
    path = write_weights(run, recipe_name)
    set_largest_inputs(path, data)
    set_thresholds(path, data, run.device.type, torch.get_num_threads())
    return path


def learn(
    recipe_name: str,
    data: Path,
    work: Path,
    device: str = "auto",
    threads: int | None = None,
    cap: int | None = None,
    extra: Sequence[Path] = (),
    minutes: float | None = None,
    start: Path | None = None,
) -> Run:
    """Run one recipe to its end.

    Args:
        recipe_name: a key of `RECIPES`.
        data: the folder of the recordings (`clips.csv` inside).
        work: for the pictures and the checkpoint.
        device: auto, cpu or cuda.
        threads: of torch on the CPU; all cores when None.
        cap: stop after this step (for tests); the schedule stays that of the whole recipe.
        extra: folders of labelled pictures beside the recordings (`models.coco`).
        minutes: take so long, with as many steps as that gives on this device, instead of the recipe's.
        start: weights to begin with, and their network; none: from scratch.

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
        WeightsError: those to begin with are missing, changed, or of the other band.
    """
    recipe = RECIPES[recipe_name]
    where = running.chosen_device(device)
    if threads:
        torch.set_num_threads(threads)
    clips = load_clips(data, recipe.band, "train")
    clips += [clip for folder in extra for clip in load_coco(folder, recipe.band)]
    run = Run(recipe, where, work / recipe_name / "checkpoint.pt")
    if start and not run.step:
        run.begin_with(start)
    footage = Footage(clips, recipe.band, work / "cache", where)
    looks, seed = run.network.architecture, recipe.seed + run.step
    sampler = Sampler(clips, footage, looks, recipe.crop, seed, recipe.pasting)
    try:
        _loop(run, sampler, min(cap or recipe.steps, recipe.steps) if minutes is None else None, minutes)
    finally:
        run.save()
    return run


class Run:
    """The state of one training run: network, its moving average, optimiser, step of so many steps."""

    def __init__(self, recipe: Recipe, device: torch.device, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.checkpoint = recipe, device, checkpoint
        # A third quicker on processors that multiply bfloat16 themselves.
        self.half = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.step, self.steps, self.started_from = 0, recipe.steps, ""
        saved = running.load_checkpoint(checkpoint, device)
        if saved is None:
            self._learn_on(DetectorNetwork(Architecture(recipe.band, **SIZES[recipe.size])))
            return
        self._learn_on(DetectorNetwork(architecture_of(saved)))
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average, self.step, self.started_from = saved["average"], saved["step"], saved["started_from"]

    def begin_with(self, weights: Path) -> None:
        """Take over a network and its weights."""
        card, network = load_network(weights)
        if network.architecture.band != self.recipe.band:
            raise WeightsError(f"The weights {weights} are not for {self.recipe.band} pictures.")
        self._learn_on(network)
        self.started_from = card["sha256"]

    def _learn_on(self, network: DetectorNetwork) -> None:
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = running.copied_weights(self.network)
        decay = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": self.recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        fused = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(groups, lr=self.recipe.rate, betas=(0.9, 0.99), fused=fused)

    def save(self) -> None:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        done = {"average": self.average, "step": self.step, "started_from": self.started_from}
        network = {"architecture": self.network.architecture.to_dict()}
        running.save_checkpoint(self.checkpoint, {**state, **done, **network})

    def learn(self, planes: Tensor, targets: Targets) -> dict[str, Tensor]:
        """One step on one batch; its losses, still on the device: nobody need wait for them."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            cells = self.network(planes.contiguous(memory_format=torch.channels_last))
        losses = detection_loss(cells, targets)
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        self.step += 1
        # Short at first, so that the start is forgotten.
        running.follow(self.average, self.network, self.recipe.average * (1 - math.exp(-self.step / 1000)))
        return {name: value.detach() for name, value in losses.items()}

    @property
    def calm(self) -> bool:
        """Whether its last steps have begun."""
        return self.step >= (1 - self.recipe.calm) * self.steps

    def _rate(self) -> float:
        recipe = self.recipe
        if self.step < recipe.warm_up:
            return recipe.rate * (self.step + 1) / recipe.warm_up
        done = (self.step - recipe.warm_up) / max(self.steps - recipe.warm_up, 1)
        return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def _loop(run: Run, sampler: Sampler, last: int | None, minutes: float | None) -> None:
    """Up to the step `last`, or for some minutes."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )  # fmt: skip
    console = Console(stderr=True)
    smooth: dict[str, Tensor] = {}
    start, first = time.monotonic(), run.step
    sampler.calm = run.calm
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"training {run.recipe.band}", total=run.steps, completed=run.step, losses="")
        for planes, targets in _batches(sampler, run.recipe.batch, None if last is None else last - run.step):
            for name, value in run.learn(planes, targets).items():
                smooth[name] = value if name not in smooth else torch.lerp(smooth[name], value, 0.02)
            sampler.calm = run.calm
            if run.step % _TOLD == 0:
                text = " ".join(f"{name} {float(value):.3f}" for name, value in smooth.items())
                elapsed = time.monotonic() - start
                if minutes is not None:
                    run.steps = first + round((run.step - first) * max(60 * minutes / elapsed, 1.0))
                progress.update(bar, completed=run.step, total=run.steps, losses=text)
            if run.step % _SAVED == 0:
                run.save()
                pace = (run.step - first) * run.recipe.batch / elapsed
                console.log(f"step {run.step} of {run.steps}: {text}, {pace:.0f} crops/s")
            if minutes is not None and run.step >= run.steps:
                break


def _batches(sampler: Sampler, size: int, count: int | None) -> Iterator[tuple[Tensor, Targets]]:
    """So many batches, or batches for ever, drawn by one thread ahead of the network, in one fixed order."""
    ahead: deque[Future[tuple[Tensor, Targets]]] = deque()
    with ThreadPoolExecutor(1, "sampler") as thread:
        for _ in itertools.count() if count is None else range(count):
            while len(ahead) < _AHEAD:
                ahead.append(thread.submit(sampler.draw, size))
            yield ahead.popleft().result()


def write_weights(run: Run, recipe_name: str, folder: Path = WEIGHTS_FOLDER) -> Path:
    """The averaged weights as safetensors, and beside them what made them."""
    path = folder / f"{run.recipe.band}.safetensors"
    card = {
        "name": f"deeplomatics-{run.recipe.band}",
        "architecture": run.network.architecture.to_dict(),
        "recipe_name": recipe_name,
        "recipe": asdict(replace(run.recipe, steps=run.steps)),
        "started_from_sha256": run.started_from,
        "steps_done": run.step,
        "data": "Halmstad multi-sensor drone data set (CC0), split train by scene",
        "command": f"deeplomatics train detector --recipe {recipe_name}",
        "torch": torch.__version__,
    }
    running.write_weights(path, run.average, card)
    return path
