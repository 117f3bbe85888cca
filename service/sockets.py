"""WebSocket messages as bytes on the wire: framed once, written to any number of clients.

ASGI has each `websocket.send` framed anew for each client, which at a thousand clients costs more than everything else
together. `FramesProtocol` therefore lets the application reach past it: it is uvicorn's own WebSocket protocol and puts
itself into the scope of the connection, where `open_channel` finds it. Under any other server, and in tests that talk
to the application directly, the channel sends through ASGI instead; to the hub both are the same.

A frame from a server is not masked (RFC 6455, section 5.1), so that its bytes do not depend on who receives it.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from typing import Any, Protocol

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION = "deeplomatics.frames"  # key in `scope["extensions"]`
_TEXT, _CLOSE = 0x81, 0x88  # FIN and opcode


def _frame(first_byte: int, payload: bytes) -> bytes:
    """RFC 6455, section 5.2: one final frame, not masked."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first_byte, size) + payload
    if size < 65536:
        return struct.pack("!BBH", first_byte, 126, size) + payload
    return struct.pack("!BBQ", first_byte, 127, size) + payload


def text_frame(payload: bytes) -> bytes:
    """A whole text message (UTF-8) as one frame."""
    return _frame(_TEXT, payload)


class Batch:
    """Text messages that go out together; framed once, however many clients they go to."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self.payloads = payloads

    def __len__(self) -> int:
        return len(self.payloads)

    @cached_property
    def frames(self) -> bytes:
        return b"".join(map(text_frame, self.payloads))


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a door for frames that are already made. Give it to uvicorn as `ws=`."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:  # else it is refused and there is no scope
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def write_frames(self, frames: bytes) -> None:
        """Queue whole frames behind what was written before; never waits."""
        if not (self.close_sent or self.transport.is_closing()):
            self.transport.write(frames)

    def backlog(self) -> int:
        """Bytes the client has not taken yet, beyond what the kernel holds for it."""
        return self.transport.get_write_buffer_size()

    def cut(self, code: int) -> None:
        """Say goodbye behind what is queued, and stop waiting for a client that does not read."""
        self.write_frames(_frame(_CLOSE, struct.pack("!H", code)))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(self.close_timeout, self.transport.abort)


class Channel(Protocol):
    """The way to one client. None of its methods waits."""

    def write(self, batch: Batch) -> None: ...

    def backlog(self) -> int:
        """Bytes accepted and not yet taken by the client's connection."""

    def cut(self, code: int) -> None:
        """End the connection (RFC 6455 close code), also when the client does not read."""

    async def closed(self) -> None:
        """Wait until the client is gone. Whatever it says meanwhile is ignored."""


class FramesChannel:
    """Writes frames to the transport itself."""

    def __init__(self, websocket: WebSocket, protocol: FramesProtocol) -> None:
        self._websocket = websocket
        self._protocol = protocol
        self.backlog = protocol.backlog
        self.cut = protocol.cut

    def write(self, batch: Batch) -> None:
        self._protocol.write_frames(batch.frames)

    async def closed(self) -> None:
        await _listen_until_gone(self._websocket)


class AsgiChannel:
    """Sends message by message through ASGI; a task of its own waits for the client, so that nobody else does."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._close_code: int | None = None

    def write(self, batch: Batch) -> None:
        self._queue.extend(batch.payloads)
        self._bytes += sum(map(len, batch.payloads))
        self._ready.set()

    def backlog(self) -> int:
        return self._bytes

    def cut(self, code: int) -> None:
        self._close_code = code
        self._ready.set()

    async def closed(self) -> None:
        await until_gone(self._websocket, self._send())

    async def _send(self) -> None:
        while self._close_code is None:
            await self._ready.wait()
            self._ready.clear()
            while self._queue and self._close_code is None:
                payload = self._queue.popleft()
                await self._websocket.send_text(payload.decode())
                self._bytes -= len(payload)
        await self._websocket.close(self._close_code)


def open_channel(websocket: WebSocket) -> Channel:
    """The quickest way there is to this (accepted) client."""
    protocol = websocket.scope.get("extensions", {}).get(EXTENSION)
    return FramesChannel(websocket, protocol) if protocol is not None else AsgiChannel(websocket)


def _ignore() -> None:
    """What a client says that is not asked anything."""


async def until_gone(
    websocket: WebSocket, sending: Coroutine[Any, Any, None], heard: Callable[[], None] = _ignore
) -> None:
    """Run `sending` until it ends or the client leaves, whichever is first; `heard` is called for each message."""
    tasks = [asyncio.create_task(sending), asyncio.create_task(_listen_until_gone(websocket, heard))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Not `gather`: it would lose the message by which anyio knows its own cancellation, and so leak it.
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # looked at: a client that has gone is no news for the log


async def _listen_until_gone(websocket: WebSocket, heard: Callable[[], None] = _ignore) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        heard()
