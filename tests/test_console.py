"""The console in a real browser on a real service: what is seen now. Time is in test_console_time.py."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest
from console_site import (
    CHOSEN,
    CLICK_EVERYWHERE,
    COUNT,
    DRONE,
    FIND_ON_MAP,
    HELICOPTER,
    Open,
    free_port,
    sensors_of,
    service,
    wait_for_pixels,
)


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
    rows.filter(has_text="in Hangar").wait_for()
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
