"""WebSocket: 1 000 clients, 10 updates a second: how long from a track's capture until each client has read it.

    python -m benchmarks.websocket [--clients 1000] [--rate 10] [--tracks 1] [--seconds 10] [--peer-clients N]

The server runs in a process of its own on one core; the clients are one epoll loop on another, which parses frames and
compares the time in the message with the clock (the same in both). The peer is the fan-out that FastAPI's
tutorial leads to, in the same run. Bar: p99 of ours at most 50 ms with 1 000 clients at 10 Hz.
"""

from __future__ import annotations

import argparse
import resource
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.machine import cpu_seconds, describe, keep, percentile
from benchmarks.rest import pin, served

BAR_MS = 50.0
HANDSHAKE = (
    b"GET /api/v1/ws?topics=%b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(slots=True)
class Reader:
    """One client: its bytes so far, cut into messages."""

    sock: socket.socket
    rest: bytes = b""
    count: int = field(default=0)

    def messages(self) -> Iterator[bytes]:
        """Whole messages that have come; the server neither masks nor fragments."""
        data = self.rest + self.sock.recv(1 << 18)
        at = 0
        while (end := _frame_end(data, at)) is not None and end[1] <= len(data):
            yield data[end[0] : end[1]]
            at = end[1]
        self.rest = data[at:]


def _frame_end(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and ends (RFC 6455, section 5.2)."""
    if len(data) < at + 10:
        return None
    size = data[at + 1]
    if size < 126:
        return at + 2, at + 2 + size
    if size == 126:
        return at + 4, at + 4 + struct.unpack_from("!H", data, at + 2)[0]
    return at + 10, at + 10 + struct.unpack_from("!Q", data, at + 2)[0]


def connect(port: int, topics: str = "tracks") -> Reader:
    sock = socket.create_connection(("127.0.0.1", port), 60)
    sock.send(HANDSHAKE % topics.encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 101 " not in head:
        raise SystemExit(f"The server refused the upgrade: {head.splitlines()[0]!r}.")
    return Reader(sock, rest)


class Times:
    """The `time` of a message as seconds; each instant comes once for every client, so it is parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, float] = {}

    def of(self, message: bytes) -> float | None:
        at = message.find(b'"time":"', 0, 100)
        if not message.startswith(b'{"type":"update"') or at < 0:
            return None
        text = message[at + 8 : at + 35]
        if text not in self._known:
            self._known[text] = datetime.fromisoformat(text.decode()).timestamp()
        return self._known[text]


def listen(readers: list[Reader], seconds: float) -> list[float]:
    """Milliseconds from capture to here, one for each message and client."""
    selector = selectors.DefaultSelector()
    for reader in readers:
        reader.sock.setblocking(False)
        selector.register(reader.sock, selectors.EVENT_READ, reader)
    latencies: list[float] = []
    times = Times()
    warm = time.perf_counter() + 1.0
    end = warm + seconds
    while (now := time.perf_counter()) < end:
        for key, _ in selector.select(0.1):
            for message in key.data.messages():
                made = times.of(message)
                if made is not None and now > warm:
                    latencies.append((time.time() - made) * 1e3)
    selector.close()
    return latencies


def measure(mode: str, clients: int, tracks: int, rate_hz: float, seconds: float) -> dict[str, float]:
    with served(mode, tracks, rate_hz) as (port, pid):
        pin(pid, 0)
        readers = [connect(port) for _ in range(clients)]
        before = cpu_seconds(pid)
        latencies = listen(readers, seconds)
        used = cpu_seconds(pid) - before
        for reader in readers:
            reader.sock.close()
    if not latencies:
        raise SystemExit(f"No update came within {seconds} s: the machine is too busy for {clients} clients.")
    figures = {f"p{percent}_ms": round(percentile(latencies, percent), 2) for percent in (50, 95, 99)}
    received = len(latencies) / (clients * tracks * rate_hz * seconds)
    return figures | {
        "max_ms": round(max(latencies), 2),
        "clients": clients,
        "updates_received_of_made": round(received, 3),
        "server_cpu_share": round(used / (seconds + 1), 3),
    }


def allow_files(count: int) -> None:
    """Each client is an open file, here and in the server that inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--tracks", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--peer-clients", type=int, help="of the naive fan-out; as many as ours by default")
    options = parser.parse_args()
    allow_files(options.clients + 200)
    report = {"machine": describe(), "bar_p99_ms": BAR_MS, "rate_hz": options.rate, "tracks": options.tracks}
    pin(0, 1)
    for mode, clients in (("service", options.clients), ("naive", options.peer_clients or options.clients)):
        report[mode] = figures = measure(mode, clients, options.tracks, options.rate, options.seconds)
        print(mode, figures)
    print(f"kept in {keep('websocket', report)}")


if __name__ == "__main__":
    main()
