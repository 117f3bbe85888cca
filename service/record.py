"""`deeplomatics record --url`: a flight of a service that runs elsewhere, fetched over its interface.

The service records; this begins a file of its own there, waits, ends it and fetches it. So nothing is lost on the way
and the flight is the one that the service itself has.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.clock import Clock
from service.partial import written

TIMEOUT_S = 10.0
COPY_BYTES = 1 << 20
BEGIN_S = 5.0


class RecordError(Exception):
    """The service does not answer, or does not record; one plain sentence."""


def record(url: str, output: Path, seconds: float | None, clock: Clock) -> str:
    """Record for so long, or until interrupted; what is to be told.

    Raises:
        RecordError, OSError: see there.
    """
    base = base_of(url)
    before = {flight["id"] for flight in _flights(base)}
    ask(f"{base}/api/v1/flights", "POST")
    _wait(clock, BEGIN_S, lambda: any(flight["id"] not in before for flight in _flights(base)))
    _wait(clock, seconds, lambda: False)
    ask(f"{base}/api/v1/flights", "POST")
    ours = sorted(flight["id"] for flight in _flights(base) if flight["id"] not in before)
    if not ours:
        raise RecordError(f"{base} recorded nothing in this time: no message came")
    _wait(clock, BEGIN_S, lambda: _state(base, ours[-1]) == "whole")
    files = [output if k == 0 else output.with_stem(f"{output.stem}-{k}") for k in range(len(ours))]
    for flight, file in zip(ours, files, strict=True):
        _fetch(f"{base}/api/v1/flights/{flight}/download", file)
    return f"recorded to {', '.join(map(str, files))}"


def base_of(url: str) -> str:
    """Scheme and host alone.

    Raises:
        RecordError: it is no address of a service.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RecordError(f"{url} is no address of a service: give http://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


def _wait(clock: Clock, seconds: float | None, done: Any) -> None:
    """Until it is done, the time is over, or somebody interrupts."""
    never, waited = threading.Event(), 0.0
    try:
        while not done() and (seconds is None or waited < seconds):
            step = 0.25 if seconds is None else min(0.25, seconds - waited)
            clock.wait(never, step)
            waited += step
    except KeyboardInterrupt:
        return


def _flights(base: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(f"{base}/api/v1/flights", "GET")["flights"]
    return found


def _state(base: str, flight: str) -> str:
    return str(ask(f"{base}/api/v1/flights/{flight}", "GET")["state"])


def ask(url: str, method: str) -> Any:
    """What a service answers, from its JSON.

    Raises:
        RecordError: it does not, or says what is wrong.
    """
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise RecordError(_detail(url, error)) from None
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise RecordError(f"{url} does not answer as a service does: {error}") from None


def _detail(url: str, error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{url} answers with status {error.code}"


def _fetch(url: str, file: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, written(file) as stream:
            while block := answer.read(COPY_BYTES):
                stream.write(block)
    except urllib.error.URLError as error:
        raise RecordError(f"{url} cannot be fetched: {error}") from None
