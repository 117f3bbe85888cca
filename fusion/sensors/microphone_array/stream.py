"""Sound as it happens: raw samples over TCP, UDP and RTP; RTSP and HTTP, by FFmpeg; sound devices, by PortAudio.

A stream reads no clock: it is given `now_ns`. It never waits longer than `SILENT_S` without a word, takes at most
`MOST_BYTES` at once, and shows no address beyond its host, nor FFmpeg's own words, which hold it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import unquote, urlsplit

import numpy as np

from fusion.sensors.microphone_array.config import RAW, ArrayConfig
from fusion.sensors.microphone_array.pcm import Pcm, Samples
from fusion.sensors.microphone_array.source import SoundError

SILENT_S = 5.0  # a stream that says nothing for so long is over
MOST_BYTES = 1 << 16
DEVICE_BLOCK_S = 0.02
_RECEIVE_BUFFER = 1 << 20
_FORMATS = "rtsp,sdp,wav,mp3,aac,ogg,flac,mpegts,mov,mp4,matroska,webm,flv"

Now = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples `[M, N]` as they came at `arrival_ns` (UTC); `index` of the first, those that were lost counted too."""

    index: int
    arrival_ns: int
    samples: Samples


class Stream(Protocol):
    """An open stream. Iterate it once, from one thread; it ends by a `SoundError` that says why.

    Attributes:
        rate_hz: of the samples.
        late: packets that came out of order and were left out.
    """

    rate_hz: int
    late: int

    def __iter__(self) -> Iterator[Chunk]: ...

    def close(self) -> None: ...


def open_stream(config: ArrayConfig, now_ns: Now) -> Stream:
    """Open what `config.source` names.

    Raises:
        SoundError: it cannot be, or is not what the array needs; one plain sentence with the mend.
    """
    assert config.source is not None
    scheme = config.source.scheme
    if scheme in RAW:
        make = {"tcp": TcpSamples, "udp": UdpSamples, "rtp": RtpSamples}[scheme]
        return make(config, now_ns)
    stream = DeviceSamples(config, now_ns) if scheme == "device" else MediaStream(config, now_ns)
    try:
        fits(str(config.source), stream.rate_hz, stream.channels, config)
    except SoundError:
        stream.close()
        raise
    return stream


def fits(name: str, rate_hz: int, channels: int, array: ArrayConfig) -> None:
    """What is called `name` is of this array.

    Raises:
        SoundError: it is not.
    """
    count = len(array.microphones)
    if channels != count:
        have = "1 channel" if channels == 1 else f"{channels} channels"
        raise SoundError(f"{name} has {have} but the array has {count} microphones: give the array's own sound")
    if array.sample_rate_hz not in (None, rate_hz):
        raise SoundError(
            f"{name} has {rate_hz} samples a second but the array says {array.sample_rate_hz}: "
            "mend sample_rate_hz, or give the array's own sound"
        )


class _Socket:
    """What the three kinds of raw samples share."""

    def __init__(self, config: ArrayConfig, now_ns: Now) -> None:
        assert config.source is not None
        self.late = 0
        self._name = str(config.source)
        self._pcm: Pcm = config.raw()
        self.rate_hz = self._pcm.rate_hz
        self._now_ns = now_ns
        self._socket = self._opened(config)
        self._socket.settimeout(SILENT_S)

    def _opened(self, config: ArrayConfig) -> socket.socket:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Chunk]:
        raise NotImplementedError

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(MOST_BYTES)
        except TimeoutError:
            raise SoundError(f"{self._name} sent nothing for {SILENT_S:.0f} s: is the array on?") from None
        except OSError:
            raise SoundError(f"{self._name} broke off: the connection was cut") from None


class TcpSamples(_Socket):
    """Interleaved samples from a host that is called."""

    def _opened(self, config: ArrayConfig) -> socket.socket:
        host, port = _host_port(config)
        try:
            return socket.create_connection((host, port), config.open_timeout_s)
        except ConnectionRefusedError:
            reason = "the host refuses the connection: is the array on, and the port right?"
        except TimeoutError:
            reason = "no answer in time"
        except OSError:
            reason = "the host cannot be reached"
        raise SoundError(f"{config.source} cannot be opened: {reason}")

    def __iter__(self) -> Iterator[Chunk]:
        index, held, size = 0, b"", self._pcm.frame_bytes
        while data := self._receive():
            arrival_ns = self._now_ns()
            held += data
            whole = len(held) // size * size
            if whole:
                samples = self._pcm.decode(held[:whole])
                yield Chunk(index, arrival_ns, samples)
                index, held = index + samples.shape[1], held[whole:]
        raise SoundError(f"{self._name} broke off: the host closed the connection")


