"""Two arrays that are really listened to: each has its page with what it hears, and the map draws what both know."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from console_site import Open, free_port, started
from test_hearing import LOUD, PLACES, RATE, rotor_at, sound_of

#: From two places 120 m apart: a drone some 180 m north of their middle.
AZIMUTHS = {"mic-west": 18.0, "mic-east": 342.0}


@pytest.fixture(scope="module")
def listening(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with two arrays, whose sound is a file that begins anew."""
    folder, port = tmp_path_factory.mktemp("listening"), free_port()
    lines = ["site: {name: Two arrays, origin: {latitude: 47.4, longitude: 8.5, altitude: 400}}", "sensors:"]
    for name, azimuth in AZIMUTHS.items():
        sound = sound_of(rotor_at(azimuth, 12.0, distance_m=190.0), 20.0)
        soundfile.write(folder / f"{name}.wav", sound.T, RATE, subtype="PCM_16")
        east = -60 if name == "mic-west" else 60
        lines.append(
            f"  - {{id: {name}, kind: microphone_array, source: {name}.wav, capture: {{loop: true}}, "
            f"position: {{enu: [{east}, 0, 1]}}, microphones: {json.dumps(PLACES.tolist())}}}"
        )
    (folder / "site.yaml").write_text("\n".join(lines), encoding="utf-8")
    main = "from service import cli; cli.main()"
    site = ["--config", str(folder / "site.yaml"), "--data", str(folder), "--port", str(port)]
    with started([sys.executable, "-c", main, "serve", *site]):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.browser
def test_each_of_two_arrays_has_its_page_with_what_it_hears(open_page: Open, listening: str, artifacts: Path) -> None:
    page = open_page(listening, 1440, 900)
    row = page.get_by_role("region", name="Sensors")
    for name in AZIMUTHS:
        row.get_by_role("button", name=name).wait_for()
    page.get_by_text("2 of 2 online").wait_for()
    page.wait_for_timeout(6000)
    page.screenshot(path=artifacts / "console-1440-arrays.png")
    for name in AZIMUTHS:
        page.goto(f"{listening}/#/sensor/{name}")
        page.get_by_text("Listening", exact=True).wait_for()
        page.wait_for_function("() => document.querySelector('.spectrogram img').naturalWidth > 0")
        page.locator(".compass circle[r='5']").first.wait_for()  # a direction
        level = page.locator(".sound-panel dd").filter(has_text="dB").first.inner_text()
        assert float(level.removesuffix(" dB")) == pytest.approx(20.0 * math.log10(LOUD), abs=3.0)
        page.screenshot(path=artifacts / f"console-1440-{name}.png")
