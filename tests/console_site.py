"""What the tests of the console stand on: services to look at, and a look at the pixels of their canvases.

Cameras that only see have `seeing` in place of the trained detector; a site that locates has what its sensors report
posted from here, and records. The fixtures are in conftest.py.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page

WEB = Path(__file__).parent.parent / "service" / "web"
WAIT_MS = 60_000  # a busy machine is not a broken console
DRONE, CHOSEN = (245, 165, 36), (255, 255, 255)  # --drone and --chosen of styles/tokens.css
HELICOPTER = (216, 134, 184)

#: A simulated site whose cameras stand where they do.
PLACED_COMMAND = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import seeing
from service import cli, detection
seeing.watch()
detection.load = lambda band, settings: seeing.Seeing()
cli.main()
"""
#: The same, but its cameras are not told where they stand.
COMMAND = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import seeing
from service import cli, detection
seeing.watch()
detection.load = lambda band, settings: seeing.Seeing()
serve = cli._serve
cli._serve = lambda settings, site, demo: serve(settings, None, demo)
cli.main()
"""
SCENARIO = "airport-approach"

SITE = """
site: {name: Posted field, origin: {latitude: 47.4, longitude: 8.5, altitude: 400}}
sensors:
  - {id: radar, kind: external, position: {enu: [0, 0, 5]}}
  - {id: ears, kind: external, position: {enu: [-100, 0, 2]}}
  - {id: remote-id, kind: remote_id, position: {enu: [0, -10, 5]}}
zones:
  - name: Hangar
    kind: exclusion
    polygon: [[47.4008, 8.4992], [47.4008, 8.5008], [47.4018, 8.5008], [47.4018, 8.4992]]
fusion: {lag: 3}
recording: {folder: flights}
"""

#: How many pixels of exactly this colour the camera's canvas has.
COUNT = """([sensor, red, green, blue]) => {
  const canvas = document.querySelector(`.tile[data-sensor="${sensor}"] canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) count++;
  return count;
}"""


#: CSS pixels of a 2 by 2 field of exactly this colour on the map, as every sign has some; null when there is none.
FIND_ON_MAP = """([red, green, blue]) => {
  const canvas = document.querySelector("canvas.chart");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const is = (x, y) => {
    const at = 4 * (y * width + x);
    return data[at] === red && data[at + 1] === green && data[at + 2] === blue;
  };
  const { left, top } = canvas.getBoundingClientRect();
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++)
      if ([0, 1].every((dx) => [0, 1].every((dy) => is(x + dx, y + dy)))) return [left + x, top + y];
  return null;
}"""

#: Targets are small and move: a click on every tenth pixel finds one of them.
CLICK_EVERYWHERE = """sensor => {
  const canvas = document.querySelector(`.tile[data-sensor="${sensor}"] canvas`);
  const { left, top, right, bottom } = canvas.getBoundingClientRect();
  for (let clientX = left; clientX < right; clientX += 10)
    for (let clientY = top; clientY < bottom; clientY += 10)
      canvas.dispatchEvent(new MouseEvent("click", { clientX, clientY, bubbles: true }));
}"""


def load(name: str) -> ModuleType:
    """A script of the console's folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, WEB / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> None:
    """The console as of its sources; one build when several test workers come at once."""
    with open(Path(tempfile.gettempdir()) / "deeplomatics-console.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([sys.executable, WEB / "build.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def service(
    port: int, folder: Path, command: str = COMMAND, scenario: str = SCENARIO
) -> Iterator[subprocess.Popen[str]]:
    """Cameras of a scenario on `port`, once it listens."""
    arguments = ["demo", "--scenario", scenario, "--port", str(port), "--data", str(folder)]
    with started([sys.executable, "-c", command, str(Path(__file__).parent), *arguments]) as process:
        yield process


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Deeplomatics is at ")
            yield process
        finally:
            process.kill()


@contextmanager
def posted_site(folder: Path, site: str = SITE, more: Reports = lambda now, age: iter(())) -> Iterator[str]:
    """A site that locates, at the address given. While it lasts, its sensors report a drone in the hangar zone, a liar,
    a helicopter that is only heard, and what `more` says."""
    port = free_port()
    file, address = folder / "site.yaml", f"http://127.0.0.1:{port}"
    file.write_text(site, encoding="utf-8")
    main = "from service import cli; cli.main()"
    command = [sys.executable, "-c", main, "serve", "--config", str(file), "--port", str(port)]
    with started([*command, "--data", str(folder)]):
        stop = threading.Event()
        reporter = threading.Thread(target=report, args=(address, stop, more))
        reporter.start()
        try:
            yield address
        finally:
            stop.set()
            reporter.join()


#: What sensors report at a time (seconds UTC), so many seconds after they began.
Reports = Callable[[float, float], Iterator[dict[str, object]]]


def report(address: str, stop: threading.Event, more: Reports) -> None:
    """Post what the sensors see, five times a second."""
    began = time.time()
    while not stop.wait(0.2):
        now = time.time()
        body = json.dumps([*reports(now, now - began), *more(now, now - began)]).encode()
        headers = {"Content-Type": "application/json"}
        with suppress(HTTPError):  # on a busy machine now and then all of it is too late, and refused
            urlopen(Request(f"{address}/api/v1/measurements", body, headers), timeout=30.0).close()


def reports(now: float, age: float) -> Iterator[dict[str, object]]:
    """The liar is where it says for five seconds; then its claim goes away eastwards."""
    common = {"time": now, "kind": "position", "sigma_horizontal": 2.0, "sigma_vertical": 3.0, "score": 0.9}
    for east, north in ((10.0, 150.0), (60.0 - age % 100.0 / 5.0, 60.0)):
        yield common | {"sensor_id": "radar", "class": "drone", "enu": [east, north, 40.0]}
    lie = min(300.0, max(0.0, age - 5.0) * 40.0)
    place = [60.0 - age % 100.0 / 5.0 + lie, 60.0, 40.0]
    yield common | {"sensor_id": "remote-id", "class": "drone", "enu": place, "id": "LIAR-1"}
    yield {
        "time": now,
        "sensor_id": "ears",
        "kind": "bearing",
        "azimuth": 320.0,
        "elevation": 10.0,
        "sigma_azimuth": 1.0,
        "sigma_elevation": 1.0,
        "class": "helicopter",
        "score": 0.9,
    }


Open = Callable[[str, int, int], Page]


@contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Opens the console in a window of some size; it must not complain, nor ask anyone else for anything."""
    complaints: list[str] = []
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(WAIT_MS)

    def complain_of_strangers(url: str, address: str) -> None:
        if not url.startswith((address, "blob:")):
            complaints.append(url)

    def complain_of_policy(text: str) -> None:
        if "Content Security" in text:
            complaints.append(text)

    def opened(address: str, width: int, height: int) -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        origin = "/".join(address.split("/")[:3])
        page.on("request", lambda request: complain_of_strangers(request.url, origin))
        page.on("console", lambda said: complain_of_policy(said.text))
        page.goto(address)
        return page

    yield opened
    context.close()
    assert complaints == []


def wait_for_pixels(page: Page, sensor: str, colour: tuple[int, int, int], more_than: int) -> None:
    page.wait_for_function(f"argument => ({COUNT})(argument) > {more_than}", arg=[sensor, *colour])


def sensors_of(page: Page) -> list[str]:
    tiles = page.locator(".tile")
    tiles.nth(1).wait_for()
    return [tile.get_attribute("data-sensor") or "" for tile in tiles.all()]
