"""Training of the learned evidence of directions: resumable, seeded, minutes on one core.

    deeplomatics train directions

What is learned is a density on the sphere (`acoustic_directions`). Its logarithm is compared at the true direction with
that all over the sky, and on rings that close in on the truth, so that the spread is learned from the sky's scale down
to a third of a degree: the loss is the negative logarithm of the density at the truth. Scenes come from outside (the
simulated field); noise, wind, gains, lost microphones and the ratio are drawn here, anew for each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy import fft
from torch import Tensor

from models import running
from models.acoustic_directions import Architecture, DirectionNetwork
from models.infer import WEIGHTS_FOLDER

WINDOW = 836
_LAGS_PER_PERIOD = 12.0
_RINGS_RAD = np.radians([0.4, 0.8, 1.6, 3.2, 6.4])
_ON_A_RING = 8
_SKY = 320
_LOWEST_ELEVATION_RAD = math.radians(-10.0)
_CHECK_EVERY = 50
_VAL_RATIOS_DB = (5.0, -5.0, -12.0)


class Scenes(Protocol):
    """What one array hears of several scenes: see `simulation.array_scenes`."""

    @property
    def delays_s(self) -> np.ndarray: ...
    @property
    def sound(self) -> np.ndarray: ...
    @property
    def directions(self) -> np.ndarray: ...


#: Draws scenes: generator, how many, samples a second, samples.
Draw = Callable[[np.random.Generator, int, float, int], Scenes]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned, besides the scenes' maker."""

    arrays: int = 48
    scenes: int = 16  # of each array, and in a batch
    steps: int = 1200
    rate: float = 3e-3
    weight_decay: float = 0.01
    average: float = 0.99
    lowest_db: float = -18.0
    highest_db: float = 12.0
    seed: int = 1


