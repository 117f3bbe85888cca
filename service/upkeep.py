"""What the service notes of itself, every few seconds: how long it was up, and which flights there are."""

from __future__ import annotations

import threading
from collections import defaultdict

import structlog

from service import catalogue
from service.clock import Clock
from service.database import StoreError
from service.journal import Journal
from service.statistics import QUARTER_NS
from service.store import Store

EVERY_S = 10.0

log = structlog.get_logger("service.upkeep")


class Upkeep:
    """One thread. What cannot be written now is written later: nothing waits for it."""

    def __init__(self, store: Store, journal: Journal | None, clock: Clock) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._up_s: defaultdict[int, float] = defaultdict(float)  # by quarter of an hour; not yet in the store
        self._counted_ns = clock.monotonic_ns()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """With a last look."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> None:
        """One look.

        Raises:
            StoreError: the store cannot be written now.
        """
        now_ns = self._clock.monotonic_ns()
        self._up_s[self._clock.now_ns() // QUARTER_NS] += (now_ns - self._counted_ns) / 1e9
        self._counted_ns = now_ns
        self._store.add_uptime(self._up_s)
        self._up_s.clear()
        if self._journal is not None:
            catalogue.look(self._store, self._journal.folder, self._journal.writing)

    def _run(self) -> None:
        over = False
        while not over:
            try:
                self.step()
            except (StoreError, OSError) as error:
                log.warning("not noted", reason=str(error))
            over = self._stopping.is_set()
            if not over:
                self._clock.wait(self._stopping, EVERY_S)
