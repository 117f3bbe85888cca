"""Figures as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(figures: Mapping[str, Any]) -> None:
    """Nested figures as lines of a table: the path of names, then the values."""
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    for path, value in _leaves(figures):
        table.add_row(path, f"{value:.4f}" if isinstance(value, float) else str(value))
    Console().print(table)


def _leaves(figures: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        here = f"{path} {name}".strip()
        if isinstance(value, Mapping):
            yield from _leaves(value, here)
        else:
            yield here, value
