"""Live sound from real senders: raw samples over TCP, UDP and RTP, an RTSP server, files; and the clock behind them."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from test_acoustic_directions import eight_microphones

from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.pcm import FORMATS, Pcm
from fusion.sensors.microphone_array.source import Block, SoundError
from fusion.sensors.microphone_array.stream import open_stream
from fusion.sensors.microphone_array.timing import SampleClock, slope_below
from service.clock import SystemClock
from service.sound_capture import SoundFeed, sound_feed
from service.types import SensorState

RATE, CHANNELS = 16_000, 8
PATIENCE_S = 60.0  # a busy machine is no failure
PLACES = tuple(map(tuple, eight_microphones().tolist()))


def array(source: object, **settings: object) -> ArrayConfig:
    return ArrayConfig.model_validate({"microphones": PLACES, "source": source, **settings})


# -- what the samples are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_raw_samples_of_every_format_are_read(form: str) -> None:
    wanted = np.array([[0.5, -0.25, 0.0], [-1.0, 0.125, 0.75]], np.float32)
    interleaved = wanted.T.ravel()
    if form.startswith("f"):
        data = interleaved.astype("<f4" if form.endswith("le") else ">f4").tobytes()
    else:
        size = FORMATS[form]
        order = "little" if form.endswith("le") else "big"
        data = b"".join(
            int(v * 2 ** (8 * size - 1)).to_bytes(size, order, signed=True)  # type: ignore[arg-type]
            for v in interleaved
        )
    np.testing.assert_array_equal(Pcm(48_000, 2, form).decode(data), wanted)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("tcp://127.0.0.1:5000", "does not say what its samples are"),
        ("tcp://127.0.0.1:5000?rate=48000&channels=4", "channels=4 but the array has 8"),
        ("tcp://127.0.0.1:5000?rate=48000&channels=8&format=u8", "format must be one of s16le"),
        ("tcp://127.0.0.1:5000?rate=fast&channels=8", "rate behind the address"),
        ("tcp://127.0.0.1:5000?rate=48000&bits=24", "'bits' is not known"),
        ("ftp://127.0.0.1/x", "a stream is one of rtsp://"),
    ],
)
def test_a_wrong_address_is_told_at_once(source: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        array(source)


def test_a_password_is_never_shown() -> None:
    config = array("tcp://user:canary@127.0.0.1:5000?rate=48000")
    assert "canary" not in repr(config) + str(config) + config.model_dump_json()


# -- the clock ---------------------------------------------------------------------------------------------------------


def arrivals(drift_ppm: float, seconds: float, generator: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    """End of each 20 ms block by an array's own clock that drifts, its true capture and its late arrival, ns: jitter of
    3 ms in the mean, and the network stands still for 150 ms now and then."""
    block, true_rate = RATE // 50, RATE * (1.0 + drift_ppm * 1e-6)
    blocked_until = 0.0
    for end in range(block, round(seconds * true_rate), block):
        captured_s = end / true_rate
        arrived_s = max(captured_s + 0.005 + generator.exponential(0.003), blocked_until)
        if generator.random() < 0.01:
            blocked_until = arrived_s + 0.15
        yield end, round(captured_s * 1e9), round(arrived_s * 1e9)


@pytest.mark.parametrize("drift_ppm", [50.0, -50.0, 0.0])
def test_capture_times_are_right_to_a_millisecond_and_the_drift_is_known(drift_ppm: float) -> None:
    clock = SampleClock(RATE, latency_ns=5_000_000)
    generator = np.random.default_rng(3)
    errors_ms = []
    for end, captured_ns, arrival_ns in arrivals(drift_ppm, 180.0, generator):
        assert clock.observe(end, arrival_ns) == 0  # a network that stalls has lost nothing
        errors_ms.append(1e-6 * (clock.time_ns(end) - captured_ns))
    settled = np.abs(errors_ms[50:])
    assert settled.max() < 1.0, settled.max()
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=10.0)
    assert clock.measured_rate_hz is None


def test_lost_samples_are_counted_and_times_go_on_right() -> None:
    clock = SampleClock(RATE, latency_ns=5_000_000)
    generator = np.random.default_rng(4)
    missing = found = 0
    for end, captured_ns, arrival_ns in arrivals(20.0, 60.0, generator):
        if 20e9 < captured_ns < 20.25e9:
            missing += RATE // 50
            continue
        found += clock.observe(end - missing + found, arrival_ns)
        if captured_ns > 22e9:
            assert abs(clock.time_ns(end - missing + found) - captured_ns) < 1_500_000
    assert found == pytest.approx(missing, abs=0.002 * RATE)


def test_another_rate_than_stated_is_told() -> None:
    clock = SampleClock(48_000)
    found = 0
    for block in range(1, 700):
        found += clock.observe(block * 882 + found, block * 20_000_000)
    assert clock.measured_rate_hz == pytest.approx(44_100, rel=1e-3)


def test_the_line_lies_below_all_arrivals() -> None:
    points = [(0.0, 1.0), (1.0, 0.5), (2.0, 2.0), (3.0, 0.7), (4.0, 3.0)]
    assert slope_below(points) == pytest.approx(0.1)


# -- senders -----------------------------------------------------------------------------------------------------------


def tone(first: int, count: int) -> FloatArray:
    """A sample knows its number and its channel: a ramp that begins anew each second, an eighth apart."""
    number = (first + np.arange(count)) % RATE / RATE
    ramp: FloatArray = (number + np.arange(CHANNELS)[:, None] / CHANNELS) % 1.0 - 0.5
    return ramp


def pcm16(samples: FloatArray, order: str = "<") -> bytes:
    return (samples.T * 32768.0).astype(f"{order}i2").tobytes()


class Sender(threading.Thread):
    """Sends blocks of 20 ms when they are captured, until told to stop."""

    def __init__(self, send: Callable[[int, FloatArray], None]) -> None:
        super().__init__(daemon=True)
        self.captured_ns: dict[int, int] = {}  # of the first sample of each block
        self._send = send
        self._over = threading.Event()

    def run(self) -> None:
        began_ns, step, first = time.time_ns(), RATE // 50, 0
        while not self._over.is_set():
            due_ns = began_ns + (first + step) * 1_000_000_000 // RATE
            time.sleep(max(due_ns - time.time_ns(), 0) * 1e-9)
            self.captured_ns[first] = due_ns - step * 1_000_000_000 // RATE
            try:
                self._send(first, tone(first, step))
            except OSError:
                return
            first += step

    def stop(self) -> None:
        self._over.set()
        self.join()


class TcpArray:
    """An array that is called over TCP and may hang up."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}?rate={RATE}&format=s16le"
        self.senders: list[Sender] = []
        self._lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            self._lines.append(line)
            self.senders.append(Sender(partial(_send_all, line)))
            self.senders[-1].start()

    def hang_up(self) -> None:
        for line in self._lines:
            with closing(line), suppress(OSError):  # it may have hung up itself
                line.shutdown(socket.SHUT_RDWR)
        self._lines.clear()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        self.hang_up()
        for sender in self.senders:
            sender.stop()


