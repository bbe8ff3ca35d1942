import asyncio
from typing import cast

import aiohttp
import pytest
from aiohttp import WSMessage, WSMsgType

from maw.errors import LinkClosed, LinkError, ProtocolViolation
from maw.net.wire import address_of, ending


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (WSMessage(WSMsgType.TEXT, "hello", ""), ProtocolViolation, "a text message on a link"),
        (WSMessage(WSMsgType.CLOSE, 1000, "bye"), LinkClosed, "closed by the other side: bye"),
        (WSMessage(WSMsgType.CLOSE, 1000, ""), LinkClosed, "closed by the other side"),
        (WSMessage(WSMsgType.CLOSED, None, None), LinkClosed, "the connection was lost"),
        (WSMessage(WSMsgType.ERROR, OSError("x"), None), LinkClosed, "the connection was lost"),
        (
            WSMessage(WSMsgType.ERROR, aiohttp.WebSocketError(1009, "too big"), None),
            ProtocolViolation,
            "no WebSocket frame, or one too big: too big",
        ),
    ],
)
def test_why_it_ended(message: WSMessage, kind: type[LinkError], words: str) -> None:
    why = ending(message)
    assert type(why) is kind
    assert str(why) == words


def test_a_peers_last_words_drive_no_terminal() -> None:
    why = ending(WSMessage(WSMsgType.CLOSE, 1000, "\x1b]0;owned\x07" + "x" * 1000))
    assert str(why).isprintable()
    assert len(str(why)) < 300


@pytest.mark.parametrize(
    ("name", "text"),
    [(("10.0.0.1", 5), "10.0.0.1:5"), (("fd00::1", 5, 0, 0), "[fd00::1]:5"), ("", ""), (None, "")],
)
def test_addresses(name: object, text: str) -> None:
    class Transport:
        def get_extra_info(self, which: str) -> object:
            return name if which == "peername" else None

    assert address_of(cast(asyncio.BaseTransport, Transport()), "peername") == text
