"""What is wrong with a request is said the same way at both doors, whatever it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.unit.api.house import DOORS, House, opened

POSTS = "/api/channels/general/messages"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        yield house


BAD_QUERIES = [
    ("/api/channels/general/messages?after_seq=abc", "bad_parameter", "after_seq"),
    ("/api/channels/general/messages?after_seq=-1", "bad_parameter", "after_seq"),
    ("/api/channels/general/messages?after_seq=9223372036854775808", "bad_parameter", "9223372036854775807"),
    ("/api/channels/general/messages?after_seq=", "bad_parameter", "after_seq"),
    ("/api/channels/general/messages?after_seq=1_0", "bad_parameter", "after_seq"),
    ("/api/channels/general/messages?after_seq=%D9%A1", "bad_parameter", "after_seq"),
    ("/api/channels/general/messages?after_seq=1&after_seq=2", "bad_parameter", "more than once"),
    ("/api/channels/general/messages?limit=0", "bad_parameter", "limit"),
    ("/api/channels/general/messages?limit=501", "bad_parameter", "500"),
    ("/api/channels/general/messages?wait=61", "bad_parameter", "60"),
    ("/api/channels/general/messages?wait=nan", "bad_parameter", "wait"),
    ("/api/channels/general/messages?before_seq=9&after_seq=1", "bad_parameter", "before_seq"),
    ("/api/channels/general/messages?aftr_seq=1", "unknown_parameter", "aftr_seq"),
    ("/api/whoami?x=1", "unknown_parameter", "x"),
    ("/api/inbox?wait=1e1", "bad_parameter", "wait"),
    ("/api/messages/%0a", "bad_parameter", "id"),
    ("/api/messages/%ff", "not_utf8", "UTF-8"),
    ("/api/stream", "not_websocket", "WebSocket"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("path", "code", "named"), BAD_QUERIES)
async def test_a_wrong_parameter_is_named(house: House, door: str, path: str, code: str, named: str) -> None:
    answer = await house.caller(door)("GET", path)
    assert (answer.status, answer.code) == (400, code), answer.text
    assert named in answer.json["error"]["message"]


async def test_an_unknown_parameter_comes_with_the_nearest_known(house: House) -> None:
    answer = await house.caller("rest")("GET", "/api/channels/general/messages?aftr_seq=1")
    assert answer.json["error"]["candidates"] == ["after_seq"]
    assert "did you mean after_seq?" in answer.json["error"]["hint"]


BAD_BODIES = [
    (b"", "missing_field", "text"),
    (b"{}", "missing_field", "text"),
    (b'{"text": null}', "bad_field", "text"),
    (b'{"text": 7}', "bad_field", "text"),
    (b'{"text": ["x"]}', "bad_field", "text"),
    (b'{"text": ""}', "bad_field", "say something"),
    (b'{"text": " \\n\\t"}', "bad_field", "say something"),
    (b'{"text": "\\ud800"}', "bad_field", "Unicode"),
    (b'{"text": "x", "reply_too": 1}', "unknown_field", "reply_too"),
    (b'{"text": "x", "reply_to": -1}', "bad_field", "reply_to"),
    (b'{"text": "x", "reply_to": true}', "bad_field", "reply_to"),
    (b'{"text": "x", "reply_to": 9223372036854775808}', "bad_field", "reply_to"),
    (b'{"text": "x",\n "reply_to" 1}', "bad_json", "line 2, column 13"),
    (b'{"text": NaN}', "bad_json", "NaN"),
    (b'{"reply_to": ' + b"9" * 5000 + b"}", "bad_json", "digits"),
    (b"[" * 100_000, "bad_json", "nested"),
    (b"[]", "bad_body", "object"),
    (b'"text"', "bad_body", "object"),
    (b'{"text": "\xff"}', "not_utf8", "byte 10 is 0xff"),
    ('{"text": "x"}'.encode("utf-16"), "not_utf8", "UTF-8"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("raw", "code", "named"), BAD_BODIES)
async def test_a_wrong_body_is_named_and_nothing_is_said(
    house: House, door: str, raw: bytes, code: str, named: str
) -> None:
    answer = await house.caller(door)("POST", POSTS, raw=raw)
    assert (answer.status, answer.code) == (400, code), answer.text
    assert named in answer.json["error"]["message"]
    assert house.backend.messages == []


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/api/direct", {"text": "x"}, "missing_field"),
        ("/api/direct", {"to": [], "text": "x"}, "bad_field"),
        ("/api/direct", {"to": ["a", 1], "text": "x"}, "bad_field"),
        ("/api/direct", {"to": "a\u202eb", "text": "x"}, "bad_field"),
        ("/api/direct", {"to": ["a"] * 65, "text": "x"}, "bad_field"),
        ("/api/ack", {}, "bad_body"),
        ("/api/ack", {"all": False}, "bad_body"),
        ("/api/ack", {"all": True, "ids": [1]}, "bad_body"),
        ("/api/ack", {"all": 1}, "bad_field"),
        ("/api/ack", {"ids": []}, "bad_field"),
        ("/api/ack", {"ids": "1"}, "bad_field"),
        ("/api/ack", {"ids": [1.5]}, "bad_field"),
        ("/api/ack", {"ids": [1] * 1001}, "bad_field"),
        ("/api/channels", {"name": "a b"}, "bad_name"),
        ("/api/channels", {"name": "K\u212a"}, "bad_name"),
        ("/api/channels", {"name": "x" * 33}, "bad_name"),
        ("/api/channels", {"name": 3}, "bad_field"),
    ],
)
async def test_wrong_fields_of_other_writes(house: House, path: str, body: object, code: str) -> None:
    answer = await house.caller("rest")("POST", path, body)
    assert (answer.status, answer.code) == (400, code), answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"username": "arthur pendragon"}, "bad_name"),
        ({"username": "agents"}, "reserved_name"),
        ({"username": "zoe", "role": "king"}, "bad_field"),
        ({}, "missing_field"),
    ],
)
async def test_wrong_users(house: House, body: object, code: str) -> None:
    answer = await house.caller("socket", None)("POST", "/api/users", body)
    assert (answer.status, answer.code) == (400, code), answer.text


@pytest.mark.parametrize("door", DOORS)
async def test_64_kib_of_text_are_taken_and_a_byte_more_is_not(house: House, door: str) -> None:
    caller = house.caller(door)
    fits = await caller("POST", POSTS, {"text": "é" * 32768})
    assert fits.status == 201, fits.text
    escaped = await caller("POST", POSTS, raw=b'{"text": "' + b"\\u0007" * 65536 + b'"}')
    assert escaped.status == 201, escaped.text
    beyond = await caller("POST", POSTS, {"text": "é" * 32768 + "x"})
    assert (beyond.status, beyond.code) == (413, "too_large")
    assert "65536" in beyond.json["error"]["message"]
    assert len(house.backend.messages) == 2


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("told", [True, False], ids=["length told", "chunked"])
async def test_a_body_beyond_the_limit_is_refused_without_being_read(
    house: House, door: str, told: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b"x" * 65536

    caller = house.caller(door)
    data = b"x" * 15 * 65536 if told else chunks()
    async with caller.session.post(caller.base + POSTS, data=data, headers=caller.identity) as response:
        assert response.status == 413
        error = (await response.json())["error"]
    assert (error["code"], "512 KiB" in error["message"]) == ("too_large", True)


@pytest.mark.parametrize("door", DOORS)
async def test_paths_that_are_not_there(house: House, door: str) -> None:
    caller = house.caller(door)
    missing = await caller("GET", "/api/chanels")
    assert (missing.status, missing.code) == (404, "no_such_route")
    assert "/api/channels" in missing.json["error"]["hint"]
    assert (await caller("GET", "/nothing")).code == "no_such_route"
    assert (await caller("GET", "/api/channels/")).code == "no_such_route"
    wrong = await caller("DELETE", POSTS)
    assert (wrong.status, wrong.code) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("door", DOORS)
async def test_what_the_node_refuses_keeps_its_status_code_and_candidates(house: House, door: str) -> None:
    caller = house.caller(door)
    no_channel = await caller("POST", "/api/channels/genral/messages", {"text": "x"})
    assert (no_channel.status, no_channel.code) == (404, "no_such_channel")
    assert no_channel.json["error"]["candidates"] == ["general"]
    assert (await caller("GET", "/api/messages/99")).code == "no_such_message"
    there = await caller("POST", "/api/channels", {"name": "general"})
    assert (there.status, there.code) == (409, "channel_exists")


@pytest.mark.parametrize("door", DOORS)
async def test_a_fault_inside_is_logged_and_not_told(
    house: House, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.backend.broken = True
    with caplog.at_level(logging.ERROR):
        answer = await house.caller(door)("GET", "/api/whoami")
    assert (answer.status, answer.code) == (500, "internal")
    assert "secret" not in answer.text
    assert "the disk is on fire" in caplog.text
    house.backend.broken = False
    assert (await house.caller(door)("GET", "/api/whoami")).status == 200


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "é"])
async def test_an_unusable_idempotency_key_is_refused(house: House, key: str) -> None:
    answer = await house.caller("rest")("POST", POSTS, {"text": "x"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad_idempotency_key")
    assert house.backend.messages == []


MALFORMED = [
    b"GARBAGE\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /api/whoami HTTP/9.9\r\n\r\n",
    b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
    b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"POST /api/ack HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("sent", MALFORMED)
async def test_what_is_no_http_gets_one_clear_answer(
    house: House, door: str, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await connect(house, door)
    writer.write(sent)
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), head
    assert body.startswith(b'{"error":{"code":"bad_request"'), body
    assert "Traceback" not in caplog.text
    assert (await house.caller(door)("GET", "/healthz")).status == 200


async def connect(house: House, door: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if door == "socket":
        return await asyncio.open_unix_connection(str(house.doors.socket_path))
    assert house.doors.rest_address is not None
    host, _, port = house.doors.rest_address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("door", DOORS)
async def test_curl_is_told_to_go_on_before_a_large_body(house: House, door: str) -> None:
    reader, writer = await connect(house, door)
    body = b'{"text": "' + b"x" * 2000 + b'"}'
    who = b"X-Maw-Agent: neo" if door == "socket" else b"Authorization: Bearer token-neo"
    head = f"POST {POSTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
    writer.write(head + who + b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 201")
    writer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_caller_who_hangs_up_in_the_middle_leaves_nothing_behind(
    house: House, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await connect(house, door)
    writer.write(f"POST {POSTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n".encode())
    writer.write(
        b"X-Maw-Agent: neo\r\n\r\n" if door == "socket" else b"Authorization: Bearer token-neo\r\n\r\n"
    )
    writer.write(b'{"text": "half')
    await writer.drain()
    writer.transport.abort()
    assert (await house.caller(door)("GET", "/healthz")).status == 200
    assert house.backend.messages == []
    assert "Traceback" not in caplog.text


async def test_an_absolute_target_is_understood(house: House) -> None:
    reader, writer = await connect(house, "rest")
    writer.write(b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()
