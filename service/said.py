"""Marks from where people keep them: a running service, or a file with its answer to `GET /api/v1/marks`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import orjson
from pydantic import ValidationError

from service.paging import PAGE_LIMIT
from service.record import ask, base_of
from service.schemas import MarkPage, to_ns
from service.types import Mark, Verdict


class SaidError(Exception):
    """The marks cannot be read; one plain sentence."""


def marks_from(where: str) -> list[Mark]:
    """All marks of a service (`http://HOST:PORT`) or of a file.

    Raises:
        SaidError, RecordError, OSError: see there.
    """
    pages = _asked(where) if where.startswith(("http://", "https://")) else [Path(where).read_bytes()]
    return [mark for page in pages for mark in _marks(page, where)]


def newest(marks: Iterable[Mark]) -> dict[str, Mark]:
    """What counts of each track; a word taken back is none."""
    last = {mark.track_id: mark for mark in sorted(marks, key=lambda mark: (mark.time_ns, mark.number))}
    return {track_id: mark for track_id, mark in last.items() if mark.verdict is not Verdict.UNCLEAR}


def _asked(url: str) -> Iterator[bytes]:
    base, cursor = base_of(url), None
    while True:
        question = {"limit": PAGE_LIMIT} | ({"cursor": cursor} if cursor else {})
        page = ask(f"{base}/api/v1/marks?{urlencode(question)}", "GET")
        yield orjson.dumps(page)
        cursor = page.get("next_cursor") if isinstance(page, dict) else None
        if not cursor:
            return


def _marks(page: bytes, where: str) -> Iterator[Mark]:
    try:
        found = MarkPage.model_validate_json(page).marks
    except ValidationError as error:
        reason = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise SaidError(f"{where} holds no marks as /api/v1/marks answers them: {reason.lower()}") from None
    for each in found:
        alert = None if each.alert is None else int(each.alert.lstrip("A"))
        time_ns = to_ns(datetime.fromisoformat(each.time))
        yield Mark(int(each.id.lstrip("M")), time_ns, each.track, each.verdict, each.who, each.note, alert)
