"""The console's other pages, and what holds for all: a site that is drawn, alerts with note and sound, axe."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from console_site import WEB, Open
from playwright.sync_api import Page

from service.site import read_site

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("night", "day", "red")
PAGES = ("", "alerts", "flights", "statistics", "setup", "sensor/radar")
#: What axe finds that keeps somebody from using the page, each with the first element that shows it.
FAULTS = """async () => {
  const { violations } = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`);
}"""

#: Panels that are lower or narrower than what they hold and cannot be scrolled.
CUT_OFF = """() => [...document.querySelectorAll("main > .panel")]
  .filter((panel) => panel.scrollHeight > panel.clientHeight + 1 || panel.scrollWidth > panel.clientWidth + 1)
  .map((panel) => panel.className)"""


def open_on(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/#/{name}")
    page.locator(f"main.{name.split('/')[0]}-page, main.page, main").first.wait_for()
    page.wait_for_timeout(1500)


@pytest.mark.browser
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_on_any_page(open_page: Open, posted: str, artifacts: Path, theme: str) -> None:
    page = open_page(posted, 1440, 900)
    page.locator("[data-track]").first.wait_for()
    for _ in range(THEMES.index(theme)):
        page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    found: dict[str, list[str]] = {}
    for name in PAGES:
        open_on(page, posted, name)
        page.screenshot(path=artifacts / f"console-1440-{name.replace('/', '-') or 'situation'}-{theme}.png")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found[name] = page.evaluate(FAULTS)
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.browser
def test_no_panel_is_cut_off_on_a_phone(open_page: Open, posted: str, artifacts: Path) -> None:
    page = open_page(posted, 390, 844)
    page.locator("[data-track]").first.wait_for(state="attached")
    for name in PAGES[1:]:
        open_on(page, posted, name)
        page.screenshot(path=artifacts / f"console-390-{name.replace('/', '-')}.png")
        assert page.evaluate(CUT_OFF) == [], name


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(390, 844), (3840, 2160)])
def test_the_situation_holds_from_a_phone_to_a_wall_in_every_light(
    open_page: Open, posted: str, artifacts: Path, width: int, height: int
) -> None:
    page = open_page(posted, width, height)
    page.locator("[data-track]").first.wait_for(state="attached")
    if width > 760:
        page.keyboard.press("j")
        page.get_by_role("region", name="Target").get_by_text("Speed").wait_for()
    for theme in THEMES:
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.wait_for_timeout(500)
        page.screenshot(path=artifacts / f"console-{width}-{theme}.png")
        page.keyboard.press("t")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    type_px = page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert type_px >= (18 if width > 3000 else 13), "type grows with the wall"


@pytest.mark.browser
def test_a_site_is_drawn_checked_and_saved_as_a_file_that_is_right(
    open_page: Open, posted: str, artifacts: Path, tmp_path: Path
) -> None:
    page = open_page(f"{posted}/#/setup", 1600, 1000)
    page.get_by_text("Nothing is wrong with it").wait_for()
    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_label("Azimuth, °").fill("45")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Zone", exact=True).click()
    board = page.locator(".board").bounding_box()
    assert board is not None
    for x, y in ((0.3, 0.3), (0.5, 0.3), (0.45, 0.5)):
        page.mouse.click(board["x"] + board["width"] * x, board["y"] + board["height"] * y)
    page.get_by_role("button", name="Done").click()
    page.get_by_label("Kind").select_option("exclusion")

    floor = page.get_by_label("From altitude, m")
    floor.fill("500")
    page.get_by_label("To altitude, m").fill("450")
    page.keyboard.press("Tab")
    page.get_by_text("the floor of a zone must lie below its ceiling").wait_for()
    assert page.get_by_role("button", name="Save site.yaml").is_disabled()
    page.screenshot(path=artifacts / "console-1600-setup.png")
    floor.fill("420")
    page.keyboard.press("Tab")
    page.get_by_text("Nothing is wrong with it").wait_for()
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save site.yaml").click()
    saving.value.save_as(tmp_path / "site.yaml")

    site, _ = read_site(tmp_path / "site.yaml")
    camera = site.sensors["cam"].config
    assert camera.orientation is not None
    assert camera.orientation.azimuth == 45.0
    assert [zone.name for zone in site.file.zones] == ["Hangar", "Zone"]
    assert (site.file.zones[1].floor, site.file.zones[1].ceiling) == (420.0, 450.0)


@pytest.mark.browser
def test_an_alert_calls_is_noted_and_stays_reviewable(open_page: Open, posted: str, artifacts: Path) -> None:
    page = open_page(posted, 1440, 900)
    alarms = page.get_by_role("region", name="Alerts")
    row = alarms.get_by_role("listitem").filter(has_text="in Hangar")
    row.wait_for()
    page.locator("canvas.chart").click(position={"x": 5, "y": 5})  # before a touch no browser lets a page sound
    page.wait_for_function("() => Number(document.documentElement.dataset.sounded) > 0")
    row.get_by_role("button", name="Note and verdict").click()
    row.get_by_role("textbox", name="Note").fill("our own inspection flight")
    page.screenshot(path=artifacts / "console-1440-note.png")
    page.keyboard.press("Enter")
    row.get_by_text("our own inspection flight").wait_for()
    with urlopen(f"{posted}/api/v1/alerts?acknowledged=true", timeout=30.0) as answer:
        notes = [alert["note"] for alert in json.load(answer)["alerts"]]
    assert "our own inspection flight" in notes

    page.keyboard.press("l")
    alarms_fr = page.get_by_role("region", name="Alertes")
    alarms_fr.get_by_text("dans Hangar").first.wait_for()
    page.keyboard.press("l")
    alarms.get_by_role("link", name="All alerts").click()
    page.get_by_role("row").filter(has_text="our own inspection flight").wait_for()
    page.get_by_role("row").filter(has_text="our own").get_by_role("button", name="Not a drone").click()
    page.get_by_role("button", name="Not a drone", pressed=True).first.wait_for()
    page.get_by_label("Filter").select_option("false")
    page.get_by_role("row").filter(has_text="our own inspection flight").wait_for()
    page.get_by_role("link", name="Statistics").click()
    page.get_by_text("too short for a rate").wait_for()
    page.get_by_role("img", name="Where they were").wait_for()
    page.screenshot(path=artifacts / "console-1440-statistics.png")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(FAULTS) == []
    page.get_by_role("link", name="Alerts", exact=True).click()
    page.get_by_label("Filter").select_option("open")
    assert page.get_by_role("row").filter(has_text="our own inspection flight").count() == 0
