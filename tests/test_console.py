"""The console in a real browser on a real service: the demo site with `seeing` in place of the trained detector."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WEB = Path(__file__).parent.parent / "service" / "web"
WAIT_MS = 60_000  # a busy machine is not a broken console
DRONE, CHOSEN = (245, 165, 36), (255, 255, 255)  # --drone and --chosen of styles/tokens.css

COMMAND = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import seeing
from service import cli, detection
seeing.watch()
detection.load = lambda band, settings: seeing.Seeing()
cli.main()
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
    """The demo site on `port`, once it listens."""
    arguments = [str(Path(__file__).parent), "demo", "--port", str(port), "--data", str(folder)]
    command = [sys.executable, "-c", COMMAND, *arguments]
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
