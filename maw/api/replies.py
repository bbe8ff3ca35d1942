"""How answers leave: compact JSON, and one shape for every error.

``{"error": {"code", "message", "hint"[, "candidates"]}}`` whatever went wrong, a mistyped path included.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from maw.api.answer import Answer, Headers
from maw.api.backend import Json
from maw.errors import InternalError, MawError, TooMany

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_COMMON: Final = Headers(
    {
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Server": "maw",
    }
)

STATUS_BY_CODE: Final[Mapping[str, int]] = MappingProxyType({"too_large": 413, "too_slow": 408})
"""Codes whose HTTP status is not that of their class of error."""

_HTTP_WORDS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        400: ("bad_request", "this is not a well-formed HTTP request"),
        404: ("no_such_route", "there is nothing at this path"),
        405: ("method_not_allowed", "this path does not take that method"),
        413: ("too_large", "the request is larger than 512 KiB (the text of a message is at most 64 KiB)"),
        417: ("bad_request", "the Expect header asks for something this server does not do"),
    }
)


def encode(data: object) -> str:
    """Compact JSON, characters as they are."""
    return _ENCODE(data)


def reply(data: object, *, status: int = 200, headers: Headers = _COMMON) -> Answer:
    """``data`` as the JSON body. ``headers`` replace the common ones: start from `with_headers`."""
    return Answer(_ENCODE(data).encode(), status, headers)


def with_headers(**extra: str) -> Headers:
    """The common headers and ``extra`` ones, underscores for dashes."""
    return Headers(_COMMON.by_name | {name.replace("_", "-"): value for name, value in extra.items()})


def error_status(error: MawError) -> int:
    """The HTTP status that goes with this error."""
    return STATUS_BY_CODE.get(error.code, error.status)


def error_reply(error: MawError, **beside: Json) -> Answer:
    """The error in its one shape; ``beside`` stands next to ``error`` in the body."""
    status = error_status(error)
    return reply({**error.as_json(), **beside}, status=status, headers=_headers_of(error, status))


def _headers_of(error: MawError, status: int) -> Headers:
    if isinstance(error, TooMany):
        return with_headers(Retry_After=str(max(1, math.ceil(error.retry_after))))
    return with_headers(WWW_Authenticate="Bearer") if status == 401 else _COMMON


def http_error_reply(status: int, *, allow: str = "", hint: str = "", detail: str = "") -> Answer:
    """What aiohttp would say as text (404, 405, 413 …), in our shape."""
    code, message = _HTTP_WORDS.get(status, ("bad_request" if status < 500 else "internal", "refused"))
    if detail:
        message = f"{message}: {detail}"
    headers = with_headers(Allow=allow) if allow else _COMMON
    body = {"error": {"code": code, "message": message, "hint": hint or "GET /openapi.json lists the routes"}}
    return reply(body, status=status, headers=headers)


def malformed_reply(status: int, detail: str) -> Answer:
    """For what could not even be read as HTTP; the connection ends with it."""
    response = internal_reply() if status >= 500 else http_error_reply(status, detail=one_line(detail))
    response.force_close()
    return response


def one_line(text: str) -> str:
    """``text`` on one line, printable, at most 200 characters."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in line)[:200]


def internal_reply() -> Answer:
    """A fault inside maw: the log has the details, the caller does not."""
    return error_reply(
        InternalError(
            "a fault inside maw; the daemon's log has the details", hint="`maw doctor`, then the log"
        )
    )
