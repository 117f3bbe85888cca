"""Figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

WIDE = 200  # characters of a line where no terminal says how many there are


def wide_console() -> Console:
    """For tables: in a pipe or a file no column is cut."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDE)


def show(figures: Mapping[str, Any]) -> None:
    """Nested figures: what stands alone as lines of path and value, rows of alike columns as tables."""
    _show(wide_console(), figures, "")


def _show(console: Console, figures: Mapping[str, Any], path: str) -> None:
    lines = Table("", "", box=None, show_header=False, pad_edge=False)
    for name, value in figures.items():
        if not isinstance(value, Mapping):
            lines.add_row(f"{path} {name}".strip(), _text(value))
    if lines.row_count:
        console.print(lines)
    for name, value in figures.items():
        if isinstance(value, Mapping):
            here = f"{path} {name}".strip()
            if value and not any(isinstance(each, Mapping) for each in value.values()):
                console.print(_table({"": value}, here))
            elif _is_table(value):
                console.print(_table(value, here))
            else:
                _show(console, value, here)


def _is_table(figures: Mapping[str, Any]) -> bool:
    """Two rows or more, each of plain values."""
    rows = list(figures.values())
    flat = all(isinstance(row, Mapping) and not any(isinstance(v, Mapping) for v in row.values()) for row in rows)
    return flat and len(rows) > 1


def _table(rows: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table(title, *columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in rows.items():
        table.add_row(name, *(_text(row.get(column, "")) for column in columns))
    return table


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "-" if value is None else str(value)
