"""An operator caps what the Colony spends: each host halts its own agents by what all have said."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.capping import cap_statement
from maw.core.identity import key_text
from maw.core.revocation import revocation_statement
from maw.errors import NotFound, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host
from tests.integration.operators import now, say, two_hosts, until_true
from tests.integration.test_caps import DOLLAR, refused, run


async def halted(host: Host, name: str) -> bool:
    await host.node.ledger.keep()
    await host.node.spending.keep()
    return name in host.node.spending.halted()


async def colony_caps(host: Host) -> list[Any]:
    found = await host.service.costs(await host.owner(), agent=None, since=None, until=None, colony=True)
    return [cap for cap in found["caps"] if cap["scope"] == "colony"]


async def test_what_all_hosts_spent_halts_all_agents(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "trin") as (mbp, oracle, key):
        cap = cap_statement(key, mbp.node.membership.book.colony, "usd", DOLLAR, [], now())
        await say(mbp, cap, oracle)
        await run(mbp, "arthur", usd=600_000)

        async def both_know(percent: int) -> bool:
            for host in (mbp, oracle):
                await halted(host, "")
            return [cap["percent"] for host in (mbp, oracle) for cap in await colony_caps(host)] == [
                percent
            ] * 2

        await until_true(lambda: both_know(60), "so much of what is left is said at once")
        assert (await colony_caps(oracle))[0]["source"] == "operator founder"
        await run(oracle, "trin", usd=399_999)
        await until_true(lambda: both_know(99), "the other host's too")
        await until_true(lambda: is_told(mbp, "cost", "colony usd"), "a human is told before it is spent")
        await run(mbp, "arthur", usd=1)
        await until_true(lambda: halted(oracle, "trin"), "by what the other host's agent spent")
        why = await refused(oracle, "trin")
        assert why is not None and "the Colony's $1.00 a day are spent" in why
        assert await refused(mbp, "arthur") is not None

        more = cap_statement(key, mbp.node.membership.book.colony, "usd", 2 * DOLLAR, [cap.id], now())
        await say(oracle, more, mbp)
        await until_true(lambda: free(mbp, "arthur"), "a higher cap ends it")


async def is_told(host: Host, *about: str) -> bool:
    await host.node.spending.keep()
    return about in await host.alerts()


async def test_what_a_revoked_host_said_halts_nobody(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "trin") as (mbp, oracle, key):
        colony = mbp.node.membership.book.colony
        await say(mbp, cap_statement(key, colony, "usd", DOLLAR, [], now()), oracle)
        await run(oracle, "trin", usd=900 * DOLLAR)
        await halted(oracle, "")
        await until_true(lambda: halted(mbp, "arthur"), "it is believed as long as it is trusted")
        await say(mbp, revocation_statement(key, colony, oracle.me, {}, [], "it lies", now()))
        await until_true(lambda: free(mbp, "arthur"), "and no longer")
        assert mbp.node.costs.elsewhere.usd == 0


async def free(host: Host, name: str) -> bool:
    return not await halted(host, name)


async def test_a_cap_is_drafted_for_who_may_say_it(make_home: MakeHome) -> None:
    async with two_hosts(make_home) as (mbp, _, key):
        command = mbp.service.command
        made = await command.draft("cap", key_text(key.node), {"unit": "usd", "amount": "$50/day"})
        assert made["about"] == "the Colony may spend $50.00 a day"
        with pytest.raises(NotFound):
            await command.draft("cap", key_text(key.node), {"unit": "usd", "amount": "off"})
        colony = mbp.node.membership.book.colony
        await say(mbp, cap_statement(key, colony, "usd", None, [], now()))
        with pytest.raises(NotFound):
            await command.draft("cap", key_text(key.node), {"unit": "usd", "amount": "off"})
        with pytest.raises(Refused):
            await command.draft("cap", key_text(mbp.me), {"unit": "usd", "amount": "1"})
