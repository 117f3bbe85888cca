"""HTTP until a signal says stop: the socket, uvicorn, and an end that people and supervisors expect."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

GRACE_S = 0.5  # for answers under way when the service stops
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class PortError(Exception):
    """The address cannot be listened on; one plain sentence."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address before anything slow is done, so that a taken port is known at once.

    Raises:
        PortError: in use, or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortError(_sentence(host, port, error)) from None
    return listener


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop the program that has it, or give another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is for the system alone: give one above 1023 with --port"
    return f"cannot listen on {host}, port {port}: {(error.strerror or 'unknown reason').lower()}"


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8000`, with the port that port 0 became."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Stopped(BaseException):
    """A signal asked to stop. Not an `Exception`: nothing on the way up may take it for a failure."""


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGINT leave the block, unwinding it; further ones do not cut the unwinding short."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    before = {each: signal.signal(each, stop) for each in STOP_SIGNALS}
    try:
        with suppress(_Stopped):
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def exit_if_held() -> None:
    """After a clean stop, end the process if a thread is still held inside a library: the interpreter would unwind that
    thread at its own exit, which C++ answers with an abort."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def run(config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until a signal comes; then answer what was asked, and return."""
    _Server(config, on_ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(GRACE_S, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        """Streams have no end of their own, and who does not read cannot be told: to them the connection closes."""
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