class UdpSamples(_Socket):
    """Datagrams of whole frames, one after the other; what is lost shows only by the time."""

    def _opened(self, config: ArrayConfig) -> socket.socket:
        host, port = _host_port(config)
        try:
            (family, kind, protocol, _, place), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            return _bound(socket.socket(family, kind, protocol), place)
        except OSError:
            raise SoundError(
                f"{config.source} cannot be listened on: give an address of this machine and a port that is free"
            ) from None

    def __iter__(self) -> Iterator[Chunk]:
        index = 0
        while True:
            samples = self._decoded(self._receive())
            yield Chunk(index, self._now_ns(), samples)
            index += samples.shape[1]

    def _decoded(self, data: bytes) -> Samples:
        if not data or len(data) % self._pcm.frame_bytes:
            raise SoundError(
                f"{self._name} sends {len(data)} bytes at once, which is not a whole number of samples of "
                f"{self._pcm.channels} channels in {self._pcm.format}: mend channels or format"
            )
        return self._pcm.decode(data)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """RFC 3550, section 5.1."""

    timestamp: int
    source: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket | None:
        """None where it is no RTP."""
        if len(data) < 12 or data[0] >> 6 != 2:
            return None
        timestamp, source = struct.unpack_from(">II", data, 4)
        start = 12 + 4 * (data[0] & 15)
        if data[0] & 16 and len(data) >= start + 4:
            start += 4 + 4 * int(struct.unpack_from(">H", data, start + 2)[0])
        stop = len(data) - (data[-1] if data[0] & 32 else 0)
        return cls(timestamp, source, data[start:stop])


class RtpSamples(UdpSamples):
    """Linear samples in RTP (RFC 3551, section 4.5.10; AES67): the timestamp counts samples, so losses are known."""

    def __iter__(self) -> Iterator[Chunk]:
        last: RtpPacket | None = None
        index = 0  # of the sample after the last packet
        while True:
            packet = RtpPacket.parse(self._receive())
            if packet is None:
                raise SoundError(f"{self._name} sends no RTP: use udp:// for bare samples")
            samples = self._decoded(packet.payload)
            if last is not None:
                ahead = _ahead(last, packet, self._pcm)
                if ahead < 0:
                    self.late += 1
                    continue
                index += ahead
            yield Chunk(index, self._now_ns(), samples)
            index, last = index + samples.shape[1], packet


