"""The target in both bands: each shows it by the camera that sees it best, beside the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_site import PLACED_COMMAND, Open, free_port, service

#: Whether each of the target's views shows more than one flat colour.
SHOWN = """() => [...document.querySelectorAll(".crop-view canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 64) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
  return seen.size > 8;
})"""


@pytest.fixture(scope="module")
def placed(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with service(port, tmp_path_factory.mktemp("placed"), PLACED_COMMAND, "demo"):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.browser
def test_a_target_is_seen_in_both_bands_side_by_side(open_page: Open, placed: str, artifacts: Path) -> None:
    page = open_page(placed, 1440, 900)
    rows = page.get_by_role("listbox", name="Tracks").get_by_role("option").filter(has_text="Drone")
    rows.first.wait_for()
    page.keyboard.press("j")
    views = page.locator(".crop-view canvas")
    views.nth(1).wait_for()
    labels = [view.get_attribute("aria-label") or "" for view in views.all()]
    assert any("cam-heat" in label for label in labels), "infrared"
    assert any("cam-west" in label or "cam-east" in label for label in labels), "visible"
    page.wait_for_function(f"() => ({SHOWN})().every(Boolean)")
    page.screenshot(path=artifacts / "console-1440-bands.png")
