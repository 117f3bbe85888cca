"""From the thread that reads a source to the one that works on its frames: bounded, with its policy said aloud."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Handoff(Generic[T]):
    """Latest wins: holds one item, and a newer one takes its place. `keep_all`: holds `capacity`, and `put` waits."""

    def __init__(self, *, keep_all: bool = False, capacity: int = 1) -> None:
        self._keep_all = keep_all
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> T | None:
        """Hand over an item; returns the one it replaced. After `close` the item itself comes back."""
        with self._changed:
            if self._keep_all:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return item
            replaced = self._items.popleft() if len(self._items) == self._capacity else None
            self._items.append(item)
            self._changed.notify_all()
            return replaced

    def take(self, timeout_s: float) -> T | None:
        """The oldest item, or None if there is none in time; at once when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """No more items come; those handed over can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        with self._changed:
            return self._closed and not self._items
