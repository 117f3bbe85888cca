"""A progress bar where a person watches, and nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from service.track import Progress


@contextmanager
def shown() -> Iterator[Progress]:
    """On a terminal a bar on stderr, which leaves standard output to the results."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Bar(bars)


class _Bar(Progress):
    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._task = bars.add_task("", total=None, visible=False)

    def begin(self, source: str, frames: int | None) -> None:
        self._bars.update(self._task, visible=False)
        self._task = self._bars.add_task(source[-40:], total=frames)

    def step(self) -> None:
        super().step()
        self._bars.advance(self._task)
