"""Many hosts joined with one pairing each: what makes the others trust a newcomer, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest

from maw.config import PeerEntry
from maw.core.identity import key_text
from maw.errors import Conflict, NotFound
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, pair, until

Pairing = tuple[str, str, bool]
"""Who invited, whom, and whether with the right to introduce."""


async def joined(hosts: dict[str, Host], *pairings: Pairing) -> None:
    for inviter, guest, introducer in pairings:
        await pair(hosts[inviter], hosts[guest], introducer=introducer)


def strangers(hosts: Sequence[Host]) -> list[str]:
    """Each pair of hosts of which one does not trust the other."""
    name = {host.me: host.node.config.name for host in hosts}
    return [
        f"{name[one.me]} does not trust {name[other.me]}"
        for two in combinations(hosts, 2)
        for one, other in (two, two[::-1])
        if other.me not in one.node.membership.book.trusted
    ]


async def until_all_trust_all(hosts: Sequence[Host]) -> None:
    try:
        await until(lambda: not strangers(hosts), "all trust all")
    except AssertionError as error:
        raise AssertionError(f"{error}: {strangers(hosts)}") from None


async def test_a_tree_of_introducers_each_host_paired_once(make_home: MakeHome) -> None:
    """Eight hosts, seven pairings; everybody trusts, links with and reads everybody."""
    names = ["root", "left", "right", "l1", "l2", "r1", "r2", "deep"]
    async with all_running(*map(make_home, names)) as running:
        hosts = dict(zip(names, running, strict=True))
        await joined(
            hosts, ("root", "left", True), ("root", "right", True), ("left", "l1", True), ("left", "l2", False),
            ("right", "r1", False), ("right", "r2", False), ("l1", "deep", False),
        )  # fmt: skip
        await until_all_trust_all(running)
        pins = {name: len(host.node.membership.book.pins) for name, host in hosts.items()}
        assert sum(pins.values()) == 2 * 7, (
            "each pairing is a decision on either side, and there was no other"
        )
        assert pins["deep"] == pins["r2"] == 1
        for one, other in combinations(running, 2):
            await until(lambda one=one, other=other: one.linked(other), "a link")  # type: ignore[misc]
        await hosts["deep"].add("cleo")
        await hosts["r2"].add("ben")
        await until(lambda: "cleo" in known(hosts["r2"]) and "ben" in known(hosts["deep"]), "they are known")
        await hosts["r2"].send("ben", "cleo", "we never paired")
        await hosts["deep"].receives("cleo", ["we never paired"])
        assert not [alert for alert in await hosts["root"].alerts() if alert[0] != "backup"]


def known(host: Host) -> set[str]:
    return {row.name for row in host.node.directory.agents()}


async def test_one_line_serves_many_hosts(make_home: MakeHome) -> None:
    names = [f"n{number}" for number in range(6)]
    async with all_running(*map(make_home, names)) as hosts:
        line = await hosts[0].invite(uses=5)
        for host in hosts[1:]:
            assert (await host.join(line))["state"] == "linked"
        await until_all_trust_all(hosts)


async def test_whom_a_plain_host_lets_in_waits_until_that_host_is_made_an_introducer(
    make_home: MakeHome,
) -> None:
    """One command on the host whose word counts everywhere, instead of one for each newcomer on each host."""
    names = ["root", "plain", "other", "new1", "new2"]
    homes = [make_home(name) for name in names]
    async with all_running(*homes) as running:
        hosts = dict(zip(names, running, strict=True))
        root, plain, other = running[:3]
        newcomers = running[3:]
        await joined(
            hosts, ("root", "plain", False), ("root", "other", False), ("plain", "new1", False),
            ("plain", "new2", False),
        )  # fmt: skip
        for host in (root, other):
            await until(
                lambda host=host: {new.me for new in newcomers} <= set(host.node.membership.book.pending),  # type: ignore[misc]
                "the newcomers are pending",
            )
        assert not any(root.linked(new) or other.linked(new) for new in newcomers)

        told = await root.service.accept_peer(await root.owner(), "plain", introducer=True)
        assert told == {"name": "plain", "key": key_text(plain.me), "state": "introducer"}
        await until_all_trust_all(running)
        await until(lambda: other.linked(newcomers[0]) and newcomers[0].linked(newcomers[1]), "linked")
        statements = len(root.node.membership.book.statements())
        await root.service.accept_peer(await root.owner(), "plain", introducer=True)
        assert len(root.node.membership.book.statements()) == statements, "once more changes nothing"
    async with all_running(*homes) as again:
        assert not strangers(again), "after a restart it is the same"
        for one, two in combinations(again, 2):
            await until(lambda one=one, two=two: one.linked(two), "linked again")  # type: ignore[misc]


async def test_a_pending_host_is_made_an_introducer_in_one_go(make_home: MakeHome) -> None:
    names = ["root", "plain", "chief", "new"]
    async with all_running(*map(make_home, names)) as running:
        hosts = dict(zip(names, running, strict=True))
        root, chief, new = hosts["root"], hosts["chief"], hosts["new"]
        await joined(hosts, ("root", "plain", False), ("plain", "chief", False), ("chief", "new", False))
        await until(lambda: {chief.me, new.me} <= set(root.node.membership.book.pending), "both are pending")
        await root.service.accept_peer(await root.owner(), "chief", introducer=True)
        await until(lambda: root.linked(chief), "linked")
        assert ((await root.peer(chief))["how"], (await root.peer(new))["how"]) == ("accepted", "admitted")
        assert (await new.peer(root))["state"] == "pending", "nobody whom it trusts that far spoke for root"
        await new.service.accept_peer(await new.owner(), "root")
        await until(lambda: root.linked(new), "linked")


async def test_who_cannot_be_made_an_introducer(make_home: MakeHome) -> None:
    async with all_running(*map(make_home, ("a", "b"))) as (a, b):
        with pytest.raises(NotFound):
            await a.service.accept_peer(await a.owner(), "b", introducer=True)
        a.node.membership.set_by_hand([PeerEntry("b", b.me, ())])
        with pytest.raises(Conflict) as no:
            await a.service.accept_peer(await a.owner(), "b", introducer=True)
        assert (no.value.code, "introducer = true" in no.value.hint) == ("by_hand", True)
