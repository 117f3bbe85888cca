"""The engine's state as bytes: plain JSON (a float's shortest decimal is exact), so that nothing in it can run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np

from fusion.geometry import CameraModel
from fusion.identity import Claim, claim_of
from fusion.life import Ray, Slot, Target
from fusion.noise import SensorNoise
from fusion.population import Piece, Population
from fusion.refinement import Refinement
from fusion.settings import FusionSettings
from fusion.types import Coverage, Scan, SensorPose, Space
from tracking.types import Status

VERSION = 3


class State(Protocol):
    """What an engine consists of."""

    settings: FusionSettings
    prefix: str
    time_ns: int | None
    next_number: int
    population: Population
    claims: dict[str, Claim]
    counts: Counter[str]


class SnapshotError(Exception):
    """Bytes that are no snapshot of this version and these settings."""


def write(engine: State) -> bytes:
    """All of the engine's state."""
    state = {
        "version": VERSION,
        "settings": repr(engine.settings),
        "prefix": engine.prefix,
        "time_ns": engine.time_ns,
        "next_number": engine.next_number,
        "counts": dict(engine.counts),
        "merged_ns": engine.population.merged_ns,
        "periods_s": engine.population.periods_s,
        "clutter": engine.population.clutter,
        "noises": {name: asdict(noise) for name, noise in engine.population.noises.items()},
        "refinements": {name: _refinement(known) for name, known in engine.population.refinements.items()},
        "eyes": [_eye(scan) for scan in engine.population.eyes.values()],
        "pieces": [_piece(piece) for piece in engine.population.pieces()],
        "claims": [_claim(claim) for claim in engine.claims.values()],
    }
    return json.dumps(state, allow_nan=False).encode()


def read(engine: State, data: bytes) -> None:
    """Put the state of `write` into an engine of the same settings.

    Raises:
        SnapshotError: see there.
    """
    try:
        state = json.loads(data)
        if state["version"] != VERSION or state["settings"] != repr(engine.settings):
            raise SnapshotError("the snapshot is of another version or other settings; start afresh from the log")
        pieces = [_read_piece(piece) for piece in state["pieces"]]
        claims = [claim_of(claim) for claim in state["claims"]]
        refinements = {name: _read_refinement(known) for name, known in state["refinements"].items()}
        eyes = [_read_eye(eye) for eye in state["eyes"]]
        noises = {name: SensorNoise(**noise) for name, noise in state["noises"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"these bytes are no snapshot of the fusion ({error}); start afresh from the log") from None
    engine.prefix, engine.time_ns, engine.next_number = state["prefix"], state["time_ns"], state["next_number"]
    engine.counts.clear()
    engine.counts.update(state["counts"])
    engine.claims = {claim.claimed_id: claim for claim in claims}
    engine.population.noises, engine.population.refinements = noises, refinements
    engine.population.eyes = {scan.sensor_id: scan for scan in eyes}
    engine.population.merged_ns, engine.population.periods_s = state["merged_ns"], state["periods_s"]
    engine.population.clutter = state["clutter"]
    engine.population.lay(pieces)


def _piece(piece: Piece) -> dict[str, Any]:
    target, x, p, log_weight = piece
    return {"target": asdict(target), "x": x.tolist(), "p": p.tolist(), "log_weight": log_weight.tolist()}


def _read_piece(stored: dict[str, Any]) -> Piece:
    fields = dict(stored["target"])
    fields["status"] = Status(fields["status"])
    fields["ray"] = _read_ray(fields["ray"])
    fields["eye"] = None if fields["eye"] is None else (fields["eye"][0], tuple(fields["eye"][1]))
    fields["slots"] = [None if s is None else _read_slot(s) for s in fields["slots"]]
    fields["near_since_ns"] = {int(k): v for k, v in fields["near_since_ns"].items()}
    return Target(**fields), np.array(stored["x"]), np.array(stored["p"]), np.array(stored["log_weight"])


def _read_slot(stored: dict[str, Any]) -> Slot:
    return Slot(**{**stored, "image_speed": tuple(stored["image_speed"])})


def _read_ray(stored: dict[str, Any] | None) -> Ray | None:
    if stored is None:
        return None
    return Ray(**{**stored, "origin_m": tuple(stored["origin_m"]), "direction": tuple(stored["direction"])})


def _refinement(known: Refinement) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(known).items()}


def _read_refinement(stored: dict[str, Any]) -> Refinement:
    arrays = {k: np.array(stored[k]) for k in ("information", "told", "change", "prior")}
    return Refinement(**{**stored, **arrays, "place_m": tuple(stored["place_m"])})


def _eye(scan: Scan) -> dict[str, Any]:
    """Without what it reported: that is in the targets."""
    stored = asdict(replace(scan, measurements=()))
    if stored["camera"] is not None:
        del stored["camera"]["fold_radius2"]  # follows from the rest
    return stored


def _read_eye(stored: dict[str, Any]) -> Scan:
    pose, camera, coverage = stored["pose"], stored["camera"], stored["coverage"]
    pose |= {"position_m": tuple(pose["position_m"]), "attitude": tuple(pose["attitude"])}
    lens = None if camera is None else CameraModel(**{**camera, "distortion": tuple(camera["distortion"])})
    fields = {"space": Space(stored["space"]), "pose": SensorPose(**pose), "measurements": (), "camera": lens}
    return Scan(**{**stored, **fields, "coverage": None if coverage is None else Coverage(**coverage)})


def _claim(claim: Claim) -> dict[str, Any]:
    return {**asdict(claim), "mean": claim.mean.tolist(), "covariance": claim.covariance.tolist()}
