"""The ordered log of one process: whoever publishes, everyone reads the same messages in the same order.

Publishing never waits, whatever the readers do: a slow disk or a slow client costs its own subscription messages,
which are counted in `Subscription.missed`, and nobody else anything.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from service.types import Envelope, Message


class Publisher(Protocol):
    """Where a sensor's messages go: the bus, or a network on the way to it."""

    def publish(self, subject: str, message: Message) -> object: ...


class Full(StrEnum):
    """What a full subscription does with the next message. Both count it in `missed`."""

    DROP_OLDEST = "drop_oldest"  # for viewers: the newest is worth most
    REFUSE_NEWEST = "refuse_newest"  # for the store: what was once accepted is kept


class Subscription:
    """A bounded queue of envelopes between the bus and one reader, used from any thread."""

    def __init__(
        self, name: str, prefixes: tuple[str, ...], capacity: int, full: Full, wake: Callable[[], None] | None
    ) -> None:
        self.name = name
        self.capacity = capacity
        self.missed = 0
        self._prefixes = prefixes
        self._full = full
        self._wake = wake
        self._queue: deque[Envelope] = deque()
        self._ready = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def closed(self) -> bool:
        """No more will come; what is queued can still be taken."""
        return self._closed

    def take(self, timeout_s: float | None = None, limit: int | None = None) -> list[Envelope]:
        """Everything queued (at most `limit`), oldest first; waits for the first one. Empty: timed out or closed."""
        with self._ready:
            self._ready.wait_for(lambda: self._queue or self._closed, timeout_s)
            count = len(self._queue) if limit is None else min(limit, len(self._queue))
            return [self._queue.popleft() for _ in range(count)]

    def close(self) -> None:
        """Accept no more and let a waiting reader go."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        if self._wake is not None:
            self._wake()

    def _wants(self, subject: str) -> bool:
        return subject.startswith(self._prefixes)

    def _put(self, envelope: Envelope) -> None:
        with self._ready:
            if self._closed or not self._make_room():
                return
            self._queue.append(envelope)
            self._ready.notify()
            first = len(self._queue) == 1
        if first and self._wake is not None:
            self._wake()

    def _make_room(self) -> bool:
        """Whether there is place for one more; counts the message that has to go."""
        if len(self._queue) < self.capacity:
            return True
        self.missed += 1
        if self._full is Full.REFUSE_NEWEST:
            return False
        self._queue.popleft()
        return True


class Bus:
    """Gives each message its sequence number and hands it to all who want it.

    Args:
        now_ns: the clock, UTC nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._seq = 0
        self._subscriptions: tuple[Subscription, ...] = ()

    @property
    def seq(self) -> int:
        """Number of the newest message, 0 before the first."""
        return self._seq

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        return self._subscriptions

    def publish(self, subject: str, message: Message) -> Envelope:
        """Append to the log. Never waits for a reader."""
        with self._lock:  # held while queueing, so that every reader sees the one order
            self._seq += 1
            envelope = Envelope(self._seq, subject, self._now_ns(), message)
            for subscription in self._subscriptions:
                if subscription._wants(subject):
                    subscription._put(envelope)
        return envelope

    def subscribe(
        self,
        name: str,
        *,
        capacity: int,
        full: Full,
        prefixes: tuple[str, ...] = ("",),
        wake: Callable[[], None] | None = None,
    ) -> Subscription:
        """Read from the next message on.

        Args:
            capacity: most messages waiting; `full` says what happens then.
            prefixes: subjects wanted, by their beginning; all by default.
            wake: called from the publishing thread when the queue stops being empty, and on close. It must return
                at once and not raise (an asyncio reader gives `lambda: loop.call_soon_threadsafe(event.set)`).
        """
        subscription = Subscription(name, prefixes, capacity, full, wake)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop reading."""
        with self._lock:
            self._subscriptions = tuple(each for each in self._subscriptions if each is not subscription)
        subscription.close()

    def close(self) -> None:
        """The log ends: every reader may take what is queued and then finds its subscription closed."""
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, ()
        for subscription in subscriptions:
            subscription.close()
