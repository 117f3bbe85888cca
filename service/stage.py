"""Runs an algorithm of the deterministic core inside the service: the stage knows the clock, the algorithm does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
StageIn = TypeVar("StageIn")
StageOut = TypeVar("StageOut")


class Fold(Protocol[In, Out]):
    """A pure fold over messages: same messages in the same order, same answers, bit for bit."""

    def step(self, message: In, /) -> Out: ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes, /) -> None: ...


class Stage(Generic[StageIn, StageOut]):
    """A fold that is being run: each step is timed, and a fresh fold takes over when its world ends.

    Args:
        make: gives a fold with nothing in it.
        monotonic_ns: the clock that durations are measured with.
    """

    def __init__(self, make: Callable[[], Fold[StageIn, StageOut]], monotonic_ns: Callable[[], int]) -> None:
        self._make = make
        self._monotonic_ns = monotonic_ns
        self._fold = make()
        self.elapsed_ns = 0  # of the last step

    def step(self, message: StageIn) -> StageOut:
        started_ns = self._monotonic_ns()
        answer = self._fold.step(message)
        self.elapsed_ns = self._monotonic_ns() - started_ns
        return answer

    def renew(self) -> None:
        """Forget everything."""
        self._fold = self._make()
