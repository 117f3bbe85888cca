"""A camera's pictures as an iterator of `Frame`: video files, folders of images, network streams, devices.

Everything is decoded by FFmpeg through PyAV, devices by OpenCV. A source reads no clock: it is given `now_ns`.

What a source will not do: open anything but the protocols and containers listed here (a text file called `.mp4` may
be a playlist of other files); follow an HTTP redirect (it may lead elsewhere; FFmpeg follows RTSP's own redirects and
has no switch against that); take a picture larger than 8192 x 8192 or 40 megapixels; show a password, or FFmpeg's own
words, which hold the URL.
"""

from __future__ import annotations

import itertools
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.camera.timing import SECOND_NS, LiveTime, RecordedTime, Stamp
from models.types import Band, Frame

MAX_SIDE = 8192
MAX_PIXELS = 40_000_000
MAX_UNREADABLE = 300  # packets in a row: 10 s at 30 fps
READ_TIMEOUT_S = 10.0  # of a stream that falls silent; whoever watches over it gives up earlier
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FOLDER_FPS = 30.0

#: Of luma from 16 to 235 (ITU-R BT.601, section 2.5.3).
_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)

Words = tuple[tuple[type[BaseException], str], ...]

_FILE_FORMATS = (
    "mov,mp4,m4a,3gp,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,av1,obu,ivf,flv,mjpeg,asf,ogg,gif,mxf,dhav,"
    "yuv4mpegpipe,image2,jpeg_pipe,png_pipe,bmp_pipe,tiff_pipe,webp_pipe"
)
_UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "jpeg_pipe"})  # FFmpeg makes their times up
_STREAM_FORMATS = "rtsp,sdp,mpjpeg,mjpeg,mpegts,mov,mp4,matroska,webm,flv,h264,hevc,jpeg_pipe"


class SourceError(Exception):
    """A source that cannot be opened or read: one plain sentence that names it and the mend, and holds no secret."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself before its first picture.

    Attributes:
        width, height: pixels; 0 where not known yet.
        fps: nominal pictures per second; 0 where not known.
        start_ns: UTC of the first picture of a recording (its own creation time, else 0); 0 for a live source.
        frames: how many a recording holds, None where it does not say.
    """

    width: int
    height: int
    fps: float
    start_ns: int
    frames: int | None


class Source(Protocol):
    """An open source. Iterate it once, from one thread; `close` it from that thread too.

    Attributes:
        info: what is known before the first picture.
        unreadable: packets so far that held no decodable picture.
        clock_error_ns: the sender's clock less ours where it is too far off to be believed, else None.
    """

    info: SourceInfo
    unreadable: int

    @property
    def clock_error_ns(self) -> int | None: ...

    def __iter__(self) -> Iterator[Frame]:
        """Every picture in order of presentation. Raises `SourceError` where the source breaks off."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(config: CameraConfig, now_ns: Callable[[], int], *, start_ns: int | None = None) -> Source:
    """Open what `config.source` names.

    Args:
        now_ns: UTC nanoseconds, asked once per packet of a live source and never for a recording.
        start_ns: UTC of a recording's first picture in place of its own creation time.

    Raises:
        SourceError: there is no such thing, it refuses, or it holds no picture that can be read.
    """
    address = config.source
    if address.kind == "url":
        return LiveVideo(config, now_ns)
    if address.kind == "device":
        return Device(config, now_ns)
    if os.path.isdir(address.reveal()):
        return ImageFolder(config, start_ns)
    return RecordedVideo(config, start_ns)


def to_pixels(picture: av.VideoFrame, band: Band) -> NDArray[np.uint8]:
    """Full-range gray [H, W, 1] for infrared, BGR [H, W, 3] for visible; uint8, contiguous.

    The same conversion as the detector is trained on (FFmpeg's, which knows the file's range and matrix).
    """
    if band == "infrared":
        return _gray(picture)[:, :, np.newaxis]
    return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)


def _gray(picture: av.VideoFrame) -> NDArray[np.uint8]:
    """The luma of the commonest kind by a table: the same bytes as FFmpeg's conversion at a tenth of its time."""
    if picture.format.name == "yuv420p" and picture.color_range != ColorRange.JPEG:
        plane = picture.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        return np.asarray(_FULL_RANGE[rows[:, : plane.width]], np.uint8)
    return np.asarray(picture.to_ndarray(format="gray"), np.uint8)


