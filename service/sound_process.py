"""The process that reads one live array: `python -m service.sound_process LINK`.

It exists for the same reasons as `service.capture_process`, and for one more: it stamps each block the moment it comes,
with no other thread in its way. What to open comes over the link; back go a line of JSON for each event and, behind the
line of a block, its samples as float32, microphone by microphone. It imports no torch.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import SoundError
from fusion.sensors.microphone_array.stream import open_stream
from service.clock import SystemClock

MEMORY_LIMIT_BYTES = 3 << 30  # address space


def main() -> None:
    """Read sound until the source or the parent ends."""
    link = Connection(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the password

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """A fault in the program is told by kind and place only: its message may hold the address."""
        *_, place = traceback.extract_tb(trace)
        with suppress(OSError):
            reason = f"the capture program failed: {kind.__name__} in {place.name}, line {place.lineno}"
            say(link, "ended", reason=reason)

    sys.excepthook = told
    config = ArrayConfig.model_validate_json(link.recv_bytes())
    threading.Thread(target=_end_with_parent, args=(link,), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone, and so may we be
        _run(config, link)


def say(link: Connection, event: str, **fields: object) -> None:
    link.send_bytes(json.dumps({"event": event, **fields}).encode())


def _run(config: ArrayConfig, link: Connection) -> None:
    say(link, "opening")
    try:
        stream = open_stream(config, SystemClock().now_ns)
        say(link, "open", rate_hz=stream.rate_hz)
        for chunk in stream:
            say(link, "sound", index=chunk.index, arrival_ns=chunk.arrival_ns, late=stream.late)
            link.send_bytes(chunk.samples.tobytes())
    except SoundError as error:
        say(link, "ended", reason=str(error))


def _end_with_parent(link: Connection) -> None:
    """When the parent is gone, end at once, whatever the other thread hangs in."""
    with suppress(EOFError, OSError):
        link.recv_bytes()
    os._exit(0)


if __name__ == "__main__":
    main()
