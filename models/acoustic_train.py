"""Training of the sound recogniser: resumable, seeded, minutes on one core.

    deeplomatics train acoustic --data DIR

Each tower of the network is trained by itself to the end of its schedule; the weights are a moving average of its
steps. Nothing is chosen on `val` here, which has six recordings: the recipe was, by leaving kinds of recordings out
(`docs/decisions/0018`). On `val`, as recorded and with noise mixed in, the temperature is fitted that makes the scores
probabilities. Written are `models/weights/acoustic.safetensors` and `acoustic.json` (architecture, recipe, hash,
temperature, figures on `val`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from models import running
from models.acoustic_augment import Augmenter
from models.acoustic_data import Sound, load_sounds, mixed, noise_spectrum, windows
from models.acoustic_evaluate import calibration_error
from models.acoustic_network import PICTURES, SOUNDS, AcousticNetwork, Architecture, Tower
from models.infer import WEIGHTS_FOLDER

_SAVED_EVERY = 100
_VAL_RATIOS_DB = (10.0, 0.0)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned, besides the data."""

    steps: int = 600
    batch: int = 32
    rate: float = 3e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05
    average: float = 0.98
    mixup: float = 0.2
    seed: int = 1


RECIPES: dict[str, Recipe] = {"acoustic": Recipe()}


def train(
    recipe_name: str,
    data: Path,
    work: Path,
    device: str = "auto",
    threads: int | None = None,
    cap: int | None = None,
    folder: Path = WEIGHTS_FOLDER,
) -> Path:
    """Train one recipe to its end, continuing an interrupted run, and write the weights into `folder`.

    Args:
        data: the folder of the recordings (`audio.csv` inside).
        work: for the checkpoints.
        device: auto, cpu or cuda.
        threads: of torch on the CPU; its own choice when None.
        cap: stop each tower after this step (for tests).

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
    """
    recipe = RECIPES[recipe_name]
    where = running.chosen_device(device)
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    network = AcousticNetwork().to(where)
    sounds, val = (load_sounds(data, split, network.architecture.rate_hz) for split in ("train", "val"))
    last = min(cap or recipe.steps, recipe.steps)
    for number, (name, tower) in enumerate(network.towers.items()):
        run = Run(replace(recipe, seed=recipe.seed + number), name, tower, where, work / recipe_name / f"{name}.pt")
        try:
            if run.step < last:
                _loop(run, Augmenter(sounds, network.architecture, run.recipe.seed + run.step), last)
        finally:
            run.save()
        tower.load_state_dict(run.average)
    return write_weights(network.eval(), recipe, last, Judge(val, network.architecture, where), recipe_name, folder)


