"""The map's ground and what is foreseen on it: a plan, shapes and tiles of the site file, paths and times to zones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from console_site import SITE, Open, posted_site
from playwright.sync_api import Page
from test_base_map import png, written

LATITUDE, LONGITUDE = 47.4, 8.5
#: Blue, 200 m wide and 100 m high, 300 m west of the origin.
PLAN_M = (-400.0, -200.0, -50.0, 50.0)
GREEN = (0, 200, 0)
#: Of the pixels on the map that are more of one colour than of the two others: how many, and where in CSS pixels.
FIELD = """channel => {
  const canvas = document.querySelector("canvas.chart");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0, left = width, right = 0, top = height, bottom = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [own, one, other] = [0, 1, 2].map((k) => data[at + (channel + k) % 3]);
    if (own < 60 || own < one * 2 || own < other * 2) continue;
    const x = (at / 4) % width, y = Math.floor(at / 4 / width);
    count++;
    left = Math.min(left, x), right = Math.max(right, x), top = Math.min(top, y), bottom = Math.max(bottom, y);
  }
  return { count, width: right - left, height: bottom - top };
}"""
GREENISH, BLUEISH = 1, 2


def place(east: float, north: float) -> list[float]:
    """Latitude and longitude, to some decimetres."""
    latitude = LATITUDE + math.degrees(north / 6_366_000.0)
    return [round(latitude, 7), round(LONGITUDE + math.degrees(east / (6_387_000.0 * math.cos(math.radians(47.4)))), 7)]


def with_ground(folder: Path) -> str:
    """The posted site, with files for all that may lie below a map."""
    west, east, south, north = PLAN_M
    written(folder / "plan.png", png(0, 0, 255))
    fence = [[place(e, n)[::-1] for e, n in ((-150, 250), (150, 250), (150, 350), (-150, 350), (-150, 250))]]
    shed = {"type": "Feature", "properties": {"name": "Shed"}, "geometry": {"type": "Polygon", "coordinates": fence}}
    written(folder / "ground.json", json.dumps({"type": "FeatureCollection", "features": [shed]}).encode())
    column, row = tile_of(14)
    written(folder / "tiles" / "14" / str(column) / f"{row}.png", png(*GREEN))
    gate = [place(e, n) for e, n in ((100, -200), (160, -200), (160, -100), (100, -100))]
    site = SITE.replace("zones:", f"zones:\n  - {{name: Gate, polygon: {gate}}}")
    return f"""{site}
map:
  plan:
    image: plan.png
    upper_left: {place(west, north)}
    upper_right: {place(east, north)}
    lower_left: {place(west, south)}
  geojson: [ground.json]
  tiles: {{source: "tiles/{{z}}/{{x}}/{{y}}.png", attribution: © Nobody, max_zoom: 14}}
"""


def tile_of(z: int) -> tuple[int, int]:
    count = 2**z
    column = int((LONGITUDE + 180.0) / 360.0 * count)
    return column, int((1.0 - math.asinh(math.tan(math.radians(LATITUDE))) / math.pi) / 2.0 * count)


def visitor(now: float, age: float) -> Iterator[dict[str, object]]:
    """A drone that flies eastwards through the gate at 15 m/s, once a minute."""
    enu = [-500.0 + 15.0 * (age % 60.0), -150.0, 40.0]
    common = {"time": now, "kind": "position", "sigma_horizontal": 2.0, "sigma_vertical": 3.0, "score": 0.9}
    yield common | {"sensor_id": "radar", "class": "drone", "enu": enu}


@pytest.fixture(scope="module")
def grounded(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("grounded")
    with posted_site(folder, with_ground(folder), visitor) as address:
        yield address


def field(page: Page, channel: int) -> dict[str, float]:
    found: dict[str, float] = page.evaluate(FIELD, channel)
    return found


@pytest.mark.browser
def test_plan_shapes_and_tiles_lie_below_the_map_where_they_belong(
    open_page: Open, grounded: str, artifacts: Path
) -> None:
    page = open_page(grounded, 1440, 900)
    page.get_by_text("© Nobody").wait_for()
    page.keyboard.press("t")  # by day, where pictures keep the most of their colour
    for _ in range(2):
        page.keyboard.press("[")
    page.wait_for_function(f"({FIELD})(1).count > 20000")
    blue = field(page, BLUEISH)
    assert blue["width"] / blue["height"] == pytest.approx(2.0, rel=0.03), "200 m by 100 m"
    for theme in ("day", "red", "night"):
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.screenshot(path=artifacts / f"console-1440-ground-{theme}.png")
        page.keyboard.press("t")
    page.keyboard.press("g")
    page.get_by_text("© Nobody").wait_for(state="detached")
    for channel in (GREENISH, BLUEISH):
        page.wait_for_function(f"channel => ({FIELD})(channel).count === 0", arg=channel)
    page.reload()
    page.locator("[data-track]").first.wait_for()
    assert page.get_by_role("button", name="Ground below the map").get_attribute("aria-pressed") == "false"
    page.keyboard.press("g")
    page.goto(f"{grounded}/#/setup")
    page.locator(".board").wait_for()
    page.wait_for_function(f"({FIELD.replace('canvas.chart', '.board')})(1).count > 20000")
    page.screenshot(path=artifacts / "console-1440-ground-setup.png")


@pytest.mark.browser
def test_path_ahead_and_time_to_a_zone_are_on_the_map(open_page: Open, grounded: str, artifacts: Path) -> None:
    page = open_page(grounded, 1440, 900)
    rows = page.get_by_role("listbox", name="Tracks").get_by_role("option")
    rows.filter(has_text="towards Gate").first.wait_for()
    with urlopen(f"{grounded}/api/v1/forecast", timeout=30.0) as answer:
        told = next(each for each in json.load(answer)["forecasts"] if each["entries"])
    (entry,) = told["entries"]
    assert entry["zone"] == "gate"
    spreads = [step["covariance"][0] for step in told["steps"]]
    assert spreads == sorted(spreads), "what is foreseen is known less and less"
    rows.filter(has_text=told["track"]).click()
    page.get_by_role("region", name="Target").get_by_text("Gate in").wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=artifacts / "console-1440-forecast.png")
