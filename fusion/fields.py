"""Fields of one report as decoded JSON, checked: finite, in range, of the right kind. Degrees and seconds end here.

What cannot be used is refused with one plain reason.
"""

from __future__ import annotations

import math
from typing import Any

from models.types import CLASSES

Fields = dict[str, Any]

_LEAST_SIGMA_RAD = 1e-6


class Refused(Exception):
    """A report that cannot be used; the message is the reason."""


def number(fields: Fields, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """The finite number `name`, within its bounds."""
    if name not in fields:
        raise Refused(f"{name} is missing")
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} must be a number")
    if not least <= value <= most or not math.isfinite(value):
        raise Refused(f"{name} is out of range")
    return float(value)


def numbers(fields: Fields, name: str, count: int) -> tuple[float, ...]:
    """The list `name` of so many finite numbers."""
    value = fields.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise Refused(f"{name} must be a list of {count} numbers")
    for v in value:
        if isinstance(v, bool) or not isinstance(v, int | float) or not _is_finite(v):
            raise Refused(f"{name} must hold finite numbers only")
    return tuple(float(v) for v in value)


def sigma(fields: Fields, name: str, most: float) -> float:
    """A standard deviation: above zero."""
    value = number(fields, name, 0.0, most)
    if value <= 0.0:
        raise Refused(f"{name} must be above zero")
    return value


def angle_sigma(fields: Fields, name: str) -> float:
    """Radians of a standard deviation in degrees."""
    return max(math.radians(sigma(fields, name, 180.0)), _LEAST_SIGMA_RAD)


def label(fields: Fields) -> tuple[str | None, float]:
    """Class and score; a class that is none of ours is no class."""
    score = number(fields, "score", 0.0, 1.0) if fields.get("score") is not None else 1.0
    name = fields.get("class")
    return (name if isinstance(name, str) and name in CLASSES else None), score


def name(fields: Fields, key: str) -> str | None:
    """A text to call something by, or None where there is none."""
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isprintable():
        raise Refused(f"{key} must be a text of 1 to 64 printable characters")
    return value


def covariance(fields: Fields, d: int) -> tuple[float, ...] | None:
    """A full `covariance`, row-major d×d, in place of the sigmas, where a sensor gives one."""
    if fields.get("covariance") is None:
        return None
    stated = numbers(fields, "covariance", d * d)
    pairs = [(stated[i * d + j], stated[j * d + i]) for i in range(d) for j in range(i)]
    symmetric = all(abs(a - b) <= 1e-9 * (1.0 + abs(a)) for a, b in pairs)
    if not symmetric or max(map(abs, stated)) > 1e10 or not _is_positive(stated, d):
        raise Refused("covariance must be symmetric and positive definite")
    return stated


def diagonal(*sigmas: float) -> tuple[float, ...]:
    """Row-major covariance of independent numbers."""
    d = len(sigmas)
    return tuple(sigmas[i] ** 2 if i == j else 0.0 for i in range(d) for j in range(d))


def _is_finite(value: float) -> bool:
    return abs(value) <= 1.7e308  # also for whole numbers too long for a float


def _is_positive(matrix: tuple[float, ...], d: int) -> bool:
    """Whether every Cholesky pivot is positive."""
    low = [[0.0] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            rest = matrix[i * d + j] - math.fsum(low[i][k] * low[j][k] for k in range(j))
            if i == j and rest <= 1e-12 * matrix[i * d + i]:
                return False
            low[i][j] = math.sqrt(rest) if i == j else rest / low[j][j]
    return True
