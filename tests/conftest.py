"""What tests may ask for that a machine may not have: the real recordings, a browser, an RTSP server.

On a person's machine a missing part skips the test and says how to get it. Under CI (`CI=true`) a missing part is a
failure, because there a skipped test would pass for a passed one. The recordings are not part of the project, so their
absence only ever skips.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from postgres_server import PostgresServer, binaries

if TYPE_CHECKING:
    from console_site import Open
    from playwright.sync_api import Browser

#: A deadline per example measures how busy the machine is, not the code.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]

#: Debian's Python: the GObject bindings come as its packages, not from PyPI.
SYSTEM_PYTHON = "/usr/bin/python3"

Require = Callable[[bool, str], None]


def require(present: bool, sentence: str) -> None:
    """Skip with `sentence` when a part is missing; under CI, where everything is installed, fail instead."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI lacks a part that its tests need: {sentence}", pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(name="require_component", scope="session")
def _require_component() -> Require:
    """`require_component(present, sentence)`: see `require`."""
    return require


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real recordings: `DEEPLOMATICS_DATA`, else `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("DEEPLOMATICS_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set DEEPLOMATICS_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def halmstad(recordings: Path) -> Path:
    """Folder of the annotated infrared and visible clips."""
    folder = recordings / "halmstad"
    if not folder.is_dir():
        pytest.skip(f"no annotated clips at {folder}")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium or Chrome that Playwright can drive."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    require(found is not None, "no Chromium found: install the package `chromium` to run the browser tests")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def rtsp_python() -> str:
    """A Python that can import GStreamer's RTSP server (run `tests/rtsp_server.py` with it)."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    sentence = (
        "no GStreamer RTSP server found: install gir1.2-gst-rtsp-server-1.0, python3-gi and "
        "gstreamer1.0-plugins-{base,good,bad,ugly} to run the RTSP tests"
    )
    require(Path(SYSTEM_PYTHON).exists(), sentence)
    done = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, timeout=60, check=False)
    require(done.returncode == 0, sentence)
    return SYSTEM_PYTHON


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL of the tests' own."""
    folder = binaries()
    require(folder is not None, "no PostgreSQL found: install the package `postgresql` to run the store's tests on it")
    assert folder is not None
    server = PostgresServer(folder)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests leave pictures for people: `DEEPLOMATICS_ARTIFACTS` (CI sets it), else a temporary folder."""
    named = os.environ.get("DEEPLOMATICS_ARTIFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# ── The console ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def built() -> None:
    """The console as of its sources."""
    import console_site

    console_site.build()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of two cameras that only see."""
    import console_site

    port = console_site.free_port()
    with console_site.service(port, tmp_path_factory.mktemp("console")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def posted(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a site that locates (`console_site.posted_site`)."""
    import console_site

    with console_site.posted_site(tmp_path_factory.mktemp("posted")) as address:
        yield address


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    import console_site

    with console_site.opening(browser) as opened:
        yield opened
