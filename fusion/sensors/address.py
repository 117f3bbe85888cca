"""Where a sensor's signals come from, without ever showing who may fetch them.

Camera URLs carry passwords in many spellings: before the host, in the query, in the path. Patterns that look for
passwords miss some of them, so what is shown is chosen the other way round: scheme and host of a URL, nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NoReturn, Self
from urllib.parse import quote, urlsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Kind = Literal["url", "device", "path"]

SCHEMES = ("rtsp", "rtsps", "http", "https")

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_DEVICE = re.compile(r"^/dev/video\d+$", re.ASCII)
_USER = re.compile(r"^(?P<head>\w+://)(?P<user>[^/?#]*)(?P<tail>@.*)$", re.ASCII | re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_HOST = re.compile(r"^[A-Za-z0-9._:-]{1,253}$", re.ASCII)


class SourceAddress:
    """A URL, a device or a path. `str` and `repr` show no secret; `reveal` gives it to the one who opens it.

    It does not pickle, so that it cannot slip into a log record or a message by accident. A kind of sensor that is read
    by other protocols makes a class of its own with its `schemes`.
    """

    __slots__ = ("_text", "display", "kind")
    schemes: ClassVar[tuple[str, ...]] = SCHEMES

    def __init__(self, text: str, environ: Mapping[str, str] | None = None) -> None:
        """Args:
            text: may hold `${NAME}`, taken from `environ` (the process's own where none is given). Before the host of
                a URL it is percent-encoded, so that a password may hold any character.

        Raises:
            ValueError: a variable is not set, or the scheme is not one of `schemes`; the sentence holds no secret.
        """
        self._text = expanded(text, os.environ if environ is None else environ)
        self.kind: Kind = _kind(self._text, self.schemes)
        self.display = _display(self._text) if self.kind == "url" else self._text

    @classmethod
    def of_file(cls, path: str) -> Self:
        """A path taken as it is: a program's own, in which `${NAME}` and `@` mean nothing."""
        address = cls.__new__(cls)
        address._text = address.display = path
        address.kind = "path"
        return address

    def reveal(self) -> str:
        """The whole address, secrets and all: for opening it and for nothing else."""
        return self._text

    @property
    def live(self) -> bool:
        """It has no end and does not wait: a camera rather than a recording."""
        return self.kind != "path"

    def __str__(self) -> str:
        return self.display

    def __repr__(self) -> str:
        return f"SourceAddress({self.display!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceAddress) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SourceAddress may hold a password and is not pickled; pass reveal() to the one who opens it")

    def __copy__(self) -> SourceAddress:
        return self

    def __deepcopy__(self, memo: object) -> SourceAddress:
        return self

    @classmethod
    def _validated(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(str(value))
        if isinstance(value, str | os.PathLike) and os.fspath(value):
            return cls(os.fspath(value))
        raise ValueError("a source is a URL, a file, a folder or the number of a device")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """With the values of `${NAME}`; percent-encoded before the host of a URL.

    Raises:
        ValueError: a variable is not set.
    """
    found = _USER.match(text)
    if found is None:
        return _substitute(text, environ, encode=False)
    user = _substitute(found["user"], environ, encode=True)
    return found["head"] + user + _substitute(found["tail"], environ, encode=False)


def _substitute(text: str, environ: Mapping[str, str], *, encode: bool) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in environ:
            raise ValueError(f"the environment variable {name} is not set: set it, or put the value in its place")
        return quote(environ[name], safe="") if encode else environ[name]

    return _VARIABLE.sub(value, text)


def _kind(text: str, schemes: tuple[str, ...]) -> Kind:
    if (text.isascii() and text.isdecimal()) or _DEVICE.match(text):
        return "device"
    if os.path.exists(text):
        return "path"
    found = _SCHEME.match(text)
    if found and found[1].lower() in schemes:
        return "url"
    prefixes = tuple(f"{scheme}:" for scheme in schemes)
    if found or "@" in text or text.lower().startswith(prefixes):  # a URL gone wrong; quoting it might show a password
        forms = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"neither a file nor an address that can be opened: a stream is one of {forms}")
    return "path"


def _display(url: str) -> str:
    """`scheme://host:port/…`; without the host where the URL can be read in two ways (an unescaped `@` or `/`)."""
    scheme = url.partition("://")[0].lower()
    hidden = f"{scheme}://…"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return hidden
    if not host or not _HOST.match(host) or "@" in parts.path + parts.query + parts.fragment:
        return hidden
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}{f':{port}' if port else ''}/…"
