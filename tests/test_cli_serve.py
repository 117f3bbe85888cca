"""The service as a process: it says where it is, answers, and ends on SIGTERM with all it had accepted in the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bright_spot import write_video

from service.history import Filter
from service.store import Store

WAIT_S = 100

#: The command with the detector of `bright_spot` in place of the trained one: no weights, no torch, but a thread that
#: is held for ever as in a library.
COMMAND = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()
from bright_spot import BrightSpot
from service import cli, detection
detection.load = lambda band, settings: BrightSpot()
cli.main()
"""


@contextmanager
def service(*arguments: str, name: str = "serve", **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, once it answers."""
    command = [sys.executable, "-c", COMMAND, str(Path(__file__).parent), name, "--port", "0", *arguments]
    pipe, around = subprocess.PIPE, os.environ | environment
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=around) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("Deeplomatics is at http://127.0.0.1:"), process.stderr and process.stderr.read()
            yield process, said.split()[-1]
        finally:
            process.kill()


def get(address: str) -> Any:
    try:
        with urllib.request.urlopen(address, timeout=WAIT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != 503:  # not ready yet, and says what is not
            raise
        return json.load(error)


def test_sigterm_ends_with_status_0_and_everything_accepted_is_in_the_store(tmp_path: Path) -> None:
    video, folder = write_video(tmp_path / "spot.mp4", steps=25), tmp_path / "data"
    with service("--source", str(video), "--loop", "--data", str(folder)) as (process, address):
        processed = 0
        while processed < 40:
            (sensor,) = get(f"{address}/api/v1/sensors")["sensors"]
            processed = sensor["processed"]
        assert (sensor["id"], sensor["state"]) == ("spot", "online")
        tracks = get(f"{address}/api/v1/tracks")["tracks"]
        assert {track["sensor"] for track in tracks} == {"spot"}
        with urllib.request.urlopen(f"{address}/api/v1/sensors/spot/stream.mjpg", timeout=WAIT_S):  # never read
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    store = Store(folder / "deeplomatics.sqlite3")
    found = store.detections(Filter(limit=10_000))
    store.close()
    assert len(found) >= processed  # the detector finds one spot in each frame
    stopped = json.loads(errors.splitlines()[-1])
    assert (stopped["event"], stopped["unfinished"]) == ("stopped", [])
    assert len(found) == stopped["processed"]


def test_a_source_that_fails_is_told_and_its_password_is_nowhere(tmp_path: Path) -> None:
    url = "rtsp://admin:hunter2@127.0.0.1:9/live?token=topsecret"
    video = write_video(tmp_path / "spot.mp4")
    with service("--source", str(video), "--source", url, "--loop", "--data", str(tmp_path / "data")) as (process, at):
        states: dict[str, Any] = {}
        while states.get("camera-2", {}).get("state") != "down" or states["spot"]["state"] != "online":
            states = get(f"{at}/readyz")["sensors"]
        shown = json.dumps(get(f"{at}/api/v1/sensors")) + json.dumps(states)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert "127.0.0.1:9" in shown
    for secret in ("hunter2", "topsecret"):
        assert secret not in shown + out + errors


def test_the_demo_forgets_what_it_saw_and_touches_no_store_of_a_site(tmp_path: Path) -> None:
    mine = tmp_path / "deeplomatics"
    with service("--scenario", "one-drone-noon", name="demo", XDG_DATA_HOME=str(tmp_path)) as (process, address):
        assert get(f"{address}/healthz")
        (folder,) = mine.iterdir()
        assert (folder / "deeplomatics.sqlite3").is_file()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    assert list(mine.iterdir()) == []
