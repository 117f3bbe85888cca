"""The process that reads one live source: `python -m service.capture_process LINK MEMORY`.

It exists to be killed: a read that never returns, a decoder that crashes or eats memory cost one camera and no other.
The arguments are two file descriptors; what to open comes over the link, because arguments can be read by everybody on
the machine. Over the link go one JSON object a message (never pickles: what decodes hostile bytes is not to be
believed) one way, and the number of each slot that is free again the other way. It imports no torch.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import traceback
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np

from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.camera.source import Source, SourceError, open_source
from models.types import Frame
from service.clock import SystemClock
from service.shared_frames import SLOTS, FrameRing

MEMORY_LIMIT_BYTES = 3 << 30  # address space: an 8K decoder with its reference pictures, and the ring
HASH_ROWS = 8  # every eighth row tells a frozen picture from a live one


class Sender:
    """Puts frames into free slots and announces them; a frame that finds no free slot is counted and dropped."""

    def __init__(self, link: Connection, ring: FrameRing) -> None:
        self._link = link
        self._ring = ring
        self._free = deque(range(SLOTS))  # appended to by one thread, taken from by the other
        self._crowded = 0

    def release(self, slot: int) -> None:
        self._free.append(slot)

    def say(self, event: str, **fields: object) -> None:
        self._link.send_bytes(json.dumps({"event": event, **fields}).encode())

    def send(self, frame: Frame, source: Source) -> None:
        if not self._free:
            self._crowded += 1
            return
        slot = self._free.popleft()
        np.copyto(self._ring.slot(slot, frame.pixels.shape), frame.pixels)
        self.say(
            "frame",
            slot=slot,
            shape=frame.pixels.shape,
            time_ns=frame.time_ns,
            sequence=frame.sequence,
            time_source=frame.time_source,
            sigma_ns=frame.time_sigma_ns,
            received_ns=frame.received_ns,
            picture=zlib.crc32(frame.pixels[::HASH_ROWS].tobytes()),
            crowded=self._crowded,
            unreadable=source.unreadable,
            clock_error_ns=source.clock_error_ns,
        )


def main() -> None:
    """Read frames until the source or the parent ends."""
    link, memory = Connection(int(sys.argv[1])), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the password
    sender = Sender(link, FrameRing(memory))
    os.close(memory)
    sys.excepthook = _tell(sender)
    config = CameraConfig.model_validate_json(link.recv_bytes())
    threading.Thread(target=_listen, args=(link, sender), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone, and so may we be
        _run(config, sender)


def _run(config: CameraConfig, sender: Sender) -> None:
    sender.say("opening")
    try:
        with open_source(config, SystemClock().now_ns) as source:
            for frame in source:
                sender.send(frame, source)
        sender.say("ended", reason="the stream ended")
    except SourceError as error:
        sender.say("ended", reason=str(error))


def _listen(link: Connection, sender: Sender) -> None:
    """Take free slots back; when the parent is gone, end at once, whatever the other thread hangs in."""
    while True:
        try:
            sender.release(int(link.recv_bytes()))
        except (EOFError, OSError):
            os._exit(0)


def _tell(sender: Sender) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """A fault in the program is told by kind and place only: its message may hold the address."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        *_, place = traceback.extract_tb(trace)
        with suppress(OSError):
            sender.say(
                "ended", reason=f"the capture program failed: {kind.__name__} in {place.name}, line {place.lineno}"
            )

    return hook


if __name__ == "__main__":
    main()
