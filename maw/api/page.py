"""The page for people: its files as they are in the package, to whoever reaches the door. They hold no words of
anybody; what the page shows it asks of the routes beside, as any other program does.

The rules under which a browser runs it are sent along: scripts and styles of this door only, nothing from elsewhere,
nothing inline, never inside another page, and no text made into markup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aiohttp import web

from maw.api.answer import Answer, Headers
from maw.api.fields import Field
from maw.api.kinds import Line
from maw.api.replies import http_error_reply
from maw.api.routes import Access, Call, Route

_FOLDER: Final = Path(__file__).parents[1] / "page"
_FRONT: Final = "index.html"
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-cache",
        "Server": "maw",
    }
)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    tag: str
    headers: Headers


@cache
def _files() -> Mapping[str, _File]:
    """Every file of the page, by name: a few, small, and read once."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[path.name] = _File(
                body, tag, Headers({**_RULES, "Content-Type": _TYPES[path.suffix], "ETag": tag})
            )
    return MappingProxyType(found)


async def front(call: Call) -> web.StreamResponse:
    return _sent(call, _files()[_FRONT])


async def file(call: Call) -> web.StreamResponse:
    found = _files().get(call.args["name"])
    if found is None:
        return http_error_reply(404, hint="the page is at /")
    return _sent(call, found)


def _sent(call: Call, found: _File) -> web.StreamResponse:
    held = call.request.headers.get("If-None-Match", "")
    if found.tag in (tag.strip().removeprefix("W/") for tag in held.split(",")):
        return web.Response(status=304, headers=found.headers.by_name)
    return Answer(found.body, 200, found.headers)


ROUTES: Final = (
    Route("GET", "/", front, Access.OPEN, "the page for people", "Page"),
    Route(
        "GET",
        "/page/{name}",
        file,
        Access.OPEN,
        "a file of the page",
        "Page",
        path_fields=(Field("name", Line(), "the file", required=True),),
    ),
)
"""Not in openapi.json, which tells programs what they may ask."""
