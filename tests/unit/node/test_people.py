"""The agents of a host: one of a name, tokens that end with the next, gone when removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from maw.errors import BadInput, Conflict, NotFound, NotSignedIn
from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, running


@pytest.fixture
def home(make_home: MakeHome) -> NodeHome:
    return make_home("mbp")


@pytest.fixture
async def host(home: NodeHome) -> AsyncIterator[Host]:
    async with running(home) as one:
        yield one


async def test_the_owner_is_an_ape_from_the_start(host: Host) -> None:
    (owner,) = await host.node.people.listing(lambda _: True)
    assert (owner["username"], owner["role"], owner["uid"]) == ("owner", "ape", UID)
    assert (owner["local"], owner["has_token"], owner["unread"], owner["status"]) == (
        True,
        False,
        0,
        "sleeping",
    )
    assert owner["address"] == "owner@mbp"


async def test_the_owner_who_was_removed_is_not_made_again(home: NodeHome) -> None:
    async with running(home) as host:
        await host.node.people.remove("owner")
    async with running(home) as host:
        assert await host.node.people.listing(lambda _: True) == []


async def test_added_twice_at_once_there_is_one(host: Host) -> None:
    done = await asyncio.gather(
        *(host.node.people.add(name, "agent", UID) for name in ("bot", "bot", "Bot", "other")),
        return_exceptions=True,
    )
    assert [isinstance(item, Conflict) for item in done] == [False, True, True, False]
    names = [user["username"] for user in await host.node.people.listing(lambda _: True)]
    assert sorted(names) == ["bot", "other", "owner"]


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 33, "all", "Ä"])
async def test_names_that_cannot_be(host: Host, name: str) -> None:
    with pytest.raises(BadInput):
        await host.node.people.add(name, "agent", UID)


async def test_a_token_speaks_for_its_agent_until_the_next(host: Host) -> None:
    made = await host.service.add_user(await host.owner(), "bot", "agent", uid=None)
    assert (await host.service.speaker_for_token(made["token"])).agent == "bot@mbp"
    token = await host.service.new_token(await host.owner(), "bot")
    assert (await host.service.speaker_for_token(token)).agent == "bot@mbp"
    with pytest.raises(NotSignedIn):
        await host.service.speaker_for_token(made["token"])
    with pytest.raises(NotFound):
        await host.service.new_token(await host.owner(), "nobody")
    stored = await host.node.db.rows("SELECT token_hash FROM local_agents WHERE token_hash IS NOT NULL")
    assert token.encode() not in stored[0][0]


async def test_tokens_survive_a_restart_and_a_rollback(home: NodeHome) -> None:
    async with running(home) as host:
        await host.add("bot")
        row = host.node.state.local["bot"]
        token = await host.service.new_token(await host.owner(), "bot")
        await host.node._reread()
        assert host.node.state.local["bot"] is not row
        assert (await host.service.speaker_for_token(token)).agent == "bot@mbp"
    async with running(home) as host:
        assert (await host.service.speaker_for_token(token)).agent == "bot@mbp"


async def test_a_token_made_while_memory_is_reread_counts(host: Host) -> None:
    """A job in the same transaction fails, and every row is read anew before the token is applied."""
    await host.add("bot")

    async def broken(_: object) -> None:
        raise ValueError("a bug elsewhere")

    token, failed = await asyncio.gather(
        host.service.new_token(await host.owner(), "bot"), host.node.writer.submit(broken),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(failed, ValueError)
    assert isinstance(token, str)
    assert (await host.service.speaker_for_token(token)).agent == "bot@mbp"


async def test_the_removed_are_gone_and_their_name_is_free(host: Host) -> None:
    await host.add("bot")
    before = host.node.state.local["bot"].id
    await host.node.people.remove("bot")
    with pytest.raises(NotFound):
        await host.node.people.remove("bot")
    await host.add("bot")
    assert host.node.state.local["bot"].id != before, "another agent of the same name"


async def test_who_spoke_within_the_hour_is_alive(host: Host) -> None:
    await host.add("bot")
    await host.post("bot", "hi")
    status = {user["username"]: user["status"] for user in await host.node.people.listing(lambda _: True)}
    assert status == {"owner": "sleeping", "bot": "alive"}
    host.node.state.local["bot"].last_said = 0
    status = {user["username"]: user["status"] for user in await host.node.people.listing(lambda _: True)}
    assert status["bot"] == "sleeping"
