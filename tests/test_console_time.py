"""Time in the console: the timeline, a flight as a second world, two worlds side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_site import Open
from playwright.sync_api import Page

RECORDED_MS = 12_000


def pick_on_timeline(page: Page, ago_s: float) -> None:
    """A click on the live timeline, which shows the last five minutes."""
    page.get_by_label("Shows the last").select_option("5 min")
    box = page.locator(".timeline canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * (1 - ago_s / 300.0), box["y"] + box["height"] / 2)


@pytest.mark.browser
def test_a_moment_of_the_live_timeline_is_replayed_and_cannot_be_taken_for_live(
    open_page: Open, posted: str, artifacts: Path
) -> None:
    page = open_page(posted, 1600, 1000)
    page.get_by_role("option").filter(has_text="in Hangar").wait_for()
    page.wait_for_timeout(RECORDED_MS)
    page.screenshot(path=artifacts / "console-1600-timeline.png")
    pick_on_timeline(page, 8.0)
    page.get_by_role("button", name="Replay from").click()
    page.wait_for_url("**/?world=R*")

    bar = page.locator(".replay-bar")
    assert "REPLAY" in bar.inner_text()
    assert "Nothing on this page is live" in bar.inner_text()
    page.get_by_role("option").filter(has_text="Drone").first.wait_for()
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    page.get_by_text("live alerts need you").wait_for()

    strip = page.get_by_role("slider", name="Timeline")
    page.keyboard.press("p")
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_timeout(1500)
    stands = strip.get_attribute("aria-valuenow")
    page.wait_for_timeout(1500)
    assert strip.get_attribute("aria-valuenow") == stands, "it goes on though it is paused"
    page.screenshot(path=artifacts / "console-1600-replay.png")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "stood => Number(document.querySelector('[role=slider]').getAttribute('aria-valuenow')) < stood - 2",
        arg=int(stands or 0),
    )

    page.get_by_role("button", name="Back to live").click()
    page.wait_for_url(f"{posted}/")
    page.get_by_role("status").filter(has_text="Live").wait_for()
    assert page.locator(".replay-bar").count() == 0


@pytest.mark.browser
def test_two_worlds_stand_side_by_side_and_play_together(open_page: Open, posted: str, artifacts: Path) -> None:
    page = open_page(f"{posted}/#/flights", 1600, 1000)
    page.get_by_role("button", name="Compare").first.click()
    page.wait_for_url("**/#/compare/*/*")
    for side in (0, 1):
        world = page.frame_locator(".worlds iframe").nth(side)
        world.get_by_text("REPLAY", exact=True).wait_for()
        world.get_by_role("option").filter(has_text="Drone").first.wait_for()
    page.screenshot(path=artifacts / "console-1600-compare.png")
    page.get_by_role("button", name="Pause both").click()
    page.get_by_role("button", name="Play both").wait_for()


@pytest.mark.browser
def test_a_replay_that_is_no_more_says_so(open_page: Open, posted: str) -> None:
    page = open_page(f"{posted}/?world=R999", 1280, 720)
    page.get_by_text("This replay has been ended").wait_for()
    page.get_by_role("button", name="Back to live").click()
    page.locator("[data-track]").first.wait_for()