def _send_all(line: socket.socket, _: int, samples: FloatArray) -> None:
    line.sendall(pcm16(samples))


@contextmanager
def hearing(config: ArrayConfig) -> Iterator[SoundFeed]:
    feed = sound_feed(config, SystemClock())
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def take(feed: SoundFeed, seconds: float, wanted: Callable[[Block], bool] = lambda _: True) -> list[Block]:
    """Blocks of that much sound."""
    blocks: list[Block] = []
    deadline = time.monotonic() + PATIENCE_S
    while sum(block.samples.shape[1] / block.rate_hz for block in blocks) < seconds:
        assert time.monotonic() < deadline, feed.health()
        block = feed.next(0.5)
        if block is not None and wanted(block):
            blocks.append(block)
    return blocks


def until(true: Callable[[], object], feed: SoundFeed) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, feed.health()
        feed.next(0.05)


def test_an_array_over_tcp_is_heard_and_called_again_when_it_hangs_up() -> None:
    with closing(TcpArray()) as sender, hearing(array(sender.url, latency_s=0.0)) as feed:
        blocks = take(feed, 2.0)
        heard = np.concatenate([block.samples for block in blocks], axis=1)
        np.testing.assert_allclose(heard, tone(0, heard.shape[1]), atol=1e-4)
        for before, after in pairwise(blocks):
            assert after.index == before.index + before.samples.shape[1]
            assert after.time_ns > before.time_ns
        late_ms = [
            1e-6 * (block.time_ns - sender.senders[0].captured_ns[block.index - blocks[0].index])
            for block in blocks[-40:]
            if block.index - blocks[0].index in sender.senders[0].captured_ns
        ]
        assert late_ms
        print(f"\ncapture time over TCP: late by {np.median(late_ms):.2f} ms, spread {np.ptp(late_ms):.2f} ms")
        assert feed.health().state is SensorState.ONLINE
        sender.hang_up()
        until(lambda: feed.health().reconnects == 1 and feed.health().state is SensorState.ONLINE, feed)
        again = take(feed, 0.1)
        assert again[0].index > blocks[-1].index + blocks[-1].samples.shape[1]  # nobody takes it for one piece


def test_an_array_over_udp_is_heard() -> None:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port = free_port()
    sender = Sender(lambda _, samples: _sent(out, pcm16(samples, ">"), port))
    with closing(out), hearing(array(f"udp://127.0.0.1:{port}?rate={RATE}&format=s16be")) as feed:
        sender.start()
        heard = np.concatenate([block.samples for block in take(feed, 0.5)], axis=1)
        sender.stop()
    assert np.median(np.abs(np.diff(heard[0]) - 1.0 / RATE)) < 1e-4


