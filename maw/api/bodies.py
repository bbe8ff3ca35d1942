"""Reading what a request carries besides its path: the body, within its limit, and the idempotency key."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import HttpVersion11, web

from maw.api.limits import BODY_S, MAX_BODY_BYTES, MAX_IDEMPOTENCY_KEY
from maw.errors import BadInput

_EXAMPLE: Final = 'a JSON object in UTF-8, such as {"text": "hello"}'


async def read_body(request: web.BaseRequest) -> bytes:
    """All of the body. Raises BadInput ``too_large`` without reading more than the limit."""
    _refuse_beyond(request.content_length or 0)
    if "Expect" in request.headers:
        await go_on(request)
    chunks = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while chunk := await request.content.readany():
                chunks += chunk
                _refuse_beyond(len(chunks))
    except TimeoutError:
        raise BadInput(f"the body did not arrive within {BODY_S:g} s", code="too_slow") from None
    return bytes(chunks)


def decode_body(raw: bytes) -> object:
    """The JSON value in ``raw``; nothing at all is an empty object. Raises BadInput saying where it breaks.

    Strict: no NaN, and no bytes that are not UTF-8.
    """
    if not raw:
        return {}
    try:
        return _DECODE(raw.decode())
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is 0x{raw[error.start]:02x}"
        raise BadInput(f"the body is not UTF-8: {found}", hint=_EXAMPLE, code="not_utf8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise BadInput(f"the body is not JSON: {where}", hint=_EXAMPLE, code="bad_json") from None
    except RecursionError:
        raise BadInput("the body is nested too deeply", hint=_EXAMPLE, code="bad_json") from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise BadInput(
            f"the body is not usable JSON: {str(error)[:80]}", hint=_EXAMPLE, code="bad_json"
        ) from None


def idempotency_key(request: web.BaseRequest) -> str | None:
    """The caller's own name for this write. Raises BadInput."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not key.isascii() or not key.isprintable():
        raise BadInput(
            f"the header Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters",
            hint="a UUID does well",
            code="bad_idempotency_key",
        )
    return key


def _refuse_beyond(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise BadInput(
            f"the request is larger than {MAX_BODY_BYTES // 1024} KiB",
            hint="the text of a message is at most 64 KiB",
            code="too_large",
        )


async def go_on(request: web.BaseRequest) -> None:
    """curl asks before it sends a large body, and waits a second for the answer."""
    if request.version == HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer proper has not begun


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


_DECODE: Final = json.JSONDecoder(parse_constant=_no_constant).decode