def train(
    draw: Draw,
    work: Path,
    recipe: Recipe | None = None,
    threads: int | None = None,
    folder: Path = WEIGHTS_FOLDER,
) -> Path:
    """Train to the recipe's end, continuing an interrupted run, and write `directions.safetensors` into `folder`."""
    recipe = recipe or Recipe()
    if threads:
        torch.set_num_threads(threads)
    generator = np.random.default_rng(recipe.seed)
    rate = Architecture.rate_hz
    bank = [draw(generator, recipe.scenes, rate, WINDOW) for _ in range(recipe.arrays)]
    judge = Judge([draw(generator, recipe.scenes, rate, WINDOW) for _ in range(max(recipe.arrays // 8, 1))])
    run = Run(recipe, work / "directions" / "checkpoint.pt")
    try:
        _loop(run, bank, judge)
    finally:
        run.save()
    return _write(run, judge, folder / "directions.safetensors")


class Run:
    """The state of one run: network, optimiser, the average of its weights, and the best average so far."""

    def __init__(self, recipe: Recipe, checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.checkpoint = recipe, checkpoint
        self.network = DirectionNetwork()
        self.average = running.copied_weights(self.network)
        self.best = running.copied_weights(self.network)
        self.best_loss, self.best_step, self.step = math.inf, 0, 0
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        saved = running.load_checkpoint(checkpoint, torch.device("cpu"))
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

    def learn(self, samples: Tensor, delays_s: Tensor, truth: Tensor) -> float:
        for group in self.optimiser.param_groups:
            warm = min(1.0, (self.step + 1) / 50)
            done = min(self.step / self.recipe.steps, 1.0)
            group["lr"] = self.recipe.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        generator = np.random.default_rng([self.recipe.seed, self.step])
        loss = surprise(self.network, samples, delays_s, truth, generator).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        running.follow(self.average, self.network, min(self.recipe.average, 1 - 1 / (self.step + 1)))
        return float(loss.detach())

    def averaged(self) -> DirectionNetwork:
        network = DirectionNetwork(self.network.architecture)
        network.load_state_dict(self.average)
        return network.eval()


# --- The density on the sphere ---------------------------------------------------------------------------------------


def surprise(
    network: DirectionNetwork, samples: Tensor, delays_s: Tensor, truth: Tensor, generator: np.random.Generator
) -> Tensor:
    """Minus the logarithm of the density (per steradian) at the true directions `[B, 3]`, `[B]`.

    Args:
        samples: `[B, M, N]` at the network's rate.
        delays_s: `[M, 3]`.
    """
    columns = network(samples)
    directions, areas = candidates(truth.numpy(), generator)
    logarithm = log_density(columns, network.architecture, delays_s, torch.from_numpy(directions).float())
    weighted = logarithm + torch.from_numpy(np.log(areas)).float()
    return weighted.logsumexp(1) - logarithm[:, 0]


def log_density(columns: Tensor, of: Architecture, delays_s: Tensor, directions: Tensor) -> Tensor:
    """`[B, C]`, up to a constant, of evidence `[B, M, F, T]` at unit vectors `[B, C, 3]`.

    The cross-correlations of all pairs are computed at fixed lags and read between them by a cubic.
    """
    count = columns.shape[1]
    first, second = torch.triu_indices(count, count, 1)
    cross = (columns[:, first] * columns[:, second].conj()).sum(3)  # [B, P, F]
    lag_s = 1.0 / (_LAGS_PER_PERIOD * of.highest_hz)
    baselines = (delays_s[first] - delays_s[second]) / lag_s
    most = math.ceil(float(baselines.square().sum(1).max().sqrt())) + 2
    angle = torch.from_numpy(2.0 * np.pi * of.carriers_hz * lag_s).float()[:, None] * torch.arange(-most, most + 1)
    lags = cross.real @ angle.cos() + cross.imag @ angle.sin()  # [B, P, L]
    places = (directions @ baselines.T).transpose(1, 2) + most  # [B, P, C]
    return 2.0 * _between(lags, places).sum(1)


def _between(values: Tensor, places: Tensor) -> Tensor:
    """Catmull and Rom's cubic through `values` `[..., L]` at `places` `[..., C]`."""
    left = places.detach().floor().long()
    d = places - left
    a, b, c, e = (values.gather(-1, left + k) for k in (-1, 0, 1, 2))
    return b + 0.5 * d * (c - a + d * (2.0 * a - 5.0 * b + 4.0 * c - e + d * (3.0 * (b - c) + e - a)))


def candidates(truth: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Directions `[B, C, 3]`, the truth first, then rings around it, then the sky; and their solid angles `[B, C]`.

    The sky's points within the outermost ring have no area, because the rings have it.
    """
    edges = np.concatenate([_RINGS_RAD[:1] / math.sqrt(2.0), _RINGS_RAD * math.sqrt(2.0)])
    rings = np.diff(2.0 * np.pi * (1.0 - np.cos(edges))) / _ON_A_RING
    near = _rings(truth, generator)
    sky = _sky(generator)
    beyond = truth @ sky.T < math.cos(edges[-1])
    whole = 2.0 * np.pi * (1.0 - math.sin(_LOWEST_ELEVATION_RAD)) / len(sky)
    areas = np.concatenate(
        [
            np.full((len(truth), 1), 2.0 * np.pi * (1.0 - math.cos(edges[0]))),
            np.broadcast_to(np.repeat(rings, _ON_A_RING), (len(truth), len(_RINGS_RAD) * _ON_A_RING)),
            np.where(beyond, whole, 1e-30),
        ],
        axis=1,
    )
    return np.concatenate([truth[:, None], near, np.broadcast_to(sky, (len(truth), *sky.shape))], axis=1), areas


def _rings(truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Points around each truth, turned at random `[B, R, 3]`."""
    across = np.cross(truth, generator.standard_normal(truth.shape))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(truth, across)
    turn = generator.uniform(0.0, 2.0 * np.pi) + 2.0 * np.pi * np.arange(_ON_A_RING) / _ON_A_RING
    sideways = across[:, None] * np.cos(turn)[:, None] + other[:, None] * np.sin(turn)[:, None]  # [B, 8, 3]
    ahead = np.cos(_RINGS_RAD)[:, None, None] * truth[:, None, None]  # [B, R, 1, 3]
    points = ahead + np.sin(_RINGS_RAD)[:, None, None] * sideways[:, None]
    return points.reshape(len(truth), -1, 3)


def _sky(generator: np.random.Generator) -> np.ndarray:
    """Fibonacci's spiral from the lowest elevation up, turned at random `[_SKY, 3]`."""
    lowest = math.sin(_LOWEST_ELEVATION_RAD)
    up = lowest + (1.0 - lowest) * (np.arange(_SKY) + 0.5) / _SKY
    turn = np.arange(_SKY) * math.pi * (3.0 - math.sqrt(5.0)) + generator.uniform(0.0, 2.0 * np.pi)
    level = np.sqrt(1.0 - up * up)
    return np.stack([level * np.cos(turn), level * np.sin(turn), up], axis=1)


# --- What is heard ---------------------------------------------------------------------------------------------------


def disturbed(sound: np.ndarray, ratios_db: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Sound `[B, M, N]` in each microphone's own noise, white and of wind, at ratios `[B]`; gains a little off."""
    noise = _noise(generator, sound.shape)
    level = np.sqrt(np.square(sound).mean(axis=(1, 2), keepdims=True)) * 10.0 ** (-ratios_db / 20.0)[:, None, None]
    gains = np.exp(generator.normal(0.0, 0.1, (*sound.shape[:2], 1)))
    heard = gains * (sound + level * noise)
    return (heard / heard.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of root mean square one over the microphones; the power of wind falls as f^(−5/3), some have more of it."""
    size, count, length = shape
    bins = length // 2 + 1
    wind = np.maximum(np.arange(bins), 4.0) ** (-5.0 / 6.0)
    wind /= math.sqrt(float(np.square(wind).mean()))
    share = generator.uniform(0.0, 1.0, (size, 1, 1)) * np.exp(generator.normal(0.0, 0.5, (size, count, 1)))
    parts = generator.standard_normal((size, count, bins, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise = fft.irfft(parts * (1.0 + share * wind).astype(np.float32), length)
    return noise / np.sqrt(np.square(noise).mean(axis=(1, 2), keepdims=True))


def _batch(bank: Sequence[Scenes], recipe: Recipe, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Samples, delays and truths of one array, of which some microphones may be missing."""
    generator = np.random.default_rng([recipe.seed, step, 1])
    scenes = bank[int(generator.integers(len(bank)))]
    count = scenes.sound.shape[1]
    kept = np.sort(generator.permutation(count)[: generator.integers(5, count + 1)])
    ratios = generator.uniform(recipe.lowest_db, recipe.highest_db, len(scenes.sound))
    return _tensors(scenes, disturbed(scenes.sound[:, kept], ratios, generator), kept)


def _tensors(scenes: Scenes, samples: np.ndarray, kept: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    delays = scenes.delays_s[kept] - scenes.delays_s[kept].mean(axis=0)
    return torch.from_numpy(samples), torch.from_numpy(delays).float(), torch.from_numpy(scenes.directions).float()


class Judge:
    """Scenes of arrays that training does not hear, at fixed ratios, the same noise every time."""

    def __init__(self, bank: Sequence[Scenes]) -> None:
        self._bank = bank

    def losses(self, network: DirectionNetwork) -> dict[float, float]:
        """Mean surprise by ratio."""
        return {ratio: self._loss(network, ratio) for ratio in _VAL_RATIOS_DB}

    def _loss(self, network: DirectionNetwork, ratio_db: float) -> float:
        total = 0.0
        for index, scenes in enumerate(self._bank):
            generator = np.random.default_rng(index)
            heard = disturbed(scenes.sound, np.full(len(scenes.sound), ratio_db), generator)
            with torch.inference_mode():
                each = surprise(network, *_tensors(scenes, heard, np.arange(heard.shape[1])), generator)
            total += float(each.mean())
        return total / len(self._bank)


def _loop(run: Run, bank: Sequence[Scenes], judge: Judge) -> None:
    console = Console(stderr=True)
    left = range(run.step, run.recipe.steps)
    smooth = None
    for _ in track(left, "training directions", console=console, disable=not console.is_terminal):
        loss = run.learn(*_batch(bank, run.recipe, run.step))
        smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
        if run.step % _CHECK_EVERY == 0 or run.step == run.recipe.steps:
            losses = judge.losses(run.averaged())
            _keep(run, sum(losses.values()) / len(losses))
            told = ", ".join(f"{ratio:+.0f} dB {value:.2f}" for ratio, value in losses.items())
            console.log(f"step {run.step} of {run.recipe.steps}: loss {smooth:.2f}; on val {told}")


def _keep(run: Run, loss: float) -> None:
    """The averaged weights where they are the best so far."""
    if loss < run.best_loss:
        run.best_loss, run.best_step = loss, run.step
        run.best = {name: value.clone() for name, value in run.average.items()}
    run.save()


def _write(run: Run, judge: Judge, path: Path) -> Path:
    network = DirectionNetwork(run.network.architecture)
    network.load_state_dict(run.best)
    card = {
        "name": "deeplomatics-directions",
        "kind": "directions",
        "architecture": network.architecture.to_dict(),
        "recipe": asdict(run.recipe),
        "steps_done": run.step,
        "chosen_step": run.best_step,
        "val": {f"surprise at {ratio:+.0f} dB": round(loss, 3) for ratio, loss in judge.losses(network.eval()).items()},
        "data": "simulated fields (simulation/array_scenes.py)",
        "command": "deeplomatics train directions",
        "torch": torch.__version__,
    }
    running.write_weights(path, run.best, card)
    return path
