"""Training of the sound recogniser: resumable, seeded, minutes on two cores.

    deeplomatics train acoustic --data DIR

The network is chosen on `val`: of the averaged weights at each check, those with the lowest loss on `val`, as recorded
and with noise mixed in. The temperature that makes the scores probabilities is fitted on the same. Written are
`models/weights/acoustic.safetensors` and `acoustic.json` (architecture, recipe, hash, temperature, figures on `val`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from models import running
from models.acoustic_data import Augmenter, Sound, load_sounds, mixed, noise_spectrum, windows
from models.acoustic_evaluate import calibration_error
from models.acoustic_network import SOUNDS, AcousticNetwork, Architecture
from models.infer import WEIGHTS_FOLDER

_CHECK_EVERY = 100
_VAL_RATIOS_DB = (10.0, 0.0)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned, besides the data."""

    steps: int = 1500
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
        work: for the checkpoint.
        device: auto, cpu or cuda.
        threads: of torch on the CPU; its own choice when None.
        cap: stop after this step (for tests).

    Raises:
        DatasetError: no recordings there.
        KeyError: no such recipe.
    """
    recipe = RECIPES[recipe_name]
    where = running.chosen_device(device)
    if threads:
        torch.set_num_threads(threads)
    run = Run(recipe, where, work / recipe_name / "checkpoint.pt")
    augmenter = Augmenter(load_sounds(data, "train"), run.network.architecture, recipe.seed + run.step)
    judge = Judge(load_sounds(data, "val"), run.network.architecture, where)
    last = min(cap or recipe.steps, recipe.steps)
    try:
        _loop(run, augmenter, judge, last)
    finally:
        run.save()
    return write_weights(run, judge, recipe_name, folder)


class Run:
    """The state of one run: network, optimiser, the average of its weights, and the best average so far."""

    def __init__(self, recipe: Recipe, device: torch.device, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.checkpoint = recipe, device, checkpoint
        self.network = AcousticNetwork().to(device)
        self.average = running.copied_weights(self.network)
        self.best = running.copied_weights(self.network)
        self.best_loss, self.best_step = math.inf, 0
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        self.step = 0
        saved = running.load_checkpoint(checkpoint, device)
        if saved is not None:
            self._continue(saved)

    def _continue(self, saved: dict) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average, self.best, self.step = saved["average"], saved["best"], saved["step"]
        self.best_loss, self.best_step = saved["best_loss"], saved["best_step"]

    def save(self) -> None:
        names = ("average", "best", "best_loss", "best_step", "step")
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        running.save_checkpoint(self.checkpoint, {**state, **{name: getattr(self, name) for name in names}})

    def learn(self, samples: Tensor, labels: Tensor) -> float:
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / 50)
            group["lr"] = recipe.rate * warm * 0.5 * (1 + math.cos(math.pi * min(self.step / recipe.steps, 1.0)))
        self.network.train()
        share = float(np.random.default_rng([recipe.seed, self.step]).beta(recipe.mixup, recipe.mixup))
        picture = self.network.picture(samples)
        logits = self.network.classify(_masked(share * picture + (1.0 - share) * picture.roll(1, 0)))
        loss = share * self._loss(logits, labels) + (1.0 - share) * self._loss(logits, labels.roll(1, 0))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        running.follow(self.average, self.network, min(recipe.average, 1 - 1 / (self.step + 1)))
        return float(loss.detach())

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.smoothing)

    def averaged(self) -> AcousticNetwork:
        network = AcousticNetwork(self.network.architecture).to(self.device)
        network.load_state_dict(self.average)
        return network.eval()


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


def _loop(run: Run, augmenter: Augmenter, judge: Judge, last: int) -> None:
    console = Console(stderr=True)
    steps = track(range(run.step, last), "training acoustic", console=console, disable=not console.is_terminal)
    smooth = 1.0
    for _ in steps:
        samples, labels = augmenter.batch(run.recipe.batch)
        loss = run.learn(torch.from_numpy(samples).to(run.device), torch.from_numpy(labels).to(run.device))
        smooth = 0.98 * smooth + 0.02 * loss
        if run.step % _CHECK_EVERY == 0 or run.step == last:
            _check(run, judge)
            console.log(f"step {run.step} of {last}: loss {smooth:.3f}, best on val {run.best_loss:.4f}")


def _check(run: Run, judge: Judge) -> None:
    """Keep the averaged weights where they are the best on `val` so far."""
    loss = judge.loss(run.averaged())
    if loss < run.best_loss:
        run.best_loss, run.best_step = loss, run.step
        run.best = {k: v.clone() for k, v in run.average.items()}
    run.save()


def write_weights(run: Run, judge: Judge, name: str, folder: Path) -> Path:
    """The best averaged weights as safetensors, and beside them what made them."""
    network = AcousticNetwork(run.network.architecture).to(run.device)
    network.load_state_dict(run.best)
    network.eval()
    path = folder / f"{name}.safetensors"
    temperature = judge.temperature(network)
    card = {
        "name": f"deeplomatics-{name}",
        "sounds": list(SOUNDS),
        "architecture": network.architecture.to_dict(),
        "temperature": round(temperature, 4),
        "recipe": asdict(run.recipe),
        "steps_done": run.step,
        "chosen_step": run.best_step,
        "val": judge.figures(network, temperature),
        "data": "Halmstad multi-sensor drone data set (CC0), audio, split train",
        "command": "deeplomatics train acoustic",
        "torch": torch.__version__,
    }
    running.write_weights(path, run.best, card)
    return path
