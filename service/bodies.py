"""Bodies of requests: JSON of one shape, whatever the client calls it (`curl -d` calls it a form)."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import HTTPException
from pydantic import BaseModel, ValidationError

Shape = TypeVar("Shape", bound=BaseModel)


def read(shape: type[Shape], body: bytes) -> Shape:
    """The body in its shape.

    Raises:
        HTTPException: it is not of it; the sentence names the fault.
    """
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        members = ", ".join(f'"{name}": …' for name in shape.model_fields)
        raise HTTPException(422, f"{where}: {first['msg']}. Send {{{members}}}.") from None


def documented(shape: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra=` of a route that reads such a body."""
    content = {"application/json": {"schema": shape.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
