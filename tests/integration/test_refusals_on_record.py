"""Who asks for what he may not have is on record: at either door, for a message not his, and on a link."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from maw.api.doors import Doors, DoorSettings
from maw.core.refused import Attempt
from maw.errors import Unavailable
from maw.node.refused import MOST_ROWS, RefusalRecord
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running


@asynccontextmanager
async def calling(host: Host) -> AsyncIterator[tuple[str, aiohttp.ClientSession, aiohttp.ClientSession]]:
    """The base of REST, and a session at REST and at the socket."""
    with tempfile.TemporaryDirectory(prefix="maw") as home:
        path = Path(home) / "maw.sock"
        doors = Doors(host.service, DoorSettings(path, rest=("127.0.0.1", 0), anonymous=True), grace_s=5)
        await doors.start()
        try:
            async with (
                aiohttp.ClientSession() as rest,
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as socket,
            ):
                yield f"http://{doors.rest_address}", rest, socket
        finally:
            await doors.stop()


async def test_every_door_and_a_message_that_is_not_ones_own(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo", "trin", "smith")
        secret = (await host.send("neo", "trin", "for trin"))["id"]
        async with calling(host) as (base, rest, socket):
            guess = {"Authorization": "Bearer guessed"}
            for _ in range(3):
                async with rest.get(f"{base}/api/inbox", headers=guess) as answer:
                    assert answer.status == 401
            async with rest.get(f"{base}/api/invites") as answer:
                assert answer.status == 403
            token = await host.service.new_token(await host.owner(), "trin")
            as_another = {"Authorization": f"Bearer {token}", "X-Maw-Agent": "neo"}
            async with rest.get(f"{base}/api/inbox", headers=as_another) as answer:
                assert answer.status == 403
            as_smith = {"X-Maw-Agent": "smith"}
            async with socket.get(f"http://localhost/api/messages/{secret}", headers=as_smith) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (404, "no_such_message")
            async with socket.get("http://localhost/api/messages/999999", headers=as_smith) as answer:
                assert answer.status == 404, "what is not there is nobody's"
            async with socket.get("http://localhost/api/audit/refusals") as answer:
                told = await answer.json()
        assert {(one["who"], one["door"], one["what"], one["code"], one["times"]) for one in told} == {
            ("nobody", "rest", "GET /api/inbox", "bad_token", 3),
            ("nobody", "rest", "GET /api/invites", "socket_only", 1),
            ("trin@mbp", "rest", "GET /api/inbox", "wrong_agent", 1),
            ("smith@mbp", "socket", f"GET /api/messages/{secret}", "no_such_message", 1),
        }
    async with running(home) as host:  # written when it stopped
        assert await host.service.refusals(since_ms=0, limit=500) == told
        assert len(await host.service.refusals(since_ms=0, limit=2)) == 2
        assert await host.service.refusals(since_ms=1 << 60, limit=2) == []


async def test_a_node_that_is_not_trusted(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        reader, writer = await asyncio.open_connection(*host.node.mesh.addresses()[0].rsplit(":", 1))
        writer.write(b"hello\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        async with asyncio.timeout(30):
            while not (found := await host.service.refusals(since_ms=0, limit=5)):
                await asyncio.sleep(0.01)
        assert (found[0]["who"], found[0]["door"], found[0]["what"]) == ("127.0.0.1", "link", "to be linked")


async def test_the_record_is_bounded_and_outlasts_a_disk_that_takes_nothing(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_home("mbp")) as host:
        now = [90 * 24 * 3_600_000]
        record = RefusalRecord(host.node.refused._store, lambda: now[0])
        record.note(Attempt("old", "rest", "GET /", "x"))
        await record.save()
        for round_ in range(11):
            now[0] += 3_600_000
            for n in range(1_000):
                record.note(Attempt(f"{round_} {n}", "rest", "GET /", "x"))
            await record.save()
        rows = await host.node.db.rows("SELECT count(*), min(hour) FROM refusals")
        assert rows == [(MOST_ROWS, 90 * 24 + 2)]

        async def no_room(*_: object) -> None:
            raise Unavailable("full")

        now[0] += 1
        record.note(Attempt("late", "rest", "GET /", "x"))
        with monkeypatch.context() as patch:
            patch.setattr(host.node.writer, "submit", no_room)
            with pytest.raises(Unavailable):
                await record.save()
            assert (await record.newest(since_ms=0, limit=1))[0]["who"] == "late", "told all the same"
        await record.save()
        assert await host.node.db.rows("SELECT times FROM refusals WHERE who = 'late'") == [(1,)]
