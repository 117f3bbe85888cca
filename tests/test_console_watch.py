"""Eight hours at the console: away and back, seen again, by keyboard alone, filters as they were, a frozen camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_site import Open, posted_site
from playwright.sync_api import Page
from test_console_speed import played

#: What can be reached with the Tab key now, each by what a screen reader says of it.
REACHABLE = """() => {
  const told = (element) => `${element.tagName} ${element.ariaLabel ?? element.title} ${element.textContent.trim()}`;
  return [...document.querySelectorAll("a[href], button, input, select, [tabindex]")]
    .filter((element) => element.tabIndex >= 0 && !element.disabled)
    .filter((element) => element.checkVisibility({ visibilityProperty: true }))
    .filter((element) => !element.closest("dialog"))
    .map((element) => ((element.dataset.reached = ""), told(element)));
}"""
FOCUSED = """() => {
  const element = document.activeElement;
  if (element.dataset.reached === undefined) return { left: -1, seen: true, what: element.outerHTML.slice(0, 200) };
  delete element.dataset.reached;
  const { outlineStyle } = getComputedStyle(element);
  const left = document.querySelectorAll("[data-reached]").length;
  return { left, seen: outlineStyle !== "none" || element.matches(".skip"), what: element.outerHTML.slice(0, 200) };
}"""
LEFT = "() => [...document.querySelectorAll('[data-reached]')].map((element) => element.outerHTML.slice(0, 200))"


@pytest.fixture(scope="module")
def recorded(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site of this file's own: what is replayed ends its recording."""
    with posted_site(tmp_path_factory.mktemp("recorded")) as address:
        yield address


def is_replayed(page: Page, address: str) -> None:
    page.wait_for_url("**/?world=R*")
    assert "Nothing on this page is live" in page.locator(".replay-bar").inner_text()
    rows = page.get_by_role("listbox", name="Tracks").get_by_role("option")
    rows.filter(has_text="in Hangar").first.wait_for()
    page.get_by_role("button", name="Back to live").click()
    page.wait_for_url(f"{address}/")


@pytest.mark.browser
def test_who_was_away_is_told_and_sees_the_alert_again(open_page: Open, recorded: str, artifacts: Path) -> None:
    page = open_page(recorded, 1440, 900)
    page.get_by_role("option").filter(has_text="in Hangar").wait_for()
    page.wait_for_timeout(8000)
    page.evaluate("localStorage.setItem('deeplomatics.seen', String(Date.now() - 600_000))")
    page.reload()
    page.get_by_role("option").filter(has_text="in Hangar").wait_for()
    page.mouse.move(300, 300)
    away = page.get_by_role("status").filter(has_text="You were away for 10:")
    away.get_by_text("in Hangar").wait_for()
    page.screenshot(path=artifacts / "console-1440-away.png")
    away.get_by_role("button", name="See it again").first.click()
    is_replayed(page, recorded)

    page.get_by_role("link", name="Alerts", exact=True).click()
    row = page.get_by_role("row").filter(has_text="in Hangar").first
    row.get_by_role("button", name="Replay").click()
    page.wait_for_url("**/?world=R*")
    page.screenshot(path=artifacts / "console-1440-seen-again.png")
    is_replayed(page, recorded)


@pytest.mark.browser
def test_everything_is_done_by_keyboard_and_where_it_stands_is_seen(open_page: Open, posted: str) -> None:
    page = open_page(posted, 1440, 900)
    page.get_by_role("option").filter(has_text="in Hangar").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past the bar, to the list
    assert page.evaluate("document.activeElement.id") == "tracks"
    page.keyboard.press("ArrowDown")
    page.locator('[role="option"][aria-selected="true"]').wait_for()

    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate(REACHABLE)
    assert len(wanted) > 20
    unseen = []
    for _ in range(len(wanted) + 30):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        unseen += [] if focused["seen"] else [focused["what"]]
        if focused["left"] == 0:
            break
    assert page.evaluate(LEFT) == []
    assert unseen == []

    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.get_by_role("link", name="Statistics").focus()
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Figures").wait_for()


@pytest.mark.browser
def test_filters_are_as_they_were(open_page: Open, posted: str) -> None:
    page = open_page(posted, 1440, 900)
    rows = page.get_by_role("listbox", name="Tracks").get_by_role("option")
    rows.filter(has_text="Helicopter").wait_for()
    page.get_by_role("group", name="Filter").get_by_role("button", name="Helicopter").click()
    page.get_by_role("button", name="Filter by sensor and age").click()
    page.get_by_label("Sensor", exact=True).select_option("radar")
    page.reload()
    rows.filter(has_text="Drone").first.wait_for()
    page.wait_for_timeout(1500)
    assert rows.filter(has_text="Helicopter").count() == 0
    assert page.get_by_label("Sensor", exact=True).input_value() == "radar"  # in sight, for it narrows the list


@pytest.mark.browser
def test_a_frozen_camera_looks_frozen(open_page: Open, posted: str, artifacts: Path) -> None:
    page = played(open_page, posted)
    sensor: dict[str, object] = {
        "id": "heat",
        "kind": "camera",
        "spectrum": "infrared",
        "source": "rtsp://heat",
        "reason": "",
    }
    sensor |= {"width": 640, "height": 512, "fps": 10.0, "dropped": {}, "reconnects": 0}
    for state, word in (("online", ""), ("frozen", "Frozen")):
        message = {"type": "sensor", "seq": 2, "time": "", "data": sensor | {"state": state}}
        page.evaluate("message => window.played.say(message)", message)
        tile = page.locator(f'.tile[data-sensor="heat"][data-state="{state}"]')
        tile.wait_for()
        assert word in tile.inner_text()
    assert "The same picture comes again and again" in tile.inner_text()
    assert "is-stale" in (tile.get_attribute("class") or "")
    page.screenshot(path=artifacts / "console-1440-frozen.png")
