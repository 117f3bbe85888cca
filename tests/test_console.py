"""The console in a real browser on a real service: cameras that only see, with `seeing` in place of the trained
detector, and a site that locates, with what its sensors report posted from here."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WEB = Path(__file__).parent.parent / "service" / "web"
WAIT_MS = 60_000  # a busy machine is not a broken console
DRONE, CHOSEN = (245, 165, 36), (255, 255, 255)  # --drone and --chosen of styles/tokens.css
HELICOPTER = (216, 134, 184)

#: Cameras of a simulated site that are not told where they stand.
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


#: CSS pixels of the middle of a 3 by 3 field of exactly this colour on the map; null when there is none.
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
      if ([-1, 0, 1].every((dx) => [-1, 0, 1].every((dy) => is(x + dx, y + dy)))) return [left + x, top + y];
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


@pytest.fixture(scope="module")
def built() -> None:
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
def service(port: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Two cameras on `port`, once it listens."""
    arguments = ["demo", "--scenario", SCENARIO, "--port", str(port), "--data", str(folder)]
    with started([sys.executable, "-c", COMMAND, str(Path(__file__).parent), *arguments]) as process:
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


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with service(port, tmp_path_factory.mktemp("console")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def posted(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site that locates. While it lasts, its sensors report a drone in the hangar zone, a liar, and a helicopter that
    is only heard."""
    folder, port = tmp_path_factory.mktemp("posted"), free_port()
    site, address = folder / "site.yaml", f"http://127.0.0.1:{port}"
    site.write_text(SITE, encoding="utf-8")
    main = "from service import cli; cli.main()"
    command = [sys.executable, "-c", main, "serve", "--config", str(site), "--port", str(port)]
    with started([*command, "--data", str(folder)]):
        stop = threading.Event()
        reporter = threading.Thread(target=report, args=(address, stop))
        reporter.start()
        yield address
        stop.set()
        reporter.join()


def report(address: str, stop: threading.Event) -> None:
    """Post what the sensors see, five times a second."""
    began = time.time()
    while not stop.wait(0.2):
        now = time.time()
        body = json.dumps(list(reports(now, now - began))).encode()
        headers = {"Content-Type": "application/json"}
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


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the console in a window of some size; it must not complain, nor ask anyone else for anything."""
    complaints: list[str] = []
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(WAIT_MS)

    def complain_of_strangers(url: str, address: str) -> None:
        if not url.startswith(address):
            complaints.append(url)

    def complain_of_policy(text: str) -> None:
        if "Content Security" in text:
            complaints.append(text)

    def opened(address: str, width: int, height: int) -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complain_of_strangers(request.url, address))
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


@pytest.mark.browser
def test_tracks_are_listed_drawn_and_chosen_by_keyboard(open_page: Open, address: str, artifacts: Path) -> None:
    page = open_page(address, 1920, 1080)
    drones = page.get_by_role("listbox", name="Tracks").get_by_role("option").filter(has_text="Drone")
    drones.first.wait_for()
    sensors = sensors_of(page)
    assert len(sensors) == 2
    for sensor in sensors:
        wait_for_pixels(page, sensor, DRONE, 60)
    page.screenshot(path=artifacts / "console-1920.png")

    whites = {sensor: page.evaluate(COUNT, [sensor, *CHOSEN]) for sensor in sensors}
    page.keyboard.press("j")
    chosen = page.locator('[role="option"][aria-selected="true"]')
    name = chosen.get_attribute("data-track") or ""
    sensor = name.rpartition("-")[0]
    wait_for_pixels(page, sensor, CHOSEN, whites[sensor] + 500)  # the label of the chosen one is a white field
    target = page.get_by_role("region", name="Target")
    assert name in target.inner_text()
    assert page.locator("#tracks").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.screenshot(path=artifacts / "console-1920-target.png")

    page.keyboard.press("f")
    page.wait_for_function("document.querySelectorAll('.tile').length === 1")
    assert page.locator(".tile").get_attribute("data-sensor") == sensor
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert chosen.count() == 0
    assert page.locator(".tile").count() == 2


@pytest.mark.browser
def test_a_click_on_a_box_in_the_picture_chooses_its_track(open_page: Open, address: str) -> None:
    page = open_page(address, 1280, 720)
    sensor = sensors_of(page)[0]
    wait_for_pixels(page, sensor, DRONE, 60)
    page.evaluate(CLICK_EVERYWHERE, sensor)
    chosen = page.locator('[role="option"][aria-selected="true"]')
    chosen.wait_for()
    assert (chosen.get_attribute("data-track") or "").startswith(f"{sensor}-")


@pytest.mark.browser
def test_filters_themes_and_languages(open_page: Open, address: str, artifacts: Path) -> None:
    page = open_page(address, 1280, 720)
    rows = page.get_by_role("option").filter(has_text="Drone")
    rows.first.wait_for()
    page.get_by_role("group", name="Filter").get_by_role("button", name="Drone").click()
    page.wait_for_function("![...document.querySelectorAll('[role=option]')].some(row => /Drone/.test(row.innerText))")

    page.keyboard.press("l")
    page.get_by_role("heading", name="Pistes").wait_for()
    assert page.locator("html").get_attribute("lang") == "fr"
    grounds = []
    for _ in ("night", "day", "red"):
        theme = page.locator("html").get_attribute("data-theme")
        page.screenshot(path=artifacts / f"console-1280-{theme}.png")
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.keyboard.press("t")
    assert len(set(grounds)) == 3
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.screenshot(path=artifacts / "console-1280-help.png")


@pytest.mark.browser
def test_a_site_that_locates_shows_map_threats_and_alerts_that_agree(
    open_page: Open, posted: str, artifacts: Path
) -> None:
    page = open_page(posted, 1440, 900)
    rows = page.get_by_role("listbox", name="Tracks").get_by_role("option")
    rows.filter(has_text="is in Hangar").wait_for()
    rows.filter(has_text="Helicopter").wait_for()
    liar = rows.filter(has_text="LIAR-1 claims to be").first
    liar.wait_for()
    assert "Conflict" in liar.inner_text()
    assert "High threat" in rows.first.inner_text()

    x, y = page.wait_for_function(FIND_ON_MAP, arg=DRONE).json_value()
    page.mouse.click(x, y)
    chosen = page.locator('[role="option"][aria-selected="true"]')
    chosen.wait_for()
    name = chosen.get_attribute("data-track") or ""
    assert name in page.get_by_role("region", name="Target").inner_text()
    page.screenshot(path=artifacts / "console-1440-map.png")

    rows.filter(has_text="Helicopter").click()
    page.get_by_role("region", name="Target").get_by_text("direction only").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate(FIND_ON_MAP, HELICOPTER) is None, "where only a direction is known there is never a point"

    alarms = page.get_by_role("region", name="Alerts")
    alarms.get_by_role("textbox", name="Your name").fill("Meier")
    page.locator("canvas.chart").click(position={"x": 5, "y": 5})
    alarms.get_by_role("button", name="Acknowledge").first.wait_for()
    page.keyboard.press("a")
    alarms.get_by_text("acknowledged by Meier").first.wait_for()
    with urlopen(f"{posted}/api/v1/alerts?acknowledged=true", timeout=30.0) as answer:
        assert json.load(answer)["alerts"][0]["acknowledged_by"] == "Meier"


@pytest.mark.browser
def test_the_map_moves_under_the_wheel_and_comes_back(open_page: Open, posted: str) -> None:
    page = open_page(posted, 1280, 720)
    page.locator("canvas.chart").wait_for()
    page.locator("[data-track]").first.wait_for()
    page.get_by_role("listbox", name="Tracks").get_by_role("option").filter(has_text="Drone").first.wait_for()
    page.wait_for_function(FIND_ON_MAP, arg=DRONE)
    box = page.locator("canvas.chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] - 8)
    page.mouse.wheel(0, -4000)  # far into an empty corner
    page.wait_for_function(f"colour => ({FIND_ON_MAP})(colour) === null", arg=DRONE)
    page.keyboard.press("m")
    page.wait_for_function(FIND_ON_MAP, arg=DRONE)


@pytest.mark.browser
def test_a_phone_has_the_map_too_without_scrolling_sideways(open_page: Open, posted: str, artifacts: Path) -> None:
    page = open_page(posted, 390, 844)
    for tab, content in (("Map", "canvas.chart"), ("Tracks", "[data-track]"), ("Map", ".alert")):
        page.get_by_role("button", name=tab, exact=True).click()
        page.locator(content).first.wait_for()
        page.screenshot(path=artifacts / f"console-390-located-{tab.lower()}.png")
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 390
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_a_phone_shows_everything_without_scrolling_sideways(open_page: Open, address: str, artifacts: Path) -> None:
    page = open_page(address, 390, 844)
    wait_for_pixels(page, sensors_of(page)[0], DRONE, 30)
    for tab, content in (("Cameras", ".tile"), ("Tracks", "[data-track]"), ("Sensors", ".sensor-row")):
        page.get_by_role("button", name=tab, exact=True).click()
        page.locator(content).first.wait_for()
        page.screenshot(path=artifacts / f"console-390-{tab.lower()}.png")
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 390
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_a_lost_service_is_told_in_large_and_a_restarted_one_is_live_again(
    built: None, open_page: Open, tmp_path: Path, artifacts: Path
) -> None:
    port = free_port()
    with service(port, tmp_path) as process:
        page = open_page(f"http://127.0.0.1:{port}", 1920, 1080)
        page.locator("[data-track]").first.wait_for()
        alarm = page.get_by_role("alert")

        os.kill(process.pid, signal.SIGSTOP)  # frozen: connections stay open, nothing comes
        alarm.get_by_text("NO DATA since").wait_for()
        page.locator('.tile[data-state="stale"]').first.wait_for()
        os.kill(process.pid, signal.SIGCONT)
        alarm.wait_for(state="detached")

        process.kill()
        alarm.get_by_text("NO DATA since").wait_for()
        page.screenshot(path=artifacts / "console-1920-lost.png")
    with service(port, tmp_path):
        alarm.wait_for(state="detached")
        page.locator('.tile[data-state="online"]').first.wait_for()
        page.locator("[data-track]:not(.lost)").first.wait_for()


def test_the_console_reads_what_the_service_writes() -> None:
    types = load("generate_types")
    sentence = "run `.venv/bin/python service/web/generate_types.py`: the schemas have changed"
    assert types.OUTPUT.read_text(encoding="utf-8") == types.generate(), sentence
