"""Logs: one event a line, for people on a terminal and as JSON elsewhere, without secrets whoever wrote them.

Secrets are known values (the passwords of the camera URLs), not patterns: patterns miss spellings. Each is replaced in
every spelling it may take on its way through URLs and JSON.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote, quote_plus, unquote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.microphone_array.config import ArrayConfig

HIDDEN = "***"
MIN_SECRET = 3  # a shorter value would hide half the log and is no secret


class Redactor:
    """Replaces known secrets in text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {each for secret in secrets for each in _spellings(secret)}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, HIDDEN)
        return text


def secrets_of(sensors: Iterable[CameraConfig | ArrayConfig]) -> set[str]:
    """What must never be shown of the sensors' URLs: user and password, the values of the query, the URL as a whole."""
    sources = [sensor.source for sensor in sensors if not (isinstance(sensor, ArrayConfig) and sensor.says_format)]
    urls = [source.reveal() for source in sources if source is not None and source.kind == "url"]
    return {secret for url in urls for secret in _secrets_of_url(url)}


def _secrets_of_url(url: str) -> set[str]:
    rest = url.partition("://")[2]
    user = rest.rpartition("@")[0]
    query = re.split(r"[?&;#]", url)[1:]
    values = {each.partition("=")[2] for each in query}
    return {url, rest, user, user.partition(":")[2], *values} - {""}


def _spellings(secret: str) -> set[str]:
    """As it is, percent-encoded or not, and as it stands in JSON, and in JSON inside JSON."""
    plain = {secret, unquote(secret)}
    forms = plain | {encode(each) for each in plain for encode in (quote, quote_plus, _quote_all)}
    for _ in range(2):
        forms |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms} | {json.dumps(f)[1:-1] for f in forms}
    return {form for form in forms if len(form) >= MIN_SECRET}


def _quote_all(text: str) -> str:
    return quote(text, safe="")


def configure(style: Literal["auto", "console", "json"], level: str, secrets: Iterable[str] = ()) -> None:
    """Send structlog, `logging` (uvicorn and libraries) and the faults of threads to stderr in one form."""
    redact = Redactor(secrets)
    as_console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[strip, *_last_steps(as_console), _hide(redact)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    threading.excepthook = _log_thread_fault


def _last_steps(as_console: bool) -> list[Processor]:
    if as_console:
        plain = structlog.dev.plain_traceback  # the rich one prints local variables
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _hide(redact: Redactor) -> Any:
    """The last processor: it sees the finished line, so nothing passes it by."""

    def hide(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
        return redact(str(line))

    return hide


def _log_thread_fault(fault: threading.ExceptHookArgs) -> None:
    """A thread died by an error in the program: one event with the traceback, in the form of all others."""
    name = fault.thread.name if fault.thread else "unknown"
    exc_info = (fault.exc_type, fault.exc_value, fault.exc_traceback)
    structlog.get_logger("service").error("thread failed", thread=name, exc_info=exc_info)