class _Closing:
    """`with` for a source."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Video(_Closing):
    """The decoder that recordings and streams share: one video stream, packets to pictures."""

    def __init__(self, config: CameraConfig, container: Any) -> None:
        self.unreadable = 0
        self._config = config
        self._container = container
        self._in_a_row = 0
        if not container.streams.video:
            raise SourceError(f"{config.source} holds no video: give a video file, a folder of images or a stream")
        self._timed = container.format.name not in _UNTIMED_FORMATS
        self._stream = container.streams.video[0]
        self._stream.thread_type = "SLICE"  # threads over whole frames would add their number in frames of delay
        self._stream.codec_context.thread_count = config.decode_threads
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        _check_size(config.source, self._stream.codec_context.width, self._stream.codec_context.height)

    @property
    def clock_error_ns(self) -> int | None:
        return None

    def close(self) -> None:
        self._container.close()

    def _fps(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        said = self._config.fps or 0.0
        return float(rate) if rate and (self._timed or not said) else said

    def _packets(self) -> Iterator[Any]:
        """Packets until the source ends. Raises `SourceError` where its container cannot be read on."""
        packets = self._container.demux(self._stream)
        try:
            yield from packets
            return
        except av.FFmpegError as error:
            failure = _plain(error, _READ_WORDS)
        raise SourceError(f"{self._config.source} broke off: {failure}")

    def _pictures(self, packet: Any) -> list[av.VideoFrame]:
        """The pictures that a packet completes: mostly one, none where it cannot be read."""
        try:
            pictures: list[av.VideoFrame] = packet.decode()
        except (av.FFmpegError, MemoryError):
            self._skip()
            return []
        if pictures:
            self._in_a_row = 0
        for picture in pictures:
            _check_size(self._config.source, picture.width, picture.height)
        return pictures

    def _skip(self) -> None:
        self.unreadable += 1
        self._in_a_row += 1
        if self._in_a_row >= MAX_UNREADABLE:
            raise SourceError(
                f"{self._config.source} cannot be decoded: {MAX_UNREADABLE} packets in a row held no readable picture"
            )

    def _frame(self, picture: av.VideoFrame, stamp: Stamp, sequence: int, received_ns: int) -> Frame:
        return Frame(
            sensor_id=self._config.id,
            time_ns=stamp.time_ns,
            sequence=sequence,
            band=self._config.spectrum,
            pixels=to_pixels(picture, self._config.spectrum),
            time_source=stamp.source,
            time_sigma_ns=stamp.sigma_ns,
            received_ns=received_ns,
        )

    def _shown_ns(self, timed: Any) -> int | None:
        """When a packet or picture is to be shown; None where nobody but FFmpeg says so."""
        base: Fraction | None = self._stream.time_base
        if timed.pts is None or base is None or not self._timed:
            return None
        ticks: int = timed.pts
        return ticks * base.numerator * SECOND_NS // base.denominator


class RecordedVideo(_Video):
    """A video file: every picture, exact presentation times, no clock."""

    def __init__(self, config: CameraConfig, start_ns: int | None) -> None:
        super().__init__(config, _open_file(config.source))
        fps = self._fps() or FOLDER_FPS
        context = self._stream.codec_context
        begin_ns = _creation_ns(self._container.metadata) if start_ns is None else start_ns
        self.info = SourceInfo(context.width, context.height, fps, begin_ns, self._stream.frames or None)
        self._time = RecordedTime(begin_ns, round(SECOND_NS / fps))

    def __iter__(self) -> Iterator[Frame]:
        sequence = packets = 0
        for packet in self._packets():
            packets += packet.size > 0
            for picture in self._pictures(packet):
                stamp = self._time.stamp(self._shown_ns(picture))
                yield self._frame(picture, stamp, sequence, received_ns=0)
                sequence += 1
        self._check_whole(packets, sequence)

    def _check_whole(self, packets: int, pictures: int) -> None:
        if packets < self._stream.frames:
            raise SourceError(
                f"{self._config.source} is cut short: it promises {self._stream.frames} pictures and holds "
                f"{pictures}; copy it again from where it was recorded"
            )
        if pictures == 0:
            raise SourceError(
                f"{self._config.source} holds no picture that can be read: it is damaged, or its pictures are larger "
                f"than {MAX_SIDE} x {MAX_SIDE} or {MAX_PIXELS // 1_000_000} megapixels"
            )


class LiveVideo(_Video):
    """A network stream. Latency is kept low, time is the sender's where RTCP brings it (see `timing`)."""

    def __init__(self, config: CameraConfig, now_ns: Callable[[], int]) -> None:
        super().__init__(config, _open_stream(config))
        context = self._stream.codec_context
        self.info = SourceInfo(context.width, context.height, self._fps(), 0, None)
        self._now_ns = now_ns
        self._time = LiveTime(
            round(config.latency_s * SECOND_NS),
            round(config.latency_sigma_s * SECOND_NS),
            round(config.clock_tolerance_s * SECOND_NS),
        )

    @property
    def clock_error_ns(self) -> int | None:
        return self._time.clock_error_ns

    def __iter__(self) -> Iterator[Frame]:
        sequence = itertools.count()
        for packet in self._packets():
            arrival_ns = self._now_ns()
            shown_ns = self._shown_ns(packet)
            if shown_ns is not None:
                self._time.observe(shown_ns, arrival_ns, _sender_ns(packet))
            for picture in self._pictures(packet):
                stamp = self._time.stamp(self._shown_ns(picture), arrival_ns)
                yield self._frame(picture, stamp, next(sequence), arrival_ns)


