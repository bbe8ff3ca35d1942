"""The stream: nothing is missed and nothing comes twice, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from maw.api.limits import Pace
from maw.errors import NotSignedIn, Unavailable
from tests.unit.api.house import DOORS, House, opened

BRISK = Pace(page=7, idle_s=0.05, send_s=0.2, close_s=0.2)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened(pace=Pace(page=7)) as house:
        yield house


async def messages(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            frame = await socket.receive_json()
            if frame["type"] == "message":
                found.append(frame["message"])
    return found


async def next_frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return await socket.receive_json(timeout=5)


async def closing(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str | None]:
    """The close code and reason, after whatever frames come before."""
    async with asyncio.timeout(10):
        while True:
            frame = await socket.receive()
            if frame.type is aiohttp.WSMsgType.CLOSE:
                return frame.data, frame.extra
            assert frame.type is aiohttp.WSMsgType.TEXT, frame


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("door", DOORS)
async def test_backlog_then_idle_then_live(house: House, door: str) -> None:
    for number in range(20):
        await house.backend.say(f"{number}")
    async with house.caller(door).stream("/api/stream?after_seq=5") as socket:
        assert [m["seq"] for m in await messages(socket, 15)] == list(range(6, 21))
        live = asyncio.ensure_future(messages(socket, 1))
        await until(lambda: house.backend.waiting == 1)
        said = await house.backend.say("now")
        assert await live == [said]


@pytest.mark.parametrize("door", DOORS)
async def test_without_a_cursor_it_begins_now(house: House, door: str) -> None:
    await house.backend.say("before")
    async with house.caller(door).stream() as socket:
        assert await next_frame(socket) == {"type": "idle", "seq": 1}
        await house.backend.say("after")
        assert [m["seq"] for m in await messages(socket, 1)] == [2]


@pytest.mark.parametrize("door", DOORS)
async def test_resuming_under_concurrent_writes_has_no_gap_and_no_repeat(house: House, door: str) -> None:
    """Subscribers come, break off anywhere and resume, while four writers write on."""
    total = 400

    async def write(writer: int) -> None:
        for number in range(total // 4):
            await house.backend.say(f"{writer}:{number}")
            if number % 3 == writer % 3:
                await asyncio.sleep(0)

    async def read(step: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            cursor = seen[-1] if seen else 0
            async with house.caller(door).stream(f"/api/stream?after_seq={cursor}") as socket:
                seen += [m["seq"] for m in await messages(socket, min(step, total - len(seen)))]
        return seen

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        readers = [group.create_task(read(step)) for step in (1, 13, 64, total)]
        for writer in range(4):
            group.create_task(write(writer))
    for reader in readers:
        assert reader.result() == list(range(1, total + 1))


async def test_direct_messages_stream_only_to_their_own(house: House) -> None:
    def streamed(door: str, agent: str | None) -> Any:
        return house.caller(door, agent).stream("/api/stream?after_seq=0")

    await house.backend.say("secret", channel=None, to=["arthur@oracle-world"])
    await house.backend.say("public")
    for door, agent, wanted in [
        ("rest", None, ["public"]),
        ("rest", "neo", ["public"]),
        ("socket", "neo", ["public"]),
        ("socket", None, ["public"]),
        ("rest", "arthur", ["secret", "public"]),
        ("socket", "arthur", ["secret", "public"]),
    ]:
        async with streamed(door, agent) as socket:
            assert [m["text"] for m in await messages(socket, len(wanted))] == wanted


async def test_a_long_stretch_of_what_is_for_others_does_not_hold_up_what_follows(house: House) -> None:
    """A page that looked at as many rows as it may is empty, and yet there is more behind it."""
    house.backend.scan = 3
    for _ in range(20):
        await house.backend.say("secret", channel=None, to=["arthur@oracle-world"])
    await house.backend.say("public @neo")
    async with asyncio.timeout(5):
        async with house.caller("socket").stream("/api/stream?after_seq=0") as socket:
            assert (await next_frame(socket))["message"]["seq"] == 21
        answer = await house.caller("rest")("GET", "/api/mentions?user=neo&after_seq=0&wait=60")
        assert [m["seq"] for m in answer.json] == [21]


async def test_filters(house: House) -> None:
    house.backend.channel_names.append("fire")
    await house.backend.say("a")
    await house.backend.say("smoke @neo", channel="fire")
    await house.backend.say("b @neo")
    async with house.caller("rest").stream("/api/stream?after_seq=0&channel=%23fire") as socket:
        assert [m["seq"] for m in await messages(socket, 1)] == [2]
    async with house.caller("rest").stream("/api/stream?after_seq=0&user=neo") as socket:
        assert [m["seq"] for m in await messages(socket, 2)] == [2, 3]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with house.caller("rest").stream("/api/stream?channel=none"):
            pass
    assert refused.value.status == 404


async def test_idle_frames_carry_the_cursor_past_what_was_filtered_out() -> None:
    async with opened(pace=BRISK) as house:
        house.backend.channel_names.append("fire")
        async with house.caller("socket").stream("/api/stream?after_seq=0&channel=fire") as socket:
            assert await next_frame(socket) == {"type": "idle", "seq": 0}
            await house.backend.say("elsewhere")
            async with asyncio.timeout(5):
                while (await socket.receive_json()) != {"type": "idle", "seq": 1}:
                    continue


@pytest.mark.parametrize("door", DOORS)
async def test_stopping_closes_streams_with_going_away(door: str) -> None:
    async with opened() as house, house.caller(door).stream() as socket:
        await next_frame(socket)
        async with asyncio.timeout(2), asyncio.TaskGroup() as group:
            group.create_task(house.doors.stop())
            code, reason = await closing(socket)
        assert (code, reason) == (aiohttp.WSCloseCode.GOING_AWAY, "the daemon is stopping")


@pytest.mark.parametrize("door", DOORS)
async def test_a_subscriber_that_hangs_up_frees_its_place(house: House, door: str) -> None:
    api = house.doors._api
    assert api is not None
    async with house.caller(door).stream() as socket:
        await next_frame(socket)
        assert len(api.waiting) == 1
    await until(lambda: len(api.waiting) == 0)
    assert house.backend.waiting == 0


async def test_one_whose_connection_breaks_frees_its_place_too(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    api = house.doors._api
    assert api is not None
    async with house.caller("rest").stream() as socket:
        await next_frame(socket)
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        await until(lambda: len(api.waiting) == 0)
    assert "Traceback" not in caplog.text


async def stalled(house: House) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A subscriber from seq 0 that does not read."""
    assert house.doors.rest_address is not None
    host, _, port = house.doors.rest_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        b"GET /api/stream?after_seq=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    api = house.doors._api
    assert api is not None
    await until(lambda: len(api.waiting) == 1)
    for _ in range(200):
        await house.backend.say("x" * 60_000)
    return reader, writer


