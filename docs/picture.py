"""Make the picture in the README: the console on the simulated site, after the tracks have had time to form.

    .venv/bin/python docs/picture.py

Needs Chromium on the path and the developers' packages (`make test` installs them).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).parent / "images" / "console.png"
COMMAND = Path(sys.executable).parent / "deeplomatics"
WIDTH, HEIGHT = 1440, 900
READY_S = 180
WATCH_S = 25.0  # long enough for trails, and for the liar to be found out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def take(address: str, browser_path: str) -> None:
    """Open the console, watch a while, keep what is seen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
        page.goto(address)
        page.wait_for_timeout(WATCH_S * 1000)
        page.keyboard.press("j")  # the most threatening track is the target
        page.wait_for_timeout(2000)
        OUTPUT.parent.mkdir(exist_ok=True)
        page.screenshot(path=OUTPUT)
        browser.close()


def wait_for(address: str, service: subprocess.Popen[bytes]) -> None:
    """Until the service answers; raises TimeoutError when it does not, or has ended."""
    for _ in range(READY_S):
        with suppress(URLError, TimeoutError), urlopen(f"{address}/healthz", timeout=2.0):
            return
        if service.poll() is not None:
            break
        time.sleep(1.0)
    raise TimeoutError(f"no answer at {address}: see what the service said above")


def main() -> int:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("No Chromium found: install the package `chromium`, then call this again.", file=sys.stderr)
        return 1
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as data:
        settings = os.environ | {"DEEPLOMATICS_PORT": str(port), "DEEPLOMATICS_DATA_FOLDER": data}
        with subprocess.Popen([COMMAND, "demo"], env=settings, stdout=subprocess.DEVNULL) as service:
            try:
                wait_for(address, service)
                take(address, browser)
            finally:
                service.terminate()
    print(f"{OUTPUT} is made")
    return 0


if __name__ == "__main__":
    sys.exit(main())
