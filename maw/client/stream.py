"""The daemon's live stream: a WebSocket (RFC 6455) over the Unix socket, read without further libraries."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from io import BufferedReader
from typing import Any, Final
from urllib.parse import urlencode

from maw.client.daemon import Door, Lost, error_from

SILENCE_S: Final = 120.0
"""Without a frame for so long the connection counts as lost: the daemon sends something more often."""

MAX_FRAME_BYTES: Final = 1 << 20
_CONTINUATION, _TEXT, _CLOSE, _PING = 0x0, 0x1, 0x8, 0x9


def follow(daemon: Door, *, confirm: bool = False, **query: object) -> Iterator[dict[str, Any]]:
    """The stream's JSON frames, for ever. Raises Lost when it breaks, or what the daemon refuses it with.

    ``confirm``: a message counts as put in front of the speaking agent when the next frame is asked for.
    """
    if confirm:
        query["confirm"] = "true"
    connection = daemon.connection(SILENCE_S)
    try:
        connection.connect()
        reader = _upgrade(
            connection, daemon, {name: value for name, value in query.items() if value is not None}
        )
        for text in _texts(connection, reader):
            frame = json.loads(text)
            if isinstance(frame, dict):
                yield frame
                if confirm and (seq := _of_mail(frame)) is not None:
                    _send(connection, _TEXT, json.dumps({"heard": seq}).encode())
    except (OSError, ValueError) as error:
        raise Lost(f"the stream broke ({error})") from None
    finally:
        connection.close()


def _of_mail(frame: dict[str, Any]) -> int | None:
    """The seq of a message that may stand in an agent's mailbox."""
    message = frame.get("message")
    if not isinstance(message, dict) or not (message.get("kind") == "direct" or message.get("mentions")):
        return None
    seq = message.get("seq")
    return seq if isinstance(seq, int) else None


def _upgrade(connection: HTTPConnection, daemon: Door, query: dict[str, object]) -> BufferedReader:
    headers = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **daemon.who(),
    }
    connection.request("GET", f"/api/stream?{urlencode(query)}", headers=headers)
    response = connection.getresponse()
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return response.fp  # frames that came with the headers are in this buffer already
    try:
        body = json.loads(response.read())
    except ValueError:
        body = None
    raise error_from(response.status, body)


def _texts(connection: HTTPConnection, reader: BufferedReader) -> Iterator[bytes]:
    """Whole text messages; pings are answered on the way."""
    parts: list[bytes] = []
    while True:
        last, kind, payload = _frame(reader)
        if kind == _PING:
            _send(connection, 0xA, payload)
        elif kind == _CLOSE:
            raise Lost("the daemon ended the stream")
        elif kind in (_TEXT, _CONTINUATION):
            parts.append(payload)
            if sum(map(len, parts)) > MAX_FRAME_BYTES:
                raise Lost("the stream sent a message too big to be one")
            if last:
                yield b"".join(parts)
                parts = []


def _frame(reader: BufferedReader) -> tuple[bool, int, bytes]:
    first, second = _exactly(reader, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(_exactly(reader, 2 if length == 126 else 8), "big")
    if length > MAX_FRAME_BYTES:
        raise Lost("the stream sent a frame too big to be one")
    mask = _exactly(reader, 4) if second & 0x80 else b""
    payload = _exactly(reader, length)
    return bool(first & 0x80), first & 0x0F, _masked(payload, mask) if mask else payload


def _exactly(reader: BufferedReader, count: int) -> bytes:
    data = reader.read(count)
    if len(data) < count:
        raise Lost("the stream ended")
    return data


def _send(connection: HTTPConnection, kind: int, payload: bytes) -> None:
    mask = os.urandom(4)
    connection.sock.sendall(bytes([0x80 | kind, 0x80 | len(payload)]) + mask + _masked(payload, mask))


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
