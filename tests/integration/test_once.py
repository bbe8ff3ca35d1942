"""A request that is made again after its answer was lost, and with it the database: still one message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from maw.errors import Conflict, MawError, NotFound, Unavailable
from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, until

KEY = "the-key-of-this-request"


def lose_database(home: NodeHome) -> None:
    for path in home.path.glob("colony.db*"):
        path.unlink()


async def acquaint(mbp: Host, oracle: Host) -> None:
    await mbp.add("arthur")
    await oracle.add("neo")
    await pair(mbp, oracle)
    await acquainted(mbp, oracle)


async def ask_until_taken(host: Host, text: str, **more: Any) -> Any:
    """As a client does that has a key: again, until there is an answer."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await host.post("arthur", text, **more)
            except (NotFound, Unavailable):
                await asyncio.sleep(0.01)


async def test_asked_again_after_the_database_was_lost_it_is_the_same_message(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await acquaint(mbp, oracle)
        first = await mbp.post("arthur", "once", idempotency_key=KEY)
        await mbp.send("arthur", "neo", "a direct one", idempotency_key="direct")
        await until(lambda: mbp.held() == oracle.held(), "the same")
        before = mbp.held()
    lose_database(homes[0])
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: all(mbp.held().get(at, 0) >= seq for at, seq in before.items()), "all is back")
        again = await ask_until_taken(mbp, "once", idempotency_key=KEY)
        assert again["id"] == first["id"]
        await mbp.send("arthur", "neo", "a direct one", idempotency_key="direct")
        with pytest.raises(Conflict, match="used for another message"):
            await mbp.post("arthur", "something else", idempotency_key=KEY)
        await mbp.post("arthur", "something else", idempotency_key="another key")
        await until(lambda: mbp.held() == oracle.held(), "the same again")
        assert await mbp.channel() == await oracle.channel() == ["once", "something else"]
        assert await oracle.texts("neo") == ["a direct one"]


async def test_asked_again_before_it_came_back_it_waits(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await acquaint(mbp, oracle)
        for n in range(300):
            await mbp.post("arthur", f"{n}")
        first = await mbp.post("arthur", "once", idempotency_key=KEY)
        await until(lambda: mbp.held() == oracle.held(), "the same")
    lose_database(homes[0])
    async with running(homes[0]) as mbp:
        asking = asyncio.ensure_future(ask_until_taken(mbp, "once", idempotency_key=KEY))
        async with running(homes[1]) as oracle:
            assert (await asking)["id"] == first["id"]
            await until(lambda: mbp.held() == oracle.held(), "the same again")
            assert (await oracle.channel()).count("once") == 1


async def test_a_database_that_was_put_back_does_not_know_of_it_either(make_home: MakeHome) -> None:
    """Its agents are there at once: what it said beyond, the mark beside the key knows."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await acquaint(mbp, oracle)
    copy = homes[0].database.read_bytes()
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.linked(oracle), "linked")
        first = await mbp.post("arthur", "once", idempotency_key=KEY)
        await until(lambda: mbp.held() == oracle.held(), "the same")
    lose_database(homes[0])
    homes[0].database.write_bytes(copy)
    async with running(homes[0]) as mbp:
        with pytest.raises(Unavailable) as told:
            await mbp.post("arthur", "once", idempotency_key=KEY)
        assert told.value.code == "recovering"
        await mbp.post("arthur", "without a key nobody asks again")
        async with running(homes[1]) as oracle:
            again = await ask_until_taken(mbp, "once", idempotency_key=KEY)
            assert again["id"] == first["id"]
            await until(lambda: mbp.held() == oracle.held(), "the same again")
            assert (await oracle.channel()).count("once") == 1


async def test_an_agent_that_was_rolled_back_does_not_speak_meanwhile(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own log comes back, and its first batch fails behind the agents it brought. Whoever asked in between would be
    a stranger with the number of somebody else."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await mbp.add("ford")
        await acquaint(mbp, oracle)
        await until(lambda: mbp.held() == oracle.held(), "the same")
    lose_database(homes[0])
    async with running(homes[0]) as mbp:
        ahead = mbp.node.authoring
        real, failed = mbp.node.writer.submit_nowait, asyncio.Event()
        asked: list[asyncio.Future[Any]] = []

        def submit(work: Any, after: Any = None) -> Any:
            async def failing(conn: Any) -> Any:
                result = await work(conn)
                if "arthur" in mbp.node.state.local and not failed.is_set():
                    failed.set()
                    asked.append(asyncio.ensure_future(mbp.post("arthur", "once", idempotency_key=KEY)))
                    asked.append(asyncio.ensure_future(mbp.post("arthur", "without a key")))
                    while not ahead._drafts:
                        await asyncio.sleep(0)
                    raise MawError("the disk took none of it", code="cannot_write")
                return result

            return real(failing, after)

        monkeypatch.setattr(mbp.node.writer, "submit_nowait", submit)
        async with running(homes[1]) as oracle:
            await until(failed.is_set, "the batch with the agents failed")
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert [getattr(error, "code", error) for error in told] == ["recovering", "recovering"]
            await ask_until_taken(mbp, "once", idempotency_key=KEY)
            await until(lambda: mbp.held() == oracle.held(), "the same again")
            assert await oracle.channel() == ["once"]
