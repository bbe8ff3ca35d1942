"""Operators' messages and orders between real nodes: shown as such, imitated by nobody, seen and answered."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from maw.core.authority import dismissal_statement, grant_statement
from maw.core.freezing import ALL, Target, freeze_statement
from maw.core.heeding import MAX_ANSWERS
from maw.core.identity import Signer
from maw.core.word import OperatorWord
from maw.errors import BadInput, Conflict, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running, until
from tests.integration.operators import arrived, equals, founder, now, two_hosts, until_true, word


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host, Signer]]:
    """``mbp`` with arthur invited ``oracle`` with neo and trinity; and the operator key of their Colony."""
    async with two_hosts(make_home, "neo", "trinity") as hosts:
        yield hosts


async def test_an_order_is_shown_as_one_on_every_host(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    text = "@all stop the deploys"
    sent = await mbp.post("arthur", text, word=word(mbp, key, text))
    assert (sent["message"]["known_by"], sent["message"]["operator"]) == ("operator key", "founder")
    (there,) = await arrived(oracle, "neo")
    assert (there["known_by"], there["operator"], there["order"]) == ("operator key", "founder", True)
    await oracle.post("neo", "@all operator founder orders: go on")
    (plain,) = await arrived(mbp, "arthur")
    assert (plain["known_by"], plain["operator"], plain["order"]) == ("uid", None, False)


def names(host: Host) -> set[str]:
    directory = host.node.directory
    return {directory.address(agent) for agent in directory.agents()}


async def test_who_has_seen_it_and_who_has_obeyed(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    text = "@agents stop the deploys"
    sent = await mbp.post("arthur", text, word=word(mbp, key, text))
    boss = await mbp.as_("arthur")

    async def states() -> dict[str, str]:
        one = await mbp.service.order(boss, sent["id"])
        return {agent["agent"]: agent["state"] for agent in one["agents"]}

    assert await states() == {"neo@oracle": "waiting", "trinity@oracle": "waiting"}
    await oracle.add("late")
    await until(lambda: "late@oracle" in names(mbp), "mbp knows late")
    assert set(await states()) == {"neo@oracle", "trinity@oracle"}, "who came after it never had it"
    (there,) = await arrived(oracle, "neo")
    await until_true(
        lambda: equals(states, {"neo@oracle": "seen", "trinity@oracle": "waiting"}), "neo has seen it"
    )
    neo = await oracle.as_("neo")
    await oracle.service.answer_orders(neo, [there["id"]], "obeyed", "stopped at 12:01")
    trinity = await oracle.as_("trinity")
    await oracle.service.answer_orders(trinity, [str(there["seq"])], "declined", "not mine")
    await until_true(
        lambda: equals(states, {"neo@oracle": "obeyed", "trinity@oracle": "declined"}), "both have answered"
    )
    await oracle.inbox("neo")
    await oracle.node.orders.settle()
    one = (await oracle.service.orders(neo, limit=5))[0]
    assert [agent["state"] for agent in one["agents"]] == ["obeyed", "declined"], (
        "seeing it again undoes nothing"
    )
    assert {host["host"]: host["state"] for host in (await mbp.service.order(boss, sent["id"]))["hosts"]} == {
        "mbp": "replicated", "oracle": "replicated"
    }  # fmt: skip


async def test_more_are_answered_at_once_than_an_entry_holds(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    sent = await mbp.post("arthur", "stop", word=word(mbp, key, "stop"))
    arthur = await mbp.as_("arthur")
    await mbp.service.answer_orders(arthur, [sent["id"]] * (MAX_ANSWERS + 1), "obeyed", "")
    assert [one["state"] for one in (await mbp.service.order(arthur, sent["id"]))["agents"]] == ["obeyed"]


async def test_what_is_no_order_cannot_be_obeyed(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    sent = await mbp.post("arthur", "hello", word=word(mbp, key, "hello", is_order=False))
    assert sent["message"]["operator"] == "founder"
    with pytest.raises(BadInput) as refused:
        await mbp.service.answer_orders(await mbp.as_("arthur"), [sent["id"]], "obeyed", "")
    assert refused.value.code == "no_order"
    assert await mbp.service.orders(await mbp.as_("arthur"), limit=5) == []


async def test_a_word_of_nobody_is_refused_at_the_source(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    good = word(mbp, key, "stop")
    for forged, text in (
        (word(mbp, Signer(os.urandom(32)), "stop"), "stop"),
        (good, "go on"),
        (word(oracle, key, "stop"), "stop"),
        (word(mbp, key, "stop", ("#other",)), "stop"),
    ):
        with pytest.raises(Refused) as refused:
            await mbp.post("arthur", text, word=forged)
        assert refused.value.code == "no_operator"
    await mbp.post("arthur", "stop", word=good)
    with pytest.raises(Refused):
        await mbp.post("arthur", "stop", word=good)
    assert await mbp.channel() == ["stop"]


async def test_the_same_request_again_is_the_same_message(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    one = word(mbp, key, "stop")
    first = await mbp.post("arthur", "stop", word=one, idempotency_key="k1")
    again = await mbp.post("arthur", "stop", word=one, idempotency_key="k1")
    assert again["id"] == first["id"]
    with pytest.raises(Conflict):
        await mbp.post("arthur", "stop", word=word(mbp, key, "stop"), idempotency_key="k1")
    assert await mbp.channel() == ["stop"]


async def test_copied_by_another_host_it_is_that_hosts_own_text(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    one = word(mbp, key, "@all stop")
    await mbp.post("arthur", "@all stop", word=one)
    await arrived(oracle, "neo")
    oracle.node.keeping.refuse = lambda agent, said: None  # type: ignore[method-assign]
    await oracle.post("trinity", "@all stop", word=one)
    (copied,) = await arrived(mbp, "arthur")
    assert (copied["author"], copied["operator"], copied["known_by"]) == ("trinity@oracle", None, "uid")


async def test_said_twice_by_its_own_host_only_the_first_counts(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    mbp.node.keeping.refuse = lambda agent, said: None  # type: ignore[method-assign]
    one = word(mbp, key, "@all stop")
    for _ in range(2):
        await mbp.post("arthur", "@all stop", word=one)
    first, second = await arrived(oracle, "neo", 2)
    assert (first["operator"], second["operator"]) == ("founder", None)


async def test_an_operator_speaks_while_all_is_frozen_and_a_dismissed_one_is_nobody(
    two: tuple[Host, Host, Signer],
) -> None:
    mbp, oracle, key = two
    colony = mbp.node.membership.book.colony
    anna = Signer(os.urandom(32))
    grant = grant_statement(key, colony, anna.node, "anna", ["order"], None, [], now())
    stop = freeze_statement(key, colony, Target(ALL, name="all"), "", now())
    await mbp.node.membership.keep([grant, stop])
    await until(lambda: stop.id in oracle.node.membership.book.statements(), "the freeze is heard")
    with pytest.raises(Refused):
        await mbp.post("arthur", "@all hello")
    text = "@all stay calm"
    await mbp.post("arthur", text, word=word(mbp, anna, text))
    (there,) = await arrived(oracle, "neo")
    assert there["operator"] == "anna"
    gone = dismissal_statement(key, colony, anna.node, [grant.id], [], now())
    await mbp.node.membership.keep([gone])
    await until(lambda: gone.id in oracle.node.membership.book.statements(), "the dismissal is heard")
    (there,) = await oracle.inbox("neo")
    assert (there["operator"], there["order"], there["known_by"]) == (None, False, "uid")
    with pytest.raises(Refused):
        await mbp.post("arthur", "@all more", word=word(mbp, anna, "@all more"))


async def test_an_order_survives_a_restart(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "bot")
        one = word(host, founder(home.path), "@bot stop")
        await host.post("arthur", "@bot stop", word=one)
    async with running(home) as host:
        (shown,) = await host.inbox("bot")
        assert (shown["operator"], shown["order"]) == ("founder", True)
        await host.node.orders.settle()
        (order,) = await host.service.orders(await host.as_("bot"), limit=5)
        assert [(one["agent"], one["state"]) for one in order["agents"]] == [("bot@mbp", "seen")]


async def test_what_is_frozen_opens_no_channel(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    stop = freeze_statement(key, mbp.node.membership.book.colony, Target(ALL, name="all"), "", now())
    await mbp.node.membership.keep([stop])
    with pytest.raises(Refused) as refused:
        await mbp.service.add_channel(await mbp.as_("arthur"), "more")
    assert refused.value.code == "frozen"


async def test_an_operator_over_some_hosts_orders_agents_of_those_and_nobody_else(
    two: tuple[Host, Host, Signer],
) -> None:
    mbp, oracle, key = two
    book, aide = mbp.node.membership.book, Signer(os.urandom(32))
    grant = grant_statement(key, book.colony, aide.node, "aide", ["order"], None, [oracle.me], now())
    await mbp.node.membership.keep([grant])
    await until(lambda: grant.id in oracle.node.membership.book.statements(), "oracle heard of it")

    def signed(text: str, *targets: str) -> OperatorWord:
        return word(mbp, aide, text, targets)

    await mbp.send("arthur", "@neo@oracle", "stop", word=signed("stop", "neo@oracle"))
    (there,) = await arrived(oracle, "neo")
    assert (there["operator"], there["order"]) == ("aide", True)
    await oracle.service.answer_orders(await oracle.as_("neo"), [there["id"]], "obeyed", "")

    await mbp.add("morpheus")
    for target, to in (("morpheus@mbp", ["@morpheus"]), ("neo@oracle morpheus@mbp", ["@neo", "@morpheus"])):
        with pytest.raises(Refused, match="agents on oracle alone") as told:
            await mbp.service.post_direct(
                await mbp.as_("arthur"), to, "go", reply_to=None, idempotency_key=None,
                word=signed("go", *target.split()),
            )  # fmt: skip
        assert told.value.code == "not_over_all"
    with pytest.raises(Refused, match="nor to a channel"):
        await mbp.post("arthur", "@all go", word=signed("@all go", "#general"))

    # a host that does not refuse, and one that puts another name on a host of his: no reader takes either
    mbp.node.keeping.refuse = lambda agent, said: None  # type: ignore[method-assign]
    await mbp.post("arthur", "@all go", word=signed("@all go", "#general"))
    recipient = mbp.node.directory.recipient
    mbp.node.directory.recipient = lambda agent: recipient(agent)._replace(host="mbp")  # type: ignore[method-assign]
    await mbp.send("arthur", "@trinity", "go", word=signed("go", "trinity@mbp"))
    shown = [*await arrived(oracle, "neo", 2), *await arrived(oracle, "trinity", 2)]
    assert {(one["text"], one["operator"], one["order"]) for one in shown} == {
        ("stop", "aide", True), ("@all go", None, False), ("go", None, False)
    }  # fmt: skip
    orders = await mbp.service.orders(await mbp.as_("arthur"), limit=9)
    assert [one["message"]["text"] for one in orders] == ["stop"], "and nobody else counts them"
