"""Whom an operator has frozen: nothing is put in front of it unasked, until it is thawed, but an operator's word."""

from __future__ import annotations

from maw.core.freezing import AGENT, Target, freeze_statement, thaw_statement
from tests.conftest import MakeHome
from tests.integration.nodes import running
from tests.integration.operators import founder, now, say
from tests.integration.test_hearing import hear, heard, texts


async def test_the_frozen_are_left_alone_and_hear_it_afterwards(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo", "trin")
        key, colony = founder(home.path), host.node.membership.book.colony
        row = host.node.directory.local("arthur")
        target = Target(AGENT, host.node.me, row.id, name="arthur@mbp")
        stop = freeze_statement(key, colony, target, "astray", now())
        await say(host, stop)
        await host.send("neo", "arthur", "come back")
        for via, wake in (("rewake", True), ("hook", False), ("mcp", True)):
            assert await hear(host, "arthur", via, wake=wake) is None
        assert texts(await hear(host, "arthur", "wait")) == ["come back"], "who asks is told: reading goes on"
        await host.send("neo", "trin", "and you?")
        assert texts(await hear(host, "trin")) == ["and you?"], "others hear"
        await host.send("neo", "arthur", "now")
        await say(host, thaw_statement(key, colony, [stop.id], now()))
        found = await hear(host, "arthur")
        assert texts(found) == ["now"]
        await heard(host, "arthur", found)
