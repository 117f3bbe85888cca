"""Answers in other people's formats: which one is wanted, and tables (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from starlette.datastructures import Headers

from service.geojson import MEDIA_TYPE as GEOJSON
from service.schemas import Json

CSV = "text/csv"

AnswerFormat = Literal["json", "csv", "geojson"]


def wanted_format(named: AnswerFormat | None, headers: Headers) -> AnswerFormat:
    """`format=` where it is given, else the first of `Accept` that there is."""
    if named is not None:
        return named
    for each in headers.get("accept", "").split(","):
        media_type = each.partition(";")[0].strip()
        if media_type == CSV:
            return "csv"
        if media_type == GEOJSON:
            return "geojson"
    return "json"


def csv_lines(columns: Sequence[str], rows: Iterable[Json], *, head: bool = True) -> str:
    """A table of JSON objects. `a.b` is the member `b` of the member `a`; lists become their values with spaces."""
    text = io.StringIO()
    writer = csv.writer(text)
    if head:
        writer.writerow(columns)
    paths = [column.split(".") for column in columns]
    writer.writerows([_cell(_member(row, path)) for path in paths] for row in rows)
    return text.getvalue()


def harmless(text: str) -> str:
    """What an aircraft, or anybody, says is no formula of a spreadsheet."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _member(row: Any, path: Sequence[str]) -> Any:
    """None where there is none: a track of a picture has two velocities, one of the world three."""
    for name in path:
        if isinstance(row, list):
            row = row[int(name)] if int(name) < len(row) else None
        else:
            row = row.get(name) if isinstance(row, dict) else None
    return row


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, list):
        return harmless(" ".join(map(str, value)))
    return "" if value is None else value
