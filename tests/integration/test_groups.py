"""Groups: who is in them hears, how many is told, and who may speak to many."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace

import pytest

from maw.api.backend import Json
from maw.core.identity import Signer
from maw.errors import BadInput, NotFound, Refused
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, config_of, pair, running, until
from tests.integration.operators import arrived, founder, word


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("neo", "judge")
        yield one


async def post(host: Host, text: str, by: str = "neo", key: Signer | None = None) -> Json:
    """``key``: an operator's, who signs it."""
    signed = None if key is None else word(host, key, text)
    speaker = await host.as_(by)
    return await host.service.post_channel(
        speaker, "general", text, reply_to=None, idempotency_key=None, word=signed
    )


async def direct(host: Host, to: str, by: str = "neo") -> Json:
    speaker = await host.as_(by)
    return await host.service.post_direct(speaker, [to], "psst", reply_to=None, idempotency_key=None)


async def texts(host: Host, name: str) -> list[str]:
    return [one["text"] for one in await host.inbox(name)]


async def mentioned(host: Host, user: str) -> list[str]:
    page = await host.service.mentions_page(await host.owner(), user, after_seq=0, limit=50)
    return [one["text"] for one in page.items]


async def test_a_role_and_a_host_are_heard_of_on_every_host(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("pi")) as (mbp, pi):
        await mbp.add("neo")
        await pi.add("air", "other")
        await pi.service.change_user(await pi.as_("air"), "air", {"roles": ["reviewer"]})
        await pair(mbp, pi)
        await acquainted(mbp, pi)
        await until(lambda: len(mbp.node.crowds.members("role:reviewer")) == 1, "mbp knows the reviewer")
        first = await post(mbp, "@role:reviewer have a look")
        assert (first["reaches"], first["message"]["mentions"], first["warnings"]) == (1, [], [])
        second = await post(mbp, "all of @host:pi: goodbye")
        assert second["reaches"] == 3  # air, other and the owner
        (one, two) = await arrived(pi, "air", 2)
        assert [one["why"], two["why"]] == ["group", "group"]
        assert await texts(pi, "other") == ["all of @host:pi: goodbye"]
        assert await texts(mbp, "neo") == []
        for user in ("air", "role:reviewer", "@role:reviewer"):
            assert (await mentioned(pi, user))[0] == "@role:reviewer have a look"
        assert await mentioned(mbp, "air@pi") == await mentioned(pi, "air")
        assert await mentioned(pi, "host:pi") == ["all of @host:pi: goodbye"]

        told = await direct(mbp, "@role:reviewer")
        assert (told["reaches"], told["message"]["to"]) == (1, ["air@pi"])
        with pytest.raises(NotFound, match="nobody else is in @role:judge"):
            await direct(mbp, "@role:judge")


async def test_one_who_comes_later_finds_what_was_for_the_role_that_he_is(host: Host) -> None:
    sent = await post(host, "@role:boonkeeper: two boons")
    assert (sent["reaches"], sent["warnings"]) == (0, ["nobody is in @role:boonkeeper yet"])
    await host.service.add_user(await host.owner(), "boonkeeper", "agent", of="neo")
    assert await texts(host, "boonkeeper") == ["@role:boonkeeper: two boons"]
    assert await mentioned(host, "boonkeeper") == ["@role:boonkeeper: two boons"]


@pytest.fixture
async def small(make_home: MakeHome) -> AsyncIterator[Host]:
    """A host where two are a crowd."""
    home = make_home("mbp")
    config = config_of(home)
    async with running(home, config=replace(config, limits=replace(config.limits, crowd=1))) as one:
        await one.add("neo", "judge")
        yield one


@pytest.mark.parametrize("text", ["@all listen", "@role:agent @judge", "@host:mbp x"])
async def test_who_names_many_needs_a_right(text: str, small: Host) -> None:
    await small.service.add_user(await small.owner(), "third", "agent")
    with pytest.raises(Refused, match=r"would reach [23] agents") as refused:
        await post(small, text)
    assert refused.value.code == "crowd" and "crowd=on" in refused.value.hint
    assert await texts(small, "judge") == []

    not_admin = replace(await small.as_("neo"), is_admin=False)
    with pytest.raises(Refused) as denied:
        await small.service.change_user(not_admin, "neo", {"crowd": True})
    assert denied.value.code == "not_admin"
    await small.service.change_user(await small.owner(), "neo", {"crowd": True})
    assert (await post(small, text))["reaches"] in (2, 3)
    await small.node.state.reload(small.node.db.writing)
    assert small.node.state.local["neo"].crowd is True


async def test_named_one_by_one_many_are_no_crowd(small: Host) -> None:
    assert (await post(small, "@judge @owner"))["reaches"] == 2


async def test_a_direct_message_to_many_needs_the_right_too(small: Host) -> None:
    await small.service.add_user(await small.owner(), "third", "agent")
    with pytest.raises(Refused) as refused:
        await direct(small, "role:agent")
    assert refused.value.code == "crowd"


async def test_an_operator_needs_no_right_and_signs_no_such_group(small: Host) -> None:
    await small.service.add_user(await small.owner(), "third", "agent")
    key = founder(small.node.home.path)
    assert (await post(small, "@all stop", key=key))["reaches"] == 3
    with pytest.raises(BadInput, match="is not signed"):
        await post(small, "@role:agent stop", key=key)


async def test_what_was_for_a_group_is_no_damage_and_goes_with_its_text(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo", "judge")
        sent = await post(host, "@role:agent a secret")
        assert await texts(host, "judge") == ["@role:agent a secret"]
        await post(host, "@role:agent the rest, @judge")
        await host.service.redact(await host.as_("neo"), [sent["id"]], None)
        rows = await host.node.db.rows("SELECT DISTINCT word FROM mentions WHERE seq = ?", (sent["seq"],))
        assert rows == []
    with closing(sqlite3.connect(home.database)) as conn:
        assert verify_database(conn, me=host.me).findings == []
        conn.execute("DELETE FROM mentions WHERE word LIKE '%:%'")  # as who knew no groups took it in
        conn.commit()
        assert verify_database(conn, me=host.me).findings == []
