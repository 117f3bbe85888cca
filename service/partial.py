"""Files that stand under their name only when they are whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

STANDARD_OUTPUT = Path("-")


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file that is `path` once all went well, and `path.partial` until then and if not, unless it is empty.
    `-` is standard output.

    Raises:
        OSError: the folder is missing or may not be written.
    """
    if path == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    partial = partial_name(path)
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        if partial.exists() and partial.stat().st_size == 0:
            partial.unlink()


def partial_name(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