def _ahead(last: RtpPacket, packet: RtpPacket, pcm: Pcm) -> int:
    """Samples lost between two packets; negative: it is late. A sender that began anew has lost a second."""
    step = (packet.timestamp - last.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
    ahead = step - len(last.payload) // pcm.frame_bytes
    return ahead if packet.source == last.source and abs(ahead) < 10 * pcm.rate_hz else pcm.rate_hz


class MediaStream:
    """The first sound of an RTSP or HTTP stream, decoded by FFmpeg."""

    late = 0

    def __init__(self, config: ArrayConfig, now_ns: Now) -> None:
        self._name = str(config.source)
        self._now_ns = now_ns
        self._container = _open_media(config)
        if not self._container.streams.audio:
            self._container.close()
            raise SoundError(f"{self._name} holds no sound: give the address of a stream with sound")
        self._stream = self._container.streams.audio[0]
        self.rate_hz = int(self._stream.codec_context.sample_rate)
        self.channels = int(self._stream.codec_context.channels)

    def __iter__(self) -> Iterator[Chunk]:
        first: int | None = None
        index = 0  # of the sample after the last
        for frame, arrival_ns in self._frames():
            place = None if frame.pts is None else round(frame.pts * frame.time_base * self.rate_hz)
            if place is not None:
                first = place - index if first is None else first
                index = max(index, place - first)
            samples = float_samples(frame)
            yield Chunk(index, arrival_ns, samples)
            index += samples.shape[1]
        raise SoundError(f"{self._name} broke off: the stream ended")

    def close(self) -> None:
        self._container.close()

    def _frames(self) -> Iterator[tuple[Any, int]]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                arrival_ns = self._now_ns()
                frames = packet.decode() if packet is not None else []
            except (av.FFmpegError, MemoryError):
                break
            if packet is None:
                return
            yield from ((frame, arrival_ns) for frame in frames)
        raise SoundError(f"{self._name} broke off: it cannot be read on")


def float_samples(frame: Any) -> Samples:
    """`[M, N]` of a decoded frame of FFmpeg, planar or interleaved, integers scaled to ±1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        return np.ascontiguousarray((values.astype(np.float32) - 128.0) / 128.0)
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (1 - 8 * values.dtype.itemsize)
    return np.ascontiguousarray(values, np.float32) * np.float32(scale)


class DeviceSamples:
    """A sound device of this machine, by number or by part of its name, through PortAudio."""

    late = 0

    def __init__(self, config: ArrayConfig, now_ns: Now) -> None:
        assert config.source is not None
        try:
            import sounddevice
        except ImportError:
            raise SoundError("sound devices need one more package: pip install 'deeplomatics[sound]'") from None
        except OSError:
            raise SoundError("sound devices need PortAudio: install the package libportaudio2") from None
        self._name, self._now_ns = str(config.source), now_ns
        self._failure: type[Exception] = sounddevice.PortAudioError
        which = _device(config)
        self.channels = len(config.microphones)
        try:
            usual = int(sounddevice.query_devices(which, "input")["default_samplerate"])
            self.rate_hz = int(config.source.query.get("rate", config.sample_rate_hz or usual))
            self._input = sounddevice.InputStream(
                self.rate_hz, round(DEVICE_BLOCK_S * self.rate_hz), which, self.channels, "float32"
            )
            self._input.start()
        except (ValueError, self._failure):
            raise SoundError(
                f"{self._name} cannot be opened with {self.channels} channels: see `python -m sounddevice` for the "
                "devices there are"
            ) from None

    def __iter__(self) -> Iterator[Chunk]:
        index = 0
        while True:
            try:
                samples, _ = self._input.read(round(DEVICE_BLOCK_S * self.rate_hz))
            except self._failure:
                raise SoundError(f"{self._name} gives no more sound: is it still plugged in?") from None
            yield Chunk(index, self._now_ns(), np.ascontiguousarray(samples.T, np.float32))
            index += len(samples)

    def close(self) -> None:
        self._input.close()


def _device(config: ArrayConfig) -> int | str:
    assert config.source is not None
    text = config.source.reveal()
    if text.isdecimal():
        return int(text)
    name = unquote(urlsplit(text).netloc)
    return int(name) if name.isdecimal() else name


def _host_port(config: ArrayConfig) -> tuple[str, int]:
    assert config.source is not None
    try:
        parts = urlsplit(config.source.reveal())
        if parts.port:
            return parts.hostname or "0.0.0.0", parts.port
    except ValueError:
        pass
    raise SoundError(f"{config.source} has no port: write it behind the host, as in tcp://array.local:5000")


def _bound(listening: socket.socket, place: Any) -> socket.socket:
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        listening.bind(place)
        if listening.family == socket.AF_INET and 224 <= int(place[0].split(".")[0]) < 240:
            listening.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(place[0]) + socket.inet_aton("0.0.0.0")
            )
    except OSError:
        listening.close()
        raise
    return listening


def _open_media(config: ArrayConfig) -> Any:
    import av  # 30 MB that no other source needs

    assert config.source is not None
    options = {
        "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,http,https",
        "format_whitelist": _FORMATS,
        "rtsp_transport": config.transport,
        "allowed_media_types": "audio",
        "max_redirects": "0",
        "fflags": "nobuffer",
        "analyzeduration": "500000",
        "timeout": str(round(SILENT_S * 1_000_000)),
    }
    try:
        return av.open(config.source.reveal(), options=options, timeout=(config.open_timeout_s, SILENT_S))
    except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError):
        reason = "user or password are wrong or missing"
    except av.error.HTTPNotFoundError:
        reason = "there is no such stream on this host"
    except ConnectionRefusedError:
        reason = "the host refuses the connection: is it on, and the port right?"
    except (av.error.ExitError, TimeoutError):
        reason = "no answer in time"
    except (av.FFmpegError, MemoryError):
        reason = "the host cannot be reached, or sends no sound that is known"
    # Raised out here, so that FFmpeg's error, which quotes the URL, is not even the context of ours.
    raise SoundError(f"{config.source} cannot be opened: {reason}")
