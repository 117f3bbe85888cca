"""Answers only to names of this machine, while there are no accounts.

A page from elsewhere can have its own name resolve to 127.0.0.1 (DNS rebinding); the browser then takes this service
for that page's own and hands it what it reads. Such a request still carries the foreign name in `Host`.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_DETAIL = "This service is for its own machine alone: open it as http://127.0.0.1 or http://localhost and its port."


class LocalNames:
    """Middleware: 421 for a request or a WebSocket that names another host.

    Args:
        names: as they stand in `Host`, without port, lower case.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or host_name(Headers(scope=scope).get("host", "")) in self._names:
            await self._app(scope, receive, send)
        else:
            await problem(421, _DETAIL, scope["path"])(scope, receive, send)


def host_name(host: str) -> str:
    """`Host` without its port: `[::1]:8000` is `[::1]`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
