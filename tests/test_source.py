"""Recordings, folders and addresses: every picture with its exact time, or one plain sentence."""

from __future__ import annotations

import copy
import http.server
import itertools
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.camera.source import SourceError, open_source, to_pixels
from models.types import Band, Frame

MILLISECOND = Fraction(1, 1000)


def no_clock() -> int:
    raise AssertionError("a recording needs no clock")


def picture(width: int, height: int, shade: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), shade, np.uint8)


def write_video(
    path: Path,
    size: tuple[int, int] = (64, 48),
    pts: tuple[int, ...] = tuple(range(0, 20 * 40, 40)),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """A video whose picture k has the shade 8·k, shown at pts[k] milliseconds."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = MILLISECOND
        for k, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(*size, 8 * k % 256), format="bgr24")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path | str, spectrum: Band = "infrared", **settings: object) -> list[Frame]:
    config = CameraConfig.model_validate({"id": "cam", "source": str(path), "spectrum": spectrum, **settings})
    with open_source(config, no_clock) as source:
        return list(source)


def shades(frames: list[Frame]) -> list[float]:
    return [float(frame.pixels.mean()) for frame in frames]


def test_every_frame_of_a_video_has_its_own_exact_time(tmp_path: Path) -> None:
    pts = (0, 40, 80, 81, 500, 540, 1000, 1033, 1067, 2000)
    frames = read(write_video(tmp_path / "uneven.mkv", pts=pts))
    assert [frame.time_ns for frame in frames] == [1_000_000 * time for time in pts]
    assert [frame.sequence for frame in frames] == list(range(len(pts)))
    assert np.allclose(shades(frames), [8 * k for k in range(len(pts))], atol=3)
    assert {(frame.time_source, frame.time_sigma_ns) for frame in frames} == {("pts", 0)}


@pytest.mark.parametrize("color_range", [ColorRange.UNSPECIFIED, ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "gray", "yuv422p"])
@pytest.mark.parametrize("width", [60, 64])  # rows with and without a rest behind them
def test_gray_is_what_ffmpeg_makes_of_every_shade(color_range: ColorRange, pixel_format: str, width: int) -> None:
    shades = np.resize(np.arange(256, dtype=np.uint8), (48, width))
    frame = av.VideoFrame.from_ndarray(shades, format="gray").reformat(format=pixel_format)
    np.copyto(
        np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(48, -1)[:, :width], shades
    )  # every byte there can be
    frame.color_range = color_range
    np.testing.assert_array_equal(to_pixels(frame, "infrared")[:, :, 0], frame.to_ndarray(format="gray"))


@pytest.mark.parametrize(("spectrum", "channels"), [("infrared", 1), ("visible", 3)])
def test_pixels_are_what_the_detector_was_trained_on(tmp_path: Path, spectrum: Band, channels: int) -> None:
    frame = read(write_video(tmp_path / "clip.mp4"), spectrum)[-1]
    assert frame.pixels.shape == (48, 64, channels)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert frame.band == spectrum


def test_the_same_file_twice_gives_the_same_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    first, second = read(path, "visible"), read(path, "visible")
    assert [f.time_ns for f in first] == [f.time_ns for f in second]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


def test_a_folder_is_read_in_natural_order_at_the_given_rate(tmp_path: Path) -> None:
    for number, name in ((30, "f10.png"), (20, "f2.PNG"), (10, "f1.jpg"), (40, "f100%d${x}@.tif")):
        cv2.imwrite(str(tmp_path / name.lower()), picture(16, 16, number))
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = read(tmp_path, fps=10.0)
    assert np.allclose(shades(frames), [10, 20, 30, 40], atol=3)
    assert [frame.time_ns for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]


def test_a_video_may_change_its_size_in_the_middle(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{w}.ts", (w, h)) for w, h in ((64, 48), (128, 96))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = read(joined)
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 1)] * 20 + [(96, 128, 1)] * 20
    assert all(later.time_ns > frame.time_ns for frame, later in itertools.pairwise(frames))


@pytest.mark.parametrize(("size", "codec", "pixels"), [((1, 1), "ffv1", "bgr0"), ((7680, 4320), "mjpeg", "yuvj420p")])
def test_the_smallest_and_an_8k_picture_are_taken(
    tmp_path: Path, size: tuple[int, int], codec: str, pixels: str
) -> None:
    path = write_video(tmp_path / "size.mkv", size, pts=(0,), codec=codec, pixels=pixels)
    assert read(path, "visible")[0].pixels.shape == (size[1], size[0], 3)


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is a shopping list, not a video.\n" * 40)
    return folder / "text.mp4"


def playlist(folder: Path) -> Path:
    other = write_video(folder / "private.ts")
    (folder / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")
    return folder / "list.mp4"


def concat_script(folder: Path) -> Path:
    write_video(folder / "private.ts")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile private.ts\n")
    return folder / "script.mp4"


def without_index(folder: Path) -> Path:
    whole = write_video(folder / "cut.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return folder / "cut.mp4"


def too_wide(folder: Path) -> Path:
    return write_video(folder / "wide.mkv", (8200, 16), pts=(0,), codec="mjpeg", pixels="yuvj420p")


def too_many_pixels(folder: Path) -> Path:
    return write_video(folder / "huge.mkv", (6400, 6400), pts=(0,), codec="mjpeg", pixels="yuvj420p")


def only_sound(folder: Path) -> Path:
    with av.open(str(folder / "sound.wav"), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    return (folder / "sound.wav").rename(folder / "sound.mp4")


def folder_without_images(folder: Path) -> Path:
    (folder / "none").mkdir()
    return folder / "none"


def folder_with_a_broken_image(folder: Path) -> Path:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    return folder / "broken.png"


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


@pytest.mark.parametrize(
    "make",
    [
        empty,
        text,
        playlist,
        concat_script,
        without_index,
        too_wide,
        too_many_pixels,
        only_sound,
        folder_without_images,
        folder_with_a_broken_image,
        missing,
    ],
)
def test_what_cannot_be_read_is_one_plain_sentence(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with pytest.raises(SourceError) as refused:
        read(path)
    sentence = str(refused.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert refused.value.__cause__ is refused.value.__context__ is None  # FFmpeg's words are gone, not hidden


def test_a_recording_that_is_cut_short_gives_what_it_holds_and_then_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-100])
    with open_source(CameraConfig(id="cam", source=SourceAddress(str(path))), no_clock) as source:
        frames = iter(source)
        held = list(itertools.islice(frames, 10))
        with pytest.raises(SourceError, match="cut short: it promises 20 pictures"):
            list(frames)
    assert shades(held) == pytest.approx([8 * k for k in range(10)], abs=5)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="/dev/video63"):
        read("63")


SPELLINGS = (
    "rtsp://john.doe:{}@camera.example/live",
    "rtsp://u%40x:{}@camera.example:554/live",
    "rtsp://:{}@camera.example/live",
    "RTSP://{}@camera.example",
    "rtsp://user:{}@x@camera.example/",
    "rtsp://user:a@{}@camera.example/",
    "rtsp://user:a/{}@camera.example/",
    "rtsp://user:a#{}@camera.example/",
    "rtsp://user:a?{}@camera.example/",
    "http://camera.example/live?username=me&password={}",
    "http://camera.example/live#{}",
    "https://camera.example/me/{}/live",
    "rtsp://camera.example/user=me_password={}_channel=1.sdp",
    "rtsp://user:pw@{}:99999999/live",
    "rtsp:/user:{}@camera.example/live",
    "rtsp:user:{}@camera.example",
    "//user:{}@camera.example/live",
    "user:{}@camera.example/live",
    "{}@camera.example",
    "rtmp://user:{}@camera.example/live",
    "file://user:{}@camera.example/live",
    "rtsp://us er:{}@camera.example/\nlive",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_an_address_shows_its_password(spelling: str, caplog: pytest.LogCaptureFixture) -> None:
    canary = "c4n4ry"
    said: list[object] = []
    try:
        config = CameraConfig.model_validate({"id": "cam", "source": spelling.format(canary), "open_timeout_s": 0.5})
    except ValidationError as error:
        said.append(error)
    else:
        address = config.source
        assert address.reveal() == spelling.format(canary)
        said += [config, address, f"{address}", config.model_dump(), config.model_dump_json(), copy.deepcopy(config)]
        with pytest.raises(TypeError):
            pickle.dumps(config)
    assert said
    assert canary not in f"{said!r} {[str(what) for what in said]} {caplog.text}"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30))
def test_a_secret_from_the_environment_may_hold_any_character(password: str) -> None:
    address = SourceAddress("rtsp://me:${CAMERA_PASSWORD}@camera.example:554/live", {"CAMERA_PASSWORD": password})
    assert str(address) == "rtsp://camera.example:554/…"
    authority = address.reveal().removeprefix("rtsp://").partition("/")[0]
    assert authority.count("@") == 1
    assert authority.endswith("@camera.example:554")


def test_a_secret_that_is_not_set_is_named() -> None:
    with pytest.raises(ValueError, match="CAMERA_PASSWORD is not set"):
        SourceAddress("rtsp://me:${CAMERA_PASSWORD}@camera.example/live", {})


@pytest.fixture(name="witness")
def _witness() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers everything with a redirect to itself, and what was asked of it."""
    asked: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(4096).split(b"\r\n")[0])
                there = f"Location: http://127.0.0.1:{port}/elsewhere\r\n"
                connection.sendall(f"HTTP/1.1 302 Found\r\n{there}Content-Length: 0\r\n\r\n".encode())

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield port, asked
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_redirect_is_not_followed(witness: tuple[int, list[bytes]]) -> None:
    port, asked = witness
    config = CameraConfig(id="cam", source=SourceAddress(f"http://me:c4n4ry@127.0.0.1:{port}/live"))
    with pytest.raises(SourceError, match="give the final address") as refused:
        open_source(config, no_clock)
    assert asked == [b"GET /live HTTP/1.1"]
    assert "c4n4ry" not in str(refused.value)


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """Twelve pictures, as many network cameras send them: JPEG after JPEG, with no times."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", picture(32, 32, 100))[1].tobytes()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        self.wfile.write(b"".join([head, jpeg, b"\r\n"] * 12))

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


def test_a_stream_without_times_is_timed_by_arrival() -> None:
    ticks = itertools.count(10**18, 55_000_000)  # a packet every 55 ms, where FFmpeg would make up 40
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = SourceAddress(f"http://127.0.0.1:{server.server_port}/video.mjpg")
        with open_source(CameraConfig(id="cam", source=address, latency_s=0.2), lambda: next(ticks)) as source:
            frames = list(itertools.islice(source, 10))
        server.shutdown()
    assert len(frames) == 10
    assert {frame.time_source for frame in frames} == {"arrival"}
    assert {frame.received_ns - frame.time_ns for frame in frames} == {200_000_000}


def test_a_bare_stream_in_a_file_is_timed_by_the_rate_given(tmp_path: Path) -> None:
    path = write_video(tmp_path / "bare.h264")
    with open_source(CameraConfig(id="cam", source=SourceAddress(str(path)), fps=50.0), no_clock) as source:
        assert source.info.fps == 50.0
        assert [frame.time_ns for frame in source] == [20_000_000 * k for k in range(20)]
