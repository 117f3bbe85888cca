"""Logs show no secret, in whatever spelling it comes and whoever writes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import structlog

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from service import logs

PASSWORD = 'p@ss/w"ord'
URL = f"rtsp://john.doe:{quote(PASSWORD, safe='')}@camera.local:554/live?token=tok%20en&x=1"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "text", [URL, PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), json.dumps(PASSWORD), "tok en", "tok%20en"]
)
def test_no_spelling_of_a_secret_is_shown(style: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    camera = CameraConfig(id="a", source=SourceAddress(URL, environ={}))
    logs.configure("json" if style == "json" else "console", "info", logs.secrets_of([camera]))
    structlog.get_logger("service").info("opening", source=text)
    logging.getLogger("a.library").warning("cannot open %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger("service").error("failed", exc_info=True)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) >= 3
    assert logs.HIDDEN in shown
    for secret in (PASSWORD, quote(PASSWORD, safe=""), json.dumps(PASSWORD)[1:-1], "tok en", "tok%20en"):
        assert secret not in shown
