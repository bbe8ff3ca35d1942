"""Who is who: humans need an operator, roles are apart, names are not mistaken for others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from maw.api.backend import Json
from maw.core.identity import Signer
from maw.core.vouched import Vouched, read_vouched, vouch
from maw.errors import BadInput, NotFound, Refused
from maw.store import pages
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, acquainted, all_running, pair, running, until
from tests.integration.operators import founder, now


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("neo")
        yield one


async def user(host: Host, address: str) -> Json:
    return next(one for one in await host.node.people.listing(lambda _: True) if one["address"] == address)


def signed(host: Host, key: Signer, name: str = "anna", uid: int = UID, at_ms: int | None = None) -> Vouched:
    colony = host.node.membership.book.colony
    return read_vouched(vouch(key, colony, host.me, name, uid, now() if at_ms is None else at_ms).wire)


async def test_a_human_is_made_by_an_operator(host: Host) -> None:
    key = founder(host.node.home.path)
    made = await host.service.add_user(await host.owner(), "anna", "ape", vouched=signed(host, key))
    assert (made["role"], made["address"]) == ("ape", "anna@mbp")


@pytest.mark.parametrize(
    "why", ["nobody", "a stranger", "another name", "another uid", "long ago", "another host"]
)
async def test_nobody_else_makes_a_human(why: str, host: Host) -> None:
    key = founder(host.node.home.path)
    word = {
        "nobody": None,
        "a stranger": signed(host, Signer(bytes(32))),
        "another name": signed(host, key, "bert"),
        "another uid": signed(host, key, uid=UID + 1),
        "long ago": signed(host, key, at_ms=now() - 3_600_000),
        "another host": vouch(
            key, host.node.membership.book.colony, Signer(bytes(32)).node, "anna", UID, now()
        ),
    }[why]
    with pytest.raises(Refused) as refused:
        await host.service.add_user(await host.owner(), "anna", "ape", vouched=word)
    assert refused.value.code == "ape_needs_operator"


@pytest.mark.parametrize("name", ["0perator", "syst3m", "a11", "sys-tem"])
async def test_nobody_is_called_like_an_authority(name: str, host: Host) -> None:
    with pytest.raises(BadInput) as refused:
        await host.service.add_user(await host.owner(), name, "agent")
    assert refused.value.code == "lookalike"


async def test_who_looks_like_another_is_told_of(host: Host) -> None:
    made = await host.service.add_user(await host.owner(), "ne0", "agent")
    assert made["warnings"] == ["ne0 looks like neo@mbp: readers may take one for the other"]


async def test_a_role_speaks_apart_and_is_shown_as_whose_it_is(host: Host) -> None:
    owner = await host.owner()
    token = await host.service.new_token(owner, "neo")
    made = await host.service.add_user(owner, "boonkeeper", "agent", of="neo")
    assert (made["of"], made["uid"]) == ("neo", UID)
    for speaker in (await host.as_("boonkeeper"), await host.service.speaker_for_token(token, "boonkeeper")):
        sent = await host.service.post_channel(
            speaker, "general", "boons!", reply_to=None, idempotency_key=None
        )
        assert (sent["message"]["author"], sent["message"]["of"]) == ("boonkeeper@mbp", "neo")
    assert (await host.service.speaker_for_token(token, "owner")).agent == "neo@mbp"  # no role of his

    await host.service.post_direct(owner, ["boonkeeper"], "a boon", reply_to=None, idempotency_key=None)
    assert [one["text"] for one in await host.inbox("boonkeeper")] == ["a boon"]
    assert await host.inbox("neo") == [] == await host.inbox("owner")
    assert await host.service.roles_waiting(await host.as_("neo")) == {"boonkeeper": 1}
    assert await host.service.roles_waiting(await host.as_("boonkeeper")) == {}


async def test_no_role_of_a_human_or_a_role_or_of_nobody(host: Host) -> None:
    owner = await host.owner()
    await host.service.add_user(owner, "boonkeeper", "agent", of="neo")
    for of, code in (("owner", "no_role_of_ape"), ("boonkeeper", "role_of_role")):
        with pytest.raises(Refused) as refused:
            await host.service.add_user(owner, "judge", "agent", of=of)
        assert refused.value.code == code
    with pytest.raises(NotFound):
        await host.service.add_user(owner, "judge", "agent", of="nobody")
    with pytest.raises(Refused, match="belongs to uid"):
        await host.service.add_user(owner, "judge", "agent", of="neo", uid=UID + 1)


async def test_who_has_roles_is_not_removed_before_them(host: Host) -> None:
    owner = await host.owner()
    await host.service.add_user(owner, "boonkeeper", "agent", of="neo")
    with pytest.raises(Refused, match="speaks as boonkeeper too"):
        await host.service.remove_user(owner, "neo")
    await host.service.remove_user(owner, "boonkeeper")
    await host.service.remove_user(owner, "neo")


async def test_what_is_said_of_an_agent_is_known_everywhere_and_after_a_restart(make_home: MakeHome) -> None:
    home = make_home("mbp")
    told = {"about": "keeps boons", "pulse_s": 1800, "roles": ["reviewer", "judge"]}
    async with all_running(home, make_home("pi")) as (mbp, pi):
        await mbp.add("neo")
        await pi.add("ne0")
        await mbp.service.change_user(await mbp.as_("neo"), "neo", told)
        with pytest.raises(BadInput) as stopped:
            await mbp.service.change_user(
                await mbp.as_("neo"), "neo", {"about": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}
            )
        assert stopped.value.code == "credential"
        await mbp.service.add_user(await mbp.owner(), "keeper", "agent", of="neo")
        await pair(mbp, pi)
        await acquainted(mbp, pi)
        await until(lambda: any(r.name == "keeper" for r in pi.node.directory.agents()), "pi knows keeper")
        neo = await user(pi, "neo@mbp")
        assert {key: neo[key] for key in told} == told
        assert neo["looks_like"] == "ne0" and (await user(pi, "ne0@pi"))["looks_like"] is None
        assert (await user(pi, "keeper@mbp"))["of"] == "neo"
        stranger = replace(await pi.as_("ne0"), is_admin=False, uid=UID + 1, agent_key=bytes(16))
        with pytest.raises(Refused):
            await pi.service.change_user(stranger, "ne0", {"about": "not his to say"})
    async with running(home) as mbp:
        neo = await user(mbp, "neo@mbp")
        assert {key: neo[key] for key in told} == told


async def test_the_last_message_that_was_seen_is_known(host: Host) -> None:
    owner = await host.owner()
    await host.service.post_direct(owner, ["neo"], "one", reply_to=None, idempotency_key=None)
    assert await pages.last_seen(host.node.db) == {}
    await host.service.ack(await host.as_("neo"), None)
    assert (await user(host, "neo@mbp"))["last_seen_seq"] == host.node.state.seq
