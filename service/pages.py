"""What people open in a browser: the console, and the interface described. Nothing is loaded from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).resolve().parent / "web" / "dist"

DESCRIPTION = """Live and past tracks, detections and sensors of one site.

Times are RFC 3339 UTC with microseconds. Boxes are `[x, y, width, height]` in pixels of the full-size frame, origin top
left. Angles are degrees. Lists page with `cursor`. Errors are `application/problem+json` (RFC 9457) and say what to do.

**Live updates:** `WS /api/v1/ws?topics=tracks,detections,alerts,sensors` sends text messages: first
`{"type":"snapshot","seq":…,"tracks":[…],…}` with what is true now for each topic, then
`{"type":"update"|"delete"|"sensor","topic":…,"seq":…,"time":…,"data":{…}}`. `data` is a Track for `update` of the topic
tracks, one frame's detections for `update` of the topic detections, `{"id":…,"sensor":…}` for `delete`, a Sensor for
`sensor`. A client that reads too slowly is told `{"type":"lagged","missed":N}` and gets a fresh snapshot.

**Live video:** `WS /api/v1/ws/video?sensor=ID` sends binary messages: four bytes (little endian) with the length of a
JSON header, the header (`sensor`, `sequence`, `time`, `width`, `height`, `detections`, `tracks` with a `trail` each),
and the JPEG of that very frame. A client that answers each picture with any text message is never sent more than two
ahead of its answers, so that a slow line never lags.
"""

_DOCS_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deeplomatics API</title>
<link rel="icon" href="/docs/assets/favicon.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_DOCS_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
"""
_NO_CONSOLE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Deeplomatics</title></head>
<body><p>The console is not built: run <code>make setup</code>. The interface is described at <a href="/docs">/docs</a>.
</body></html>
"""


def serve_documentation(app: FastAPI) -> None:
    """A page for people to read `/openapi.json` with; its every part is served from here."""

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(_DOCS_PAGE)

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_DOCS_START, media_type="text/javascript")

    app.mount("/docs/assets", StaticFiles(directory=str(files("fastapi_offline") / "static")))


def serve_console(app: FastAPI, web: Path) -> None:
    """The files of the console, each at its own path, so that a wrong path is still answered with a problem. They are
    looked for when asked for: a console that is built while the service runs is there at once."""

    @app.get("/", include_in_schema=False)
    async def console() -> Response:
        index = web / "index.html"
        return FileResponse(index, headers=_ASK_AGAIN) if index.is_file() else HTMLResponse(_NO_CONSOLE, 503)

    @app.get("/favicon.svg", include_in_schema=False)
    async def icon() -> Response:
        path = web / "favicon.svg"
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers=_ASK_AGAIN)

    app.mount("/assets", _Assets(directory=web / "assets", check_dir=False))


_ASK_AGAIN = {"Cache-Control": "no-cache"}  # kept, but asked for by ETag each time: an update shows at once
_FOR_EVER = "public, max-age=31536000, immutable"


class _Assets(StaticFiles):
    """Files whose names hold a hash of what is in them."""

    async def check_config(self) -> None:
        """The folder may come later; until then there are no files in it."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        response.headers["Cache-Control"] = _FOR_EVER
        return response
