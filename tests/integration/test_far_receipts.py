"""A line of three: receipts from beyond the next host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.integration.nodes import (
    NOWHERE,
    acquainted,
    config_of,
    epochs,
    pair,
    running,
    until,
)


@pytest.fixture
def far_apart(make_home: MakeHome) -> Iterator[list[NodeHome]]:
    yield [make_home(name) for name in ("alpha", "beta", "gamma")]


async def test_relayed_messages_are_receipted_by_the_recipients_host(far_apart: list[NodeHome]) -> None:
    """alpha – beta – gamma: alpha and gamma cannot dial each other, and know each other all the same."""
    a_home, b_home, c_home = far_apart
    async with (
        running(a_home, config=config_of(a_home, advertise=NOWHERE)) as a,
        running(b_home) as b,
        running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c,
    ):
        await a.add("ann")
        await c.add("cleo")
        await pair(b, a)
        await pair(b, c)
        await until(lambda: c.me in a.node.membership.book.trusted, "a trusts c")
        await acquainted(a, c)
        sent = await a.send("ann", "cleo", "over the hill")
        assert sent["state"] == "stored"
        assert sent["recipients"][0]["online"] is False
        await c.receives("cleo", ["over the hill"])
        assert (await c.inbox("cleo"))[0]["author"] == "ann@alpha"
        receipt = await a.service.wait_reached(sent["id"], 10)
        assert receipt["state"] == "replicated"
        assert not a.linked(c)
        page = await b.service.stream_page(await b.owner(), after_seq=0, channel=None, user=None, limit=100)
        assert "over the hill" not in [item["text"] for item in page.items], (
            "the relay's agents do not read it"
        )
        back = await c.send("cleo", "ann", "and back", reply_to=sent["id"])
        await a.receives("ann", ["and back"])
        assert (await c.service.wait_reached(back["id"], 10))["state"] == "replicated"


async def test_held_by_the_relay_is_not_held_by_the_recipients_host(far_apart: list[NodeHome]) -> None:
    a_home, b_home, c_home = far_apart
    async with (
        running(a_home, config=config_of(a_home, advertise=NOWHERE)) as a,
        running(b_home) as b,
    ):
        async with running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c:
            await a.add("ann")
            await c.add("cleo")
            await pair(b, a)
            await pair(b, c)
            await acquainted(a, c)
        sent = await a.send("ann", "cleo", "nobody home")
        await until(lambda: a.held() == b.held(), "the relay holds it")
        await until(
            lambda: a.node.receipts.has(b.me, epochs(a)[-1], a.held()[a.me, epochs(a)[-1]]), "and says so"
        )
        assert (await a.service.wait_reached(sent["id"], 0.1))["state"] == "stored"
        async with running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c:
            await c.receives("cleo", ["nobody home"])
            assert (await a.service.wait_reached(sent["id"], 10))["state"] == "replicated"
