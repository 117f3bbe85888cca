"""HTTP until a signal says stop: the socket, uvicorn, and an end that people and supervisors expect."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from service.sockets import FramesProtocol

GRACE_S = 1.0  # for answers being given when the service stops; streams without end are cut after it
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


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM or SIGINT leave the block by `SystemExit(0)`, once; what follows is not cut short by a second one."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0)

    before = {each: signal.signal(each, leave) for each in STOP_SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def run(app: Any, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve an ASGI application until a signal comes; then answer what was asked, and return."""
    config = uvicorn.Config(
        app,
        ws=FramesProtocol,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(GRACE_S),
    )
    _Server(config, on_ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