class ImageFolder(_Closing):
    """A folder of images in natural order (`2.png` before `10.png`), at `config.fps`."""

    unreadable = 0
    clock_error_ns: int | None = None

    def __init__(self, config: CameraConfig, start_ns: int | None) -> None:
        self._config = config
        self._paths = _images(config.source)
        fps = config.fps or FOLDER_FPS
        height, width = self._read(self._paths[0]).shape[:2]
        self.info = SourceInfo(width, height, fps, start_ns or 0, len(self._paths))

    def __iter__(self) -> Iterator[Frame]:
        for sequence, path in enumerate(self._paths):
            time_ns = self.info.start_ns + round(sequence * SECOND_NS / self.info.fps)
            yield Frame(self._config.id, time_ns, sequence, self._config.spectrum, self._read(path), "pts")

    def close(self) -> None:
        """Nothing is held open between pictures."""

    def _read(self, path: str) -> NDArray[np.uint8]:
        """An image is a video of one picture."""
        address = SourceAddress.of_file(path)
        config = self._config.model_copy(update={"source": address})
        with RecordedVideo(config, 0) as video:
            for frame in video:
                return frame.pixels
        raise SourceError(f"{address} holds no picture")


class Device(_Closing):
    """A camera of this machine (V4L2), through OpenCV: PyAV's builds have no capture devices."""

    unreadable = 0
    clock_error_ns: int | None = None

    def __init__(self, config: CameraConfig, now_ns: Callable[[], int]) -> None:
        import cv2  # 40 ms and 60 MB that no other source needs

        self._config = config
        self._now_ns = now_ns
        self._gray = cv2.COLOR_BGR2GRAY
        self._convert: Any = cv2.cvtColor
        node = _device_node(config.source)
        self._camera: Any = cv2.VideoCapture(node, cv2.CAP_ANY if isinstance(node, int) else cv2.CAP_V4L2)
        if not self._camera.isOpened():
            raise SourceError(f"device {config.source} cannot be opened: is another program using it?")
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        width, height, fps = map(
            self._camera.get, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        self.info = SourceInfo(int(width), int(height), float(fps), 0, None)

    def __iter__(self) -> Iterator[Frame]:
        config = self._config
        latency_ns = round(config.latency_s * SECOND_NS)
        for sequence in itertools.count():
            there, picture = self._camera.read()
            if not there:
                raise SourceError(f"device {config.source} gives no more pictures: is it still plugged in?")
            now_ns = self._now_ns()
            yield Frame(
                config.id,
                now_ns - latency_ns,
                sequence,
                config.spectrum,
                self._pixels(picture),
                "arrival",
                round(config.latency_sigma_s * SECOND_NS),
                now_ns,
            )

    def close(self) -> None:
        self._camera.release()

    def _pixels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._config.spectrum == "visible":
            return picture
        gray: NDArray[np.uint8] = picture if picture.ndim == 2 else self._convert(picture, self._gray)
        return gray[:, :, np.newaxis]


def _open_file(address: SourceAddress) -> Any:
    path = address.reveal()
    if not os.path.exists(path):
        raise SourceError(f"there is no file or folder {address}")
    if not os.path.isfile(path):
        raise SourceError(f"{address} is neither a video file nor a folder of images")
    if os.path.getsize(path) == 0:
        raise SourceError(f"{address} is empty: copy it again from where it was recorded")
    options = {"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS}
    try:
        # `file:` so that a colon in a name is not taken for a protocol.
        return av.open(f"file:{path}", options=options, stream_options=_PROBE)
    except (av.FFmpegError, MemoryError) as error:
        failure = _plain(error)
    raise SourceError(f"{address} cannot be read as a video ({failure}): it is damaged, cut short or something else")


def _open_stream(config: CameraConfig) -> Any:
    options = {
        "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,http,https",
        "format_whitelist": _STREAM_FORMATS,
        "rtsp_transport": config.transport,
        "max_redirects": "0",
        "fflags": "nobuffer",
        "analyzeduration": "500000",
        "timeout": str(round(READ_TIMEOUT_S * 1_000_000)),
    }
    limits_s = config.open_timeout_s, READ_TIMEOUT_S
    try:
        return av.open(config.source.reveal(), options=options, stream_options=_PROBE, timeout=limits_s)
    except (av.FFmpegError, MemoryError) as error:
        failure = _plain(error, _STREAM_WORDS)
    # Raised out here, so that FFmpeg's error, which quotes the URL, is not even the context of ours.
    raise SourceError(f"{config.source} cannot be opened: {failure}")


#: For the look into each stream while opening; twenty are more than any camera has.
_PROBE: Any = [{"max_pixels": str(MAX_PIXELS)} for _ in range(20)]


def _plain(error: BaseException, more: Words = ()) -> str:
    """FFmpeg's error in fixed words: never its own text, which quotes the URL."""
    for kind, words in (*more, *_WORDS):
        if isinstance(error, kind):
            return words
    return "its form is not known"


_WORDS: Words = (
    (av.error.HTTPUnauthorizedError, "user or password are wrong or missing"),
    (av.error.HTTPForbiddenError, "this user may not see it"),
    (av.error.HTTPNotFoundError, "there is no such stream on this host"),
    (av.error.HTTPClientError, "the host refuses the request"),
    (av.error.HTTPServerError, "the host has an error of its own"),
    (av.error.InvalidDataError, "no video in it"),
    (av.error.ProtocolNotFoundError, "it leads to a protocol that is not allowed"),
    (av.error.ExitError, "no answer in time"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "the host refuses the connection: is the camera on, and the port right?"),
    (ConnectionResetError, "the host closed the connection"),
    (BrokenPipeError, "the host closed the connection"),
    (PermissionError, "no permission to read it"),
    (MemoryError, "not enough memory"),
    (OSError, "it cannot be read from where it lies"),
)

_READ_WORDS: Words = ((av.error.OSError, "the connection was cut, or what it is read from is damaged"),)

_STREAM_WORDS: Words = (
    (av.error.InvalidDataError, "the host does not answer as a camera does"),
    (av.error.OSError, "the host cannot be reached, or sends us elsewhere: give the final address"),
)


def _check_size(address: SourceAddress, width: int, height: int) -> None:
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise SourceError(
            f"{address} has pictures of {width} x {height}: at most {MAX_SIDE} x {MAX_SIDE} and "
            f"{MAX_PIXELS // 1_000_000} megapixels can be taken; make them smaller"
        )


def _creation_ns(metadata: dict[str, str]) -> int:
    """UTC nanoseconds of a container's `creation_time`, 0 where it says none."""
    text = metadata.get("creation_time", "")
    try:
        stamp = np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64)
    except ValueError:
        return 0
    return max(0, int(stamp))  # not-a-time is the least integer


def _sender_ns(packet: Any) -> int | None:
    """The sender's UTC of a packet, nanoseconds, from FFmpeg's `AVProducerReferenceTime` (microseconds since 1970)."""
    if not packet.has_sidedata("prft"):
        return None
    (microseconds,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
    return int(microseconds) * 1000


def _images(address: SourceAddress) -> list[str]:
    folder = address.reveal()
    try:
        names = [name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    except PermissionError:
        names = None
    if names is None:
        raise SourceError(f"no permission to read the folder {address}")
    if not names:
        raise SourceError(f"the folder {address} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return [os.path.join(folder, name) for name in sorted(names, key=_natural)]


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key: runs of digits by value, the rest as text, the name itself to break ties (`01` and `1`)."""
    parts = re.findall(r"\d+|\D+", name, re.ASCII)
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part.casefold()) for part in parts], name


def _device_node(address: SourceAddress) -> int | str:
    text = address.reveal()
    node = f"/dev/video{text}" if text.isdecimal() else text
    if os.path.isdir("/sys") and not os.path.exists(node):
        raise SourceError(f"there is no device {node}: plug the camera in, or see /dev/video* for those there are")
    return int(text) if text.isdecimal() else text
