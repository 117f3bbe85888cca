"""What a report consists of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; a note is of less weight."""

    text: str
    note: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, of few words each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers that a reader looks for first: value, what it is, and how it was told."""

    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first column names its rows, and numbers stand right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing; `caption` says what is to be seen in it."""

    figure: Figure
    caption: str


Block = Heading | Text | Facts | Figures | Grid | Plot


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    subtitle: str
    blocks: tuple[Block, ...]


def is_number(cell: str) -> bool:
    """Whether a cell of a table stands right."""
    return cell[:1].isdigit() or cell[:1] in ("+", "−", "<")


def flat(blocks: Sequence[Block | None]) -> tuple[Block, ...]:
    """Without those that there is nothing to say in."""
    return tuple(block for block in blocks if block is not None)
