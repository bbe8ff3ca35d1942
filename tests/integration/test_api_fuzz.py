"""Whatever comes through a door, the answer is never a 500 and the door stays open."""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maw.api.app import ROUTES
from tests.unit.api.house import DOORS, House, opened

PLAIN = [route for route in ROUTES if route.path != "/api/stream"]
WORD = st.text(st.characters(codec="utf-8"), max_size=20) | st.integers().map(str)
VALUE = WORD | st.just("general")
QUERY = st.lists(
    st.tuples(st.sampled_from(["after_seq", "before_seq", "limit", "user", "timeout", "x"]), WORD), max_size=3
)
BODY = st.binary(max_size=60) | st.dictionaries(
    st.sampled_from(["text", "to", "ids", "all", "name", "username", "line"]), WORD, max_size=3
).map(lambda value: json.dumps(value).encode())
BODY |= st.just(b'{"text": "hello"}') | st.just(b'{"to": "arthur", "text": "hello"}')
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "Content-Type", "X-Maw-Agent", "Expect", "Content-Encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    max_size=2,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("door", DOORS)
async def test_no_request_is_a_500(data: st.DataObject, door: str, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as house:
        for _ in range(5):
            await one_request(data, house, door)
        assert (await house.caller(door, None)("GET", "/healthz")).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def one_request(data: st.DataObject, house: House, door: str) -> None:
    route = data.draw(st.sampled_from(PLAIN))
    word = quote(data.draw(VALUE), safe="")
    path = route.path.replace("{name}", word).replace("{id}", word).replace("{n}", "1")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in data.draw(QUERY))
    answer = await house.caller(door)(
        route.method,
        f"{path}?{query}",
        raw=data.draw(BODY) if route.body is not None else None,
        headers=data.draw(HEADERS),
    )
    assert answer.status < 500, (route.name, answer.text)
    if answer.status >= 400:
        assert answer.code


@given(sent=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_bytes_that_are_no_http_do_no_harm(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as house:
        reader, writer = await asyncio.open_unix_connection(str(house.doors.socket_path))
        writer.write(sent)
        writer.write_eof()
        try:
            answer = await asyncio.wait_for(reader.read(200), 0.2)
        except TimeoutError:
            answer = b""  # it waits for the rest of a request
        writer.close()
        assert not answer or b" 400 " in answer[:20], answer
        assert (await house.caller("socket")("GET", "/healthz")).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