class Run:
    """The state of one tower's run: the tower, its optimiser, and the average of its weights."""

    def __init__(self, recipe: Recipe, picture: str, tower: Tower, device: torch.device, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.picture, self.device, self.checkpoint = recipe, picture, device, checkpoint
        self.tower = tower
        self.average = running.copied_weights(tower)
        self.optimiser = torch.optim.AdamW(tower.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        self.step = 0
        saved = running.load_checkpoint(checkpoint, device)
        if saved is not None:
            self._continue(saved)

    def _continue(self, saved: dict) -> None:
        self.tower.load_state_dict(saved["tower"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average, self.step = saved["average"], saved["step"]

    def save(self) -> None:
        state = {"tower": self.tower.state_dict(), "optimiser": self.optimiser.state_dict()}
        running.save_checkpoint(self.checkpoint, {**state, "average": self.average, "step": self.step})

    def learn(self, power: Tensor, labels: Tensor) -> float:
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / 50)
            group["lr"] = recipe.rate * warm * 0.5 * (1 + math.cos(math.pi * min(self.step / recipe.steps, 1.0)))
        self.tower.train()
        share = float(np.random.default_rng([recipe.seed, self.step]).beta(recipe.mixup, recipe.mixup))
        picture = PICTURES[self.picture](power)
        logits = self.tower(_masked(share * picture + (1.0 - share) * picture.roll(1, 0)))
        loss = share * self._loss(logits, labels) + (1.0 - share) * self._loss(logits, labels.roll(1, 0))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        running.follow(self.average, self.tower, min(recipe.average, 1 - 1 / (self.step + 1)))
        return float(loss.detach())

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.smoothing)


def _masked(picture: Tensor) -> Tensor:
    """One stripe of bands and one of time taken out of each picture (SpecAugment, Park et al., Interspeech 2019)."""
    size, _, bands, frames = picture.shape
    kept = torch.ones_like(picture, dtype=torch.bool)
    for axis, length in ((2, bands), (3, frames)):
        shape = [1, 1, 1, 1]
        shape[axis] = length
        place = torch.arange(length, device=picture.device).view(shape)
        start = torch.rand(size, 1, 1, 1, device=picture.device) * length
        width = torch.rand(size, 1, 1, 1, device=picture.device) * length / 5
        kept &= (place < start) | (place >= start + width)
    return picture * kept


class Judge:
    """The sounds of `val`: as recorded, and mixed with wind-like noise, the same every time."""

    def __init__(self, sounds: list[Sound], architecture: Architecture, device: torch.device) -> None:
        generator = np.random.default_rng(0)
        clean = np.concatenate([windows(s, architecture.window) for s in sounds])
        noise = np.fft.irfft(noise_spectrum(generator, clean.size // 2 + 1, 1.0), clean.size).reshape(clean.shape)
        noisy = [mixed_each(clean, noise, ratio) for ratio in _VAL_RATIOS_DB]
        self.recorded = len(clean)
        labels = np.concatenate([np.full(len(windows(s, architecture.window)), s.label) for s in sounds])
        self.samples = torch.from_numpy(np.concatenate([clean, *noisy]).astype(np.float32)).to(device)
        self.labels = torch.from_numpy(np.tile(labels, 1 + len(noisy))).to(device)

    def logits(self, network: AcousticNetwork) -> Tensor:
        with torch.inference_mode():
            return network(self.samples)

    def loss(self, network: AcousticNetwork) -> float:
        return float(functional.cross_entropy(self.logits(network), self.labels))

    def figures(self, network: AcousticNetwork, temperature: float) -> dict[str, float]:
        """Loss, share that is right, and how far scores are from shares before and after the temperature."""
        logits, labels = self.logits(network), self.labels.cpu().numpy()
        before, after = (torch.softmax(logits / t, 1).cpu().numpy() for t in (1.0, temperature))
        return {
            "loss": round(self.loss(network), 4),
            "accuracy": round(float((after.argmax(1) == labels).mean()), 4),
            "accuracy as recorded": round(float((after.argmax(1) == labels)[: self.recorded].mean()), 4),
            "calibration error before": round(calibration_error(labels, before), 4),
            "calibration error": round(calibration_error(labels, after), 4),
        }

    def temperature(self, network: AcousticNetwork) -> float:
        """The one with the lowest loss, to about 2 %."""
        logits, options = self.logits(network), np.geomspace(0.25, 4.0, 141)
        losses = [float(functional.cross_entropy(logits / float(t), self.labels)) for t in options]
        return float(options[int(np.argmin(losses))])


def mixed_each(clean: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """Each window `[W, N]` mixed with its own row of noise."""
    return np.stack([mixed(samples, other, ratio_db) for samples, other in zip(clean, noise, strict=True)])


def _loop(run: Run, augmenter: Augmenter, last: int) -> None:
    console = Console(stderr=True)
    steps = track(range(run.step, last), f"training {run.picture}", console=console, disable=not console.is_terminal)
    smooth = 1.0
    for _ in steps:
        power, labels = augmenter.batch(run.recipe.batch)
        loss = run.learn(torch.from_numpy(power).to(run.device), torch.from_numpy(labels).to(run.device))
        smooth = 0.98 * smooth + 0.02 * loss
        if run.step % _SAVED_EVERY == 0 or run.step == last:
            run.save()
            console.log(f"{run.picture}: step {run.step} of {last}, loss {smooth:.3f}")


def write_weights(network: AcousticNetwork, recipe: Recipe, steps: int, judge: Judge, name: str, folder: Path) -> Path:
    """The weights as safetensors, and beside them what made them."""
    path = folder / f"{name}.safetensors"
    temperature = judge.temperature(network)
    card = {
        "name": f"deeplomatics-{name}",
        "sounds": list(SOUNDS),
        "architecture": network.architecture.to_dict(),
        "temperature": round(temperature, 4),
        "recipe": asdict(recipe),
        "steps_done": steps,
        "val": judge.figures(network, temperature),
        "data": "Halmstad multi-sensor drone data set (CC0), audio, split train",
        "command": "deeplomatics train acoustic",
        "torch": torch.__version__,
    }
    running.write_weights(path, network.state_dict(), card)
    return path
