"""Pages of a list: where one ended and the next begins, and lists of values in a query."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

import orjson
from fastapi import HTTPException
from pydantic import BeforeValidator, Field

from service.history import Filter
from service.schemas import to_ns

PAGE_LIMIT = 500

T = TypeVar("T")


def split_commas(value: object) -> object:
    """`class=drone,bird` and `class=drone&class=bird` are the same."""
    return [part for each in value for part in str(each).split(",")] if isinstance(value, list) else value


Many = Annotated[list[T], BeforeValidator(split_commas)]
Limit = Annotated[int, Field(ge=1, le=PAGE_LIMIT, description="rows of one page")]
CursorText = Annotated[str | None, Field(max_length=200, description="`next_cursor` of the page before")]


def cursor_text(*keys: int | str) -> str:
    """Where a page ended: the sort keys of its last row, opaque to the client."""
    return base64.urlsafe_b64encode(orjson.dumps(keys)).decode().rstrip("=")


def cursor_keys(text: str | None, *types: type) -> tuple[Any, ...] | None:
    """The keys of a cursor that was made for this kind of list; None for the first page.

    Raises:
        HTTPException: it was not.
    """
    if text is None:
        return None
    try:
        keys = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        keys = None
    if not isinstance(keys, list) or tuple(map(type, keys)) != types:
        raise HTTPException(422, "cursor: it is no next_cursor of this list. Leave it out to start at the first page.")
    return tuple(keys)


class Question(Protocol):
    """What every list can be asked: a time, and a page of it, newest first."""

    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...
    @property
    def limit(self) -> int: ...
    @property
    def cursor(self) -> str | None: ...


def narrowed(question: Question, *, keys: tuple[type, type] = (int, int), **narrow: Any) -> Filter:
    """One row more than the page holds, so that it is known whether there is a next one.

    Args:
        keys: kinds of the two values that the list is sorted by.
    """
    return Filter(
        since_ns=to_ns(question.since) if question.since else None,
        until_ns=to_ns(question.until) if question.until else None,
        after=cursor_keys(question.cursor, *keys),
        limit=question.limit + 1,
        **narrow,
    )