async def test_one_that_does_not_read_is_let_go_and_costs_others_nothing() -> None:
    async with opened(pace=BRISK) as house:
        _, writer = await stalled(house)
        api = house.doors._api
        assert api is not None
        async with house.caller("rest").stream("/api/stream?after_seq=199") as socket:
            assert [m["seq"] for m in await messages(socket, 1)] == [200]
            await until(lambda: len(api.waiting) == 1)
        assert len(house.backend.let_go_of) == 1, "and its owner hears of it"
        writer.transport.abort()


async def test_one_let_go_learns_where_to_resume_if_it_reads_on() -> None:
    async with opened(pace=Pace(page=7, send_s=0.2, close_s=5)) as house:
        reader, writer = await stalled(house)
        api = house.doors._api
        assert api is not None
        await until(lambda: len(api.waiting) == 0)
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        heard = b""
        async with asyncio.timeout(5):
            while b"too slow: resume with after_seq=" not in heard[-200:]:
                chunk = await reader.read(65536)
                assert chunk, "ended without a reason"
                heard += chunk
        writer.transport.abort()
        cursor = int(heard.rpartition(b"=")[2])
        assert 0 < cursor < 200
        assert heard.count(b'"type":"message"') >= cursor, "what the cursor counts was sent"


async def test_a_withdrawn_token_ends_the_stream() -> None:
    async with opened(pace=BRISK) as house, house.caller("rest").stream() as socket:
        await next_frame(socket)
        del house.backend.agents["neo"]
        code, reason = await closing(socket)
        assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
        assert reason is not None
        assert reason.startswith("not_signed_in")


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        (RuntimeError("secret"), aiohttp.WSCloseCode.INTERNAL_ERROR, "fault inside maw"),
        (
            Unavailable("the disk is full"),
            aiohttp.WSCloseCode.TRY_AGAIN_LATER,
            "the disk is full: resume with",
        ),
        (NotSignedIn("x" * 500), aiohttp.WSCloseCode.POLICY_VIOLATION, "not_signed_in"),
    ],
)
async def test_a_fault_of_the_node_closes_with_a_reason(
    house: House, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: int, word: str
) -> None:
    async with house.caller("socket").stream() as socket:
        await next_frame(socket)

        async def broken(*args: object, **kwargs: object) -> None:
            raise fault

        monkeypatch.setattr(house.backend, "stream_page", broken)
        await house.backend.say("x")
        closed = await closing(socket)
    assert closed[0] == code
    assert closed[1] is not None
    assert word in closed[1]
    assert "secret" not in closed[1]


