"""Live sources against a real RTSP server (GStreamer's) that is killed, halted, restarted and protected."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from urllib.parse import quote

import pytest

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from models.types import Frame
from service.capture import Capture
from service.clock import SystemClock
from service.types import SensorState

pytestmark = pytest.mark.rtsp

PATIENCE_S = 60.0  # a busy machine is no failure
PASSWORD = "c4n4ry@/:%20?#"


class Server:
    """`tests/rtsp_server.py` as a process."""

    def __init__(self, python: str, *options: str, port: int = 0) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        command = [python, str(script), "--port", str(port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.port = int(said.readline())

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


Start = Callable[..., Server]


@pytest.fixture(name="serve")
def _serve(rtsp_python: str) -> Iterator[Start]:
    with ExitStack() as servers:
        yield lambda *options, port=0: servers.enter_context(closing(Server(rtsp_python, *options, port=port)))


@contextmanager
def capturing(name: str, url: str) -> Iterator[Capture]:
    config = CameraConfig(id=name, source=SourceAddress(url), spectrum="infrared", open_timeout_s=3.0)
    capture = Capture(config, SystemClock())
    capture.start()
    try:
        yield capture
    finally:
        capture.stop()


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain: {what}"
        time.sleep(0.02)


def until_state(capture: Capture, state: SensorState) -> None:
    until(lambda: capture.health().state is state, f"{state}; it is {capture.health()}")


def take(capture: Capture, count: int) -> list[Frame]:
    frames: list[Frame] = []

    def taken() -> bool:
        frame = capture.next(1.0)
        frames.extend([frame] if frame else [])
        return len(frames) >= count

    until(taken, f"{count} frames")
    return frames


def readers() -> dict[int, str]:
    """Process id and command line of the capture processes that are children of this process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and "service.capture_process" in command:
            found[int(folder.name)] = command
    return found


def held() -> tuple[int, int, int]:
    """Descriptors, threads and capture processes of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(readers())


class Neighbour(threading.Thread):
    """Takes every frame of one capture for as long as the other's troubles last."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.states: set[SensorState] = set()
        self._capture = capture
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            frame = self._capture.next(0.2)
            self.frames.extend([frame] if frame else [])
            self.states.add(self._capture.health().state)

    def finish(self) -> None:
        self._over.set()
        self.join()


def test_a_camera_that_dies_comes_back_and_its_neighbour_loses_nothing(serve: Start) -> None:
    dying, well = serve(), serve()
    before = held()
    with capturing("dying", dying.url) as capture, capturing("well", well.url) as other:
        first = take(capture, 5)
        take(other, 1)
        neighbour = Neighbour(other)
        neighbour.start()
        dying.close()
        until_state(capture, SensorState.DOWN)
        assert "trying again" in capture.health().reason
        again = serve("--size", "640x480", port=dying.port)
        until_state(capture, SensorState.ONLINE)
        second = take(capture, 5)
        neighbour.finish()
        again.close()
        health, unharmed = capture.health(), other.health()
    frames = first + second
    assert health.reconnects >= 1
    assert {frame.pixels.shape for frame in second if frame.pixels.shape != (256, 320, 1)} == {(480, 640, 1)}
    assert all(b.time_ns > a.time_ns and b.sequence > a.sequence for a, b in pairwise(frames))
    assert SensorState.DOWN not in neighbour.states
    assert unharmed.reconnects == 0
    assert unharmed.dropped.get("unreadable", 0) == 0
    lost = sum(b.sequence - a.sequence - 1 for a, b in pairwise(neighbour.frames))
    assert lost <= sum(unharmed.dropped.values())  # nothing is lost that is not counted
    assert held() == before


def test_a_camera_that_halts_is_stale_and_a_reader_that_halts_is_replaced(serve: Start) -> None:
    server = serve()
    with capturing("cam", server.url) as capture:
        take(capture, 2)
        server.signal(signal.SIGSTOP)
        until_state(capture, SensorState.STALE)
        server.signal(signal.SIGCONT)
        until_state(capture, SensorState.ONLINE)
        (reader,) = readers()
        os.kill(reader, signal.SIGSTOP)  # as one whose read never returns
        until(lambda: reader not in readers(), "the halted reader is killed")
        until_state(capture, SensorState.ONLINE)
        take(capture, 2)
        (reader,) = readers()
        os.kill(reader, signal.SIGSEGV)
        until(lambda: "SIGSEGV" in capture.health().reason, "the crash is told")
        until_state(capture, SensorState.ONLINE)
    assert not readers()


def test_what_never_answers_is_down_with_its_reason_and_can_be_stopped_at_any_time(serve: Start) -> None:
    hole = socket.create_server(("127.0.0.1", 0))
    closed = socket.create_server(("127.0.0.1", 0))
    refusing = closed.getsockname()[1]
    closed.close()
    frozen = serve("--frozen")
    with (
        hole,
        capturing("hole", f"rtsp://me:c4n4ry@127.0.0.1:{hole.getsockname()[1]}/cam") as silent,
        capturing("refused", f"rtsp://me:c4n4ry@127.0.0.1:{refusing}/cam") as refused,
        capturing("frozen", frozen.url) as still,
    ):
        until_state(refused, SensorState.DOWN)
        assert "refuses the connection" in refused.health().reason
        until_state(silent, SensorState.DOWN)
        assert "does not answer" in silent.health().reason
        until_state(still, SensorState.FROZEN)
        assert "the same picture for" in still.health().reason
        assert "c4n4ry" not in f"{refused.health()} {silent.health()}"
    assert not readers()


def test_a_password_opens_the_camera_and_shows_nowhere(
    serve: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve("--user", "watch man", "--password", PASSWORD)
    monkeypatch.setenv("CAMERA_PASSWORD", PASSWORD)
    url = f"rtsp://watch%20man:${{CAMERA_PASSWORD}}@127.0.0.1:{server.port}/cam"
    said: list[str] = []
    with capturing("cam", url) as capture:
        take(capture, 2)
        ((reader, command),) = readers().items()
        said += [command, Path(f"/proc/{reader}/environ").read_text(), repr(capture.health())]
        server.close()
        until_state(capture, SensorState.DOWN)
        said += [repr(capture.health()), repr(vars(capture))]
    server = serve("--user", "watch man", "--password", "another", port=server.port)
    with capturing("cam", url) as capture:
        until(lambda: "user or password are wrong" in capture.health().reason, "the refusal is told")
        said.append(repr(capture.health()))
    said += [*capfd.readouterr(), caplog.text]
    for spelling in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), "c4n4ry"):
        assert spelling not in "\n".join(said)


def written_ms(frame: Frame) -> int:
    """The UTC millisecond that the server wrote into the picture."""
    blocks = frame.pixels[:48, :256, 0].reshape(3, 16, 16, 16)[:, 4:12, :, 4:12].mean(axis=(1, 3))
    return sum(1 << (47 - index) for index, level in enumerate(blocks.ravel()) if level > 128)


def test_the_capture_time_is_the_senders_own(serve: Start) -> None:
    server = serve()
    with capturing("cam", server.url) as capture:
        frames: list[Frame] = []
        while sum(frame.time_source == "rtcp" for frame in frames) < 30:
            frames += take(capture, 10)
    told = [frame for frame in frames if frame.time_source == "rtcp"]
    assert frames[0].time_source == "arrival"  # the first report takes a few seconds
    assert abs(median(frame.time_ns / 1e6 - written_ms(frame) for frame in told)) < 20
    assert all(frame.received_ns / 1e6 >= written_ms(frame) for frame in frames)
