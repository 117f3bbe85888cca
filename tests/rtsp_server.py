"""A real RTSP camera for tests: GStreamer's server, run by Debian's Python as a process of its own.

    /usr/bin/python3 tests/rtsp_server.py [--port N] [--user U --password P] [--frozen] [--size WxH] [--fps N]
    /usr/bin/python3 tests/rtsp_server.py [--port N] --sound CHANNELS

It prints the port once it listens. The stream is `/cam`. Every picture carries the UTC millisecond at which it was
made, written in its pixels (48 bits, most significant first, in blocks of 16 x 16, 16 a row from the top left), so that
a reader can compare the capture time it was told with the true one. With `--sound` there is no picture but a tone of
440 Hz in so many channels, 16 kHz, linear 16 bit.
"""

from __future__ import annotations

import argparse
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BLOCK = 16
PIPELINE = (
    "( appsrc name=camera is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate=1500 "
    "! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)

SOUND = (
    "( audiotestsrc is-live=true freq=440 samplesperbuffer=320 "
    "! audio/x-raw,format=S16BE,rate=16000,channels={channels},channel-mask=(bitmask)0 "
    "! rtpL16pay name=pay0 pt=97 )"
)


def coded_picture(width: int, height: int, utc_ms: int, shift: int) -> bytes:
    """I420: the code on top, below it a bar that moves with `shift`."""
    rows = []
    for first in range(47, -1, -16):
        bits = (utc_ms >> bit & 1 for bit in range(first, first - 16, -1))
        row = b"".join((b"\xeb" if bit else b"\x10") * BLOCK for bit in bits)
        rows.append((row + b"\x80" * (width - len(row))) * BLOCK)
    bar = bytearray(b"\x60" * width)
    bar[shift % width : shift % width + 8] = b"\xc0" * min(8, width - shift % width)
    return b"".join(rows) + bytes(bar) * (height - 3 * BLOCK) + b"\x80" * (width * height // 2)


class Camera:
    """Feeds the pipelines of a factory."""

    def __init__(self, width: int, height: int, fps: int, frozen: bool) -> None:
        self._size = width, height
        self._fps = fps
        self._still = coded_picture(width, height, 0, 0) if frozen else None
        self._count = 0

    def on_media(self, _factory: object, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_child_by_name("camera")
        GLib.timeout_add(1000 // self._fps, self._push, source)

    def _push(self, source: Gst.Element) -> bool:
        self._count += 1
        picture = self._still or coded_picture(*self._size, time.time_ns() // 1_000_000, 3 * self._count)
        return source.emit("push-buffer", Gst.Buffer.new_wrapped(picture)) in (
            Gst.FlowReturn.OK,
            Gst.FlowReturn.FLUSHING,
        )


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--size", default="320x256")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--sound", type=int)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    if options.sound:
        factory.set_launch(SOUND.format(channels=options.sound))
    else:
        factory.set_launch(PIPELINE.format(width=width, height=height, fps=options.fps))
        factory.connect("media-configure", Camera(width, height, options.fps, options.frozen).on_media)
    if options.user:
        protect(server, factory, options.user, options.password)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
