"""Files that go with messages: taken in before the message that names them, and given to who may read it.

A file's content never stands in memory whole, in neither direction. What is given is never shown by a browser as a page
of this node's: it is downloaded, whatever its author calls it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from maw.api.backend import Json, Named
from maw.api.bodies import go_on
from maw.api.fields import Field
from maw.api.kinds import Flag, Line, Records, Seconds, Whole
from maw.api.limits import FILE_IDLE_S, FILE_S, MAX_WAIT_S
from maw.api.reading import MESSAGE
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.core.blobs import HASH_BYTES
from maw.core.filenames import UNKNOWN_TYPE
from maw.core.files import MAX_FILES
from maw.errors import BadInput, MawError

PIECE: Final = 256 * 1024
_NUMBER: Final = Field("n", Whole(1, MAX_FILES), "which of the message's files, from 1", required=True)
_NAME: Final = Field("name", Line(255), "how it is called; of a path the last part")
FILES: Final = Field(
    "files",
    Records(
        body(
            Field("hash", Line(64), "as POST /api/files told it", required=True),
            Field("name", Line(255), "another name for it"),
        ),
        MAX_FILES,
    ),
    "files that go along, uploaded before by the same agent",
)


def named(args: Json) -> list[Named]:
    """The files that a message is to have. Raises BadInput."""
    found = []
    for item in args["files"] or ():
        try:
            hash_ = bytes.fromhex(item["hash"])
        except ValueError:
            hash_ = b""
        if len(hash_) != HASH_BYTES:
            raise BadInput(
                "field files: a hash is 64 hexadecimal digits",
                hint="as POST /api/files told it",
                code="bad_field",
            )
        found.append((hash_, item["name"]))
    return found


async def upload(call: Call) -> web.StreamResponse:
    request = call.request
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise BadInput("a file is taken as it is", hint="leave Content-Encoding out", code="bad_body")
    size = request.content_length
    taken = await call.backend.upload(
        call.speaker,
        call.args["name"] or "file",
        request.headers.get("Content-Type", UNKNOWN_TYPE),
        size,
        taken_in(request),
    )
    return reply(taken, status=201, headers=call.api.headers)


async def taken_in(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Piece by piece, as it comes; who sends nothing for long is let go."""
    if "Expect" in request.headers:
        await go_on(request)
    left = FILE_S
    while True:
        try:
            began = time.monotonic()
            async with asyncio.timeout(min(left, FILE_IDLE_S)):
                data = await request.content.readany()
            left -= time.monotonic() - began
        except TimeoutError:
            raise BadInput(
                f"the file comes too slowly: nothing for {FILE_IDLE_S:g} s, or not all in {FILE_S:g} s",
                hint="send it again",
                code="too_slow",
            ) from None
        if not data:
            return
        yield data


async def listing(call: Call) -> web.StreamResponse:
    return reply(await call.backend.files(call.speaker, call.args["id"]), headers=call.api.headers)


async def fetch(call: Call) -> web.StreamResponse:
    args = call.args
    async with call.api.waiting.place():
        found = await call.backend.fetch_file(
            call.speaker, args["id"], args["n"], seconds=args["wait"], anew=args["anew"]
        )
    return reply(found, headers=call.api.headers)


async def download(call: Call) -> web.StreamResponse:
    spans: list[tuple[int, int]] = []

    def span(size: int) -> tuple[int, int]:
        spans.append(_span(call.request, size))
        return spans[0]

    file, stream = await call.backend.open_file(call.speaker, call.args["id"], call.args["n"], span)
    first, end = spans[0]
    part = (end - first) < file["size"]
    response = web.StreamResponse(status=206 if part else 200, headers=_headers(file["name"]))
    response.headers["X-Maw-Replica"] = call.backend.node_name
    response.content_length = end - first
    if part:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{file['size']}"
    await response.prepare(call.request)
    try:
        async for data in stream:
            await response.write(data)
        await response.write_eof()
    except (MawError, OSError, ValueError):
        # its length is promised: what is cut off must look like it, and nothing else may follow
        if call.request.transport is not None:
            call.request.transport.abort()
        raise ConnectionError("a file could not be given to its end") from None
    return response


def _headers(name: str) -> dict[str, str]:
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in name
    )
    return {
        "Content-Type": UNKNOWN_TYPE,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "bytes",
    }


def _span(request: web.BaseRequest, size: int) -> tuple[int, int]:
    """From and to where: one range, as HTTP has it. What cannot be read as one is passed over, as HTTP wants; one
    beyond the end is a mistake."""
    try:
        asked: Any = request.http_range
    except ValueError:
        return 0, size
    first, stop = asked.start or 0, asked.stop
    if first < 0:
        first = max(0, size + first)
    end = size if stop is None else min(stop, size)
    if (first, end) != (0, size) and first >= end:
        raise BadInput(f"the range begins beyond the {size} bytes of the file", code="bad_parameter")
    return first, end


ROUTES: Final = (
    Route(
        "POST",
        "/api/files",
        upload,
        Access.AGENT,
        "a file for a message that the speaking agent will send within a day; its content is the body",
        "Uploaded",
        status=201,
        query=query(_NAME),
        takes=UNKNOWN_TYPE,
    ),
    Route(
        "GET",
        "/api/messages/{id}/files",
        listing,
        Access.PUBLIC,
        "the files of one message, and where each is",
        "FileOfMessage",
        many=True,
        path_fields=(MESSAGE,),
    ),
    Route(
        "POST",
        "/api/messages/{id}/files/{n}/fetch",
        fetch,
        Access.KNOWN,
        "have a file on this host: it is fetched from the author's host, or whoever is linked and has it",
        "FileOfMessage",
        path_fields=(MESSAGE, _NUMBER),
        query=query(
            Field("wait", Seconds(MAX_WAIT_S), "seconds to wait for it", default=0.0),
            Field("anew", Flag(), "ask those again that did not have it", default=False),
        ),
    ),
    Route(
        "GET",
        "/api/messages/{id}/files/{n}",
        download,
        Access.PUBLIC,
        "a file that is on this host, by who may read its message; Range is taken",
        "File",
        path_fields=(MESSAGE, _NUMBER),
    ),
)
