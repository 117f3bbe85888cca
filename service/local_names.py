"""Answers only to names of this machine, and takes changes only from its own pages, while there are no accounts.

A page from elsewhere can have its own name resolve to 127.0.0.1 (DNS rebinding); the browser then takes this service
for that page's own and hands it what it reads. Such a request still carries the foreign name in `Host`. A page can also
send a form to 127.0.0.1 without reading the answer; the browser then says in `Origin` whose page it is.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FOREIGN = "This page was not served from here: open the console at this service's own address, or send no Origin."
_DETAIL = "This service is for its own machine alone: open it as http://127.0.0.1 or http://localhost and its port."


class LocalNames:
    """Middleware: 421 for a request or a WebSocket that names another host, 403 for a change from another's page.

    Args:
        names: as they stand in `Host`, without port, lower case.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] != "lifespan" else None
        if headers is not None and host_name(headers.get("host", "")) not in self._names:
            await problem(421, _DETAIL, scope["path"])(scope, receive, send)
        elif headers is not None and _changes(scope) and _foreign(headers):
            await problem(403, _FOREIGN, scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _changes(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _foreign(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def host_name(host: str) -> str:
    """`Host` without its port: `[::1]:8000` is `[::1]`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
