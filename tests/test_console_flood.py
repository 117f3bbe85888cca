"""Many alerts at once: the list stays one that is read, and nothing in it is hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from console_site import Open, posted_site
from test_console_pages import AXE, FAULTS

FLOCK = 6


def flock(now: float, age: float) -> Iterator[dict[str, object]]:
    """Six drones that hover in the hangar zone for some seconds, and are gone."""
    common = {"time": now, "kind": "position", "sigma_horizontal": 2.0, "sigma_vertical": 3.0, "score": 0.9}
    if 2.0 < age < 14.0:
        for k in range(FLOCK):
            yield common | {"sensor_id": "radar", "class": "drone", "enu": [-40.0 + 14.0 * k, 125.0, 60.0 + 10.0 * k]}


@pytest.fixture(scope="module")
def flooded(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with posted_site(tmp_path_factory.mktemp("flooded"), more=flock) as address:
        yield address


@pytest.mark.browser
def test_many_alerts_of_one_kind_stand_in_one_row_that_opens(open_page: Open, flooded: str, artifacts: Path) -> None:
    page = open_page(flooded, 1440, 900)
    alarms = page.get_by_role("region", name="Alerts")
    bundle = alarms.locator("[data-bundle]").filter(has_text="over")
    bundle.filter(has_text=f"{FLOCK} tracks in Hangar").wait_for()
    assert "critical" in (bundle.get_attribute("class") or "")
    open_before = int(alarms.locator(".count").inner_text().split()[0])
    page.screenshot(path=artifacts / "console-1440-flood.png")

    bundle.get_by_role("button", name="tracks in Hangar").focus()
    page.keyboard.press("Enter")
    rows = bundle.get_by_role("listitem")
    assert rows.count() == FLOCK
    page.screenshot(path=artifacts / "console-1440-flood-open.png")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(FAULTS) == []
    rows.last.get_by_role("button", name="was in Hangar").click()
    assert rows.last.locator("strong").inner_text() in page.get_by_role("region", name="Alerts").inner_text()

    bundle.get_by_role("button", name="Acknowledge").first.click()
    bundle.wait_for(state="detached")
    with urlopen(f"{flooded}/api/v1/alerts?acknowledged=true&limit=100", timeout=30.0) as answer:
        known = {alert["track"] for alert in json.load(answer)["alerts"]}
    assert len(known) == FLOCK
    assert int(alarms.locator(".count").inner_text().split()[0]) == open_before - FLOCK