async def test_what_subscribers_say_is_ignored_but_not_without_limit(house: House) -> None:
    async with house.caller("socket").stream() as socket:
        await next_frame(socket)
        await socket.send_str("hello?")
        await socket.ping()
        await house.backend.say("still here")
        assert len(await messages(socket, 1)) == 1
        await socket.send_str("x" * 5000)
        assert (await closing(socket))[0] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_streams_of_other_sites_are_refused(house: House) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with house.caller("rest").stream(origin="http://evil.example"):
            pass
    assert refused.value.status == 403


async def test_frames_are_compact_json(house: House) -> None:
    await house.backend.say("ไง")
    async with house.caller("rest").stream("/api/stream?after_seq=0") as socket:
        text = await socket.receive_str(timeout=5)
    assert text.startswith('{"type":"message","message":{"id":"')
    assert "ไง" in text
    assert json.loads(text)["message"]["seq"] == 1


async def test_a_reader_confirms_what_it_has_shown(house: House) -> None:
    for text in ("one", "two"):
        await house.backend.say(text)
    async with house.caller("socket").stream("/api/stream?after_seq=0&confirm=true") as socket:
        await messages(socket, 2)
        (listener,) = house.backend.listeners
        assert (listener.after, listener.sent_seqs) == (0, [1, 2])
        for nonsense in (
            "",
            "[]",
            "{",
            '{"heard": "2"}',
            '{"heard": true}',
            '{"said": 1}',
            "\u2028",
            "[" * 4000,
        ):
            await socket.send_str(nonsense)
        await socket.send_json({"heard": 2})
        async with asyncio.timeout(5):
            while not listener.heard_up_to:
                await asyncio.sleep(0.01)
        assert listener.heard_up_to == [2]
    async with asyncio.timeout(5):
        while not listener.closed:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("part", ["channel=general", "user=ford"])
async def test_a_reader_of_a_part_keeps_nobody_from_anything(house: House, part: str) -> None:
    async with house.caller("socket").stream(f"/api/stream?{part}&confirm=true"):
        assert [one.after for one in house.backend.listeners] == [None]


@pytest.mark.parametrize("door", DOORS)
async def test_nobody_in_particular_confirms_nothing(house: House, door: str) -> None:
    async with house.caller(door, None).stream("/api/stream?after_seq=0&confirm=true") as socket:
        await house.backend.say("one")
        await messages(socket, 1)
        await socket.send_json({"heard": 1})
        await house.backend.say("two")
        await messages(socket, 1)
    assert house.backend.listeners == []
