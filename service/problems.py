"""Errors as RFC 9457 problem details: what is wrong, and what to do about it, in one or two sentences.

Handlers raise `fastapi.HTTPException(status, sentence)`; everything else that can go wrong, from an unknown path to a
fault in the program, becomes the same shape here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.database import QueryTooLarge, StoreError
from service.schemas import Problem

MEDIA_TYPE = "application/problem+json"
TOO_LARGE = "The request is larger than 1 MiB. Send it in smaller parts."


def problem(
    status: int,
    detail: str,
    instance: str,
    *,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """An answer that says what went wrong with the path `instance`; `more`: further members (RFC 9457, section 3.2)."""
    title = HTTPStatus(status).phrase
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body["instance"] = instance
    if errors is not None:
        body["errors"] = errors
    body |= more or {}
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses are answered with a problem."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(QueryTooLarge, _too_large)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(Exception, _fault)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if detail == HTTPStatus(error.status_code).phrase:  # the framework's own, which says no more than the title
        detail = _advice(request, error)
    return problem(error.status_code, detail, request.url.path, headers=error.headers)


def _advice(request: Request, error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return f"There is nothing at {request.url.path}. All paths are described at /docs."
        case 405:
            allowed = (error.headers or {}).get("Allow", "GET")
            return f"{request.method} is not possible at {request.url.path}: use {allowed}."
        case 413:
            return TOO_LARGE
    return f"{error.detail}. All paths are described at /docs."


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"parameter": _name(each["loc"]), "problem": _reason(each)} for each in error.errors()]
    sentences = "; ".join(f"{each['parameter']}: {each['problem']}" for each in errors)
    detail = f"{sentences}. The parameters of this path are described at /docs."
    return problem(422, detail, request.url.path, errors=errors)


def _name(location: Sequence[Any]) -> str:
    """`query, class, 0` is the parameter `class`."""
    return next((str(part) for part in location[1:] if isinstance(part, str)), str(location[-1]))


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such parameter"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def too_large_body(instance: str) -> Response:
    return problem(413, TOO_LARGE, instance)


def _too_large(request: Request, error: Exception) -> Response:
    detail = "This reads too much of the past. Narrow it with since, until or sensor."
    return problem(422, detail, request.url.path)


def _store(request: Request, error: Exception) -> Response:
    return problem(503, f"{error} Live tracks are still at /api/v1/tracks.", request.url.path)


def _fault(request: Request, error: Exception) -> Response:
    detail = "A fault in the program, not in the request. Its log holds the reason; please report it."
    return problem(500, detail, request.url.path)