def test_rtp_tells_what_was_lost() -> None:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port = free_port()

    def send(first: int, samples: FloatArray) -> None:
        number = first // samples.shape[1]
        header = struct.pack(">BBHII", 0x80, 97, number & 0xFFFF, (first + 2**32 - 4000) % 2**32, 7)
        if number % 25 != 24:
            _sent(out, header + pcm16(samples, ">"), port)

    sender = Sender(send)
    with closing(out), hearing(array(f"rtp://127.0.0.1:{port}?rate={RATE}")) as feed:
        sender.start()
        blocks = take(feed, 1.5)
        sender.stop()
        timing = feed.timing
    assert timing.gaps >= 2
    assert timing.lost == timing.gaps * RATE // 50
    offset = round((blocks[0].samples[0, 0] + 0.5) * RATE) - blocks[0].index
    for block in blocks:  # numbered right across the losses
        np.testing.assert_allclose(block.samples, tone(block.index + offset, block.samples.shape[1]), atol=2e-4)


def test_datagrams_that_are_no_whole_samples_are_refused() -> None:
    port = free_port()
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream = open_stream(array(f"udp://127.0.0.1:{port}?rate={RATE}"), time.time_ns)
    with closing(out), closing(stream):
        _sent(out, b"\0" * 100, port)
        with pytest.raises(SoundError, match="100 bytes at once, which is not a whole number of samples of 8 channels"):
            next(iter(stream))


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sent(out: socket.socket, data: bytes, port: int) -> None:
    out.sendto(data, ("127.0.0.1", port))


# -- files and devices -------------------------------------------------------------------------------------------------


def test_a_file_is_played_at_its_pace_and_again(tmp_path: Path) -> None:
    path = tmp_path / "flight.flac"
    soundfile.write(path, tone(0, RATE // 4).T, RATE, subtype="PCM_24")
    with hearing(array(str(path), loop=True)) as feed:
        blocks = take(feed, 0.6)
        assert feed.health().state is SensorState.ONLINE
    assert [block.index for block in blocks[:8]] == [k * RATE // 20 for k in range(8)]
    assert blocks[7].time_ns - blocks[0].time_ns >= 340_000_000  # by the clock of who listens


@pytest.mark.parametrize("channels", [1, 7])
def test_a_file_of_another_array_fails_with_a_sentence(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "other.wav"
    soundfile.write(path, tone(0, RATE)[:channels].T, RATE)
    with hearing(array(str(path))) as feed:
        until(lambda: feed.health().state is SensorState.FAILED, feed)
        assert f"{channels} channel" in feed.health().reason
        assert "the array has 8 microphones" in feed.health().reason


def test_a_host_that_is_not_there_is_told_and_tried_again() -> None:
    port = free_port()
    with hearing(array(f"tcp://127.0.0.1:{port}?rate={RATE}")) as feed:
        until(lambda: feed.health().reconnects >= 1, feed)
        health = feed.health()
    assert health.state is SensorState.DOWN
    assert "the host refuses the connection" in health.reason
    assert "trying again" in health.reason


def test_sound_devices_are_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SoundError, match=r"pip install 'deeplomatics\[sound\]'"):
        open_stream(array(0), time.time_ns)


# -- RTSP --------------------------------------------------------------------------------------------------------------


@pytest.fixture(name="rtsp_sound")
def _rtsp_sound(rtsp_python: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    script = Path(__file__).with_name("rtsp_server.py")
    command = [rtsp_python, str(script), "--sound", str(CHANNELS)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    with server.stdout as said:
        port = int(said.readline())
    yield f"rtsp://127.0.0.1:{port}/cam", server
    server.kill()
    server.wait()


@pytest.mark.rtsp
def test_an_array_over_rtsp_is_heard_until_its_server_is_gone(rtsp_sound: tuple[str, subprocess.Popen[str]]) -> None:
    url, server = rtsp_sound
    with hearing(array(url)) as feed:
        blocks = take(feed, 1.0)
        heard = np.concatenate([block.samples for block in blocks], axis=1)
        frequency = np.fft.rfftfreq(heard.shape[1], 1.0 / blocks[0].rate_hz)
        loudest = frequency[np.abs(np.fft.rfft(heard)).argmax(axis=1)]
        np.testing.assert_allclose(loudest, 440.0, atol=3.0)
        assert heard.shape[0] == CHANNELS
        server.send_signal(signal.SIGKILL)
        until(lambda: feed.health().state is SensorState.DOWN, feed)


@pytest.mark.rtsp
def test_mono_is_no_array(rtsp_sound: tuple[str, subprocess.Popen[str]]) -> None:
    five = ArrayConfig.model_validate({"microphones": PLACES[:5], "source": rtsp_sound[0]})
    with pytest.raises(SoundError, match="8 channels but the array has 5 microphones"):
        open_stream(five, time.time_ns)
