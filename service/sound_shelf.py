"""Sound between the array that heard it and the journal that writes it."""

from __future__ import annotations

import threading
from collections import deque

from fusion.sensors.microphone_array.source import Block
from service.recording import RecordingPolicy

BEFORE_S = 2.0  # of sound is kept ahead of a detection: what is recognised is recognised by a second of it
AFTER_S = 2.0
SHELF_BYTES = 128 << 20
SECOND_NS = 10**9


class SoundShelf:
    """Blocks that wait to be written; bounded, the oldest of an array go first.

    Under the policy `detections` those are kept from `BEFORE_S` before a look that heard something fly until `AFTER_S`
    behind the last such look.
    """

    def __init__(self, policy: RecordingPolicy, most_bytes: int = SHELF_BYTES) -> None:
        self.dropped = 0
        self._policy = policy
        self._most_bytes = most_bytes
        self._held = 0  # bytes that wait
        self._waiting: dict[str, deque[Block]] = {}
        self._before: dict[str, deque[Block]] = {}  # of `BEFORE_S`, should something fly soon
        self._last_heard_ns: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, block: Block, flies: bool) -> None:
        """Called by the array's thread before it publishes what it heard in the block."""
        if self._policy == "none":
            return
        if flies:
            self._last_heard_ns[block.sensor_id] = block.time_ns
        before = self._before.setdefault(block.sensor_id, deque())
        before.append(block)
        if self._policy == "all" or self._around(block):
            self._hold(block.sensor_id, before)
        while before and block.time_ns - before[0].time_ns > BEFORE_S * SECOND_NS:
            before.popleft()

    def take(self, sensor_id: str) -> list[Block]:
        """All that waits of this sensor, oldest first."""
        with self._lock:
            taken = list(self._waiting.pop(sensor_id, ()))
            self._held -= sum(block.samples.nbytes for block in taken)
        return taken

    def _around(self, block: Block) -> bool:
        last_ns = self._last_heard_ns.get(block.sensor_id)
        return last_ns is not None and 0 <= block.time_ns - last_ns <= AFTER_S * SECOND_NS

    def _hold(self, sensor_id: str, blocks: deque[Block]) -> None:
        with self._lock:
            waiting = self._waiting.setdefault(sensor_id, deque())
            while blocks:
                self._held += blocks[0].samples.nbytes
                waiting.append(blocks.popleft())
            while self._held > self._most_bytes and waiting:
                self._held -= waiting.popleft().samples.nbytes
                self.dropped += 1
