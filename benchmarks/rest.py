"""REST with 50 live tracks: requests per second on one core, ours and FastAPI's default encoder in the same run.

    python -m benchmarks.rest [--tracks 50] [--seconds 5] [--connections 16]

The server has a process of its own and is pinned to one core, the load to another. `per_cpu_second` is requests over
the CPU time of the server's process: on a quiet machine it is the rate of one core, on a busy one it still tells it.
Bar: ours at least 4 000 requests a second.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.machine import cpu_seconds, describe, keep

BAR = 4000
REQUEST = b"GET /api/v1/tracks HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def pin(pid: int, which: int) -> None:
    """To one of the cores we may use; on a machine with one there is nothing to choose."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[which % len(cores)]})


@contextmanager
def served(mode: str, tracks: int, rate_hz: float) -> Iterator[tuple[int, int]]:
    """Port and process id of `benchmarks.served_site`, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.served_site", str(port), mode, str(tracks), str(rate_hz)]
    process = subprocess.Popen(command)
    try:
        _wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not start within two minutes: see its output above.")


@dataclass
class Connection:
    """One keep-alive connection and what has come of its answer."""

    sock: socket.socket
    received: bytearray
    expected: int = 0  # bytes of head and body together; 0: the head is not complete

    def ask(self) -> None:
        self.received.clear()
        self.expected = 0
        self.sock.send(REQUEST)

    def read(self) -> bool:
        """Whether the answer is complete now."""
        self.received += self.sock.recv(1 << 20)
        if not self.expected:
            head, found, _ = bytes(self.received).partition(b"\r\n\r\n")
            if not found:
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"The server answered {head.splitlines()[0]!r}.")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.expected = len(head) + 4 + int(length.partition(b":")[2])
        return len(self.received) >= self.expected


def load(port: int, connections: int, seconds: float) -> int:
    """Requests answered within the time, over connections that each have one under way."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, bytearray())
        selector.register(sock, selectors.EVENT_READ, connection)
        connection.ask()
    answered = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            if key.data.read():
                answered += 1
                key.data.ask()
    for key in list(selector.get_map().values()):
        key.data.sock.close()
    selector.close()
    return answered


def measure(mode: str, tracks: int, connections: int, seconds: float) -> dict[str, float]:
    with served(mode, tracks, 0.0) as (port, pid):
        pin(pid, 0)
        load(port, connections, 0.5)  # warm
        before, start = cpu_seconds(pid), time.perf_counter()
        answered = load(port, connections, seconds)
        elapsed, used = time.perf_counter() - start, cpu_seconds(pid) - before
    return {
        "requests_per_second": round(answered / elapsed),
        "per_cpu_second": round(answered / used),
        "server_cpu_share": round(used / elapsed, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    report = {"machine": describe(), "bar": BAR, "tracks": options.tracks, "connections": options.connections}
    pin(0, 1)
    for mode in ("service", "naive"):
        report[mode] = figures = measure(mode, options.tracks, options.connections, options.seconds)
        print(
            f"{mode:<8} {figures['requests_per_second']:>7.0f} requests/s, {figures['per_cpu_second']:>7.0f} per CPU s"
        )
    print(f"kept in {keep('rest', report)}")


if __name__ == "__main__":
    main()
