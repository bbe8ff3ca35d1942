"""An agent that makes agents: only where the owner allows it, never without end, and everybody sees who made whom."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from maw.api.backend import Speaker
from maw.core.lineage import BirthRules, parse_born
from maw.errors import Conflict, MawError, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, config_of, running

RULES = BirthRules(by=("neo",), per_day=3, depth=2, most=8)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    home = make_home("mbp")
    async with running(home, config=replace(config_of(home), births=RULES)) as host:
        await host.add("neo", "trinity")
        yield host


async def speaks(host: Host, name: str, *, admin: bool = True) -> Speaker:
    return replace(await host.service.speaker_for_uid(os.getuid(), name), is_admin=admin)


async def bears(host: Host, mother: str, child: str, *, admin: bool = True) -> dict[str, object]:
    return await host.service.add_user(await speaks(host, mother, admin=admin), child, "agent")


async def born(host: Host) -> dict[str, object]:
    users = await host.service.users(await host.owner())
    return {one["username"]: one["born"] and (one["born"]["by"], one["born"]["generation"]) for one in users}


async def refusal(host: Host, mother: str, child: str, **more: bool) -> str:
    with pytest.raises(Refused) as refused:
        await bears(host, mother, child, **more)
    return refused.value.code


async def alerts(host: Host) -> list[str]:
    found = await host.node.alerts.recent(host.node.db, lambda at: at)
    return [one["text"] for one in found if one["kind"] == "birth_refused"]


async def test_who_made_whom(host: Host) -> None:
    await bears(host, "neo", "morpheus", admin=False)
    assert (await born(host))["morpheus"] == ("neo@mbp", 1)
    assert (await born(host))["neo"] is None
    await host.node.people.change(
        host.node.directory.local("morpheus"), about="of neo", pulse_s=None, roles=None
    )
    assert (await born(host))["morpheus"] == ("neo@mbp", 1), "what is said of it later changes no mother"
    await host.node.people.remove("neo")
    assert (await born(host))["morpheus"] == ("neo@mbp", 1), "not even that she is gone"


async def test_nobody_else(host: Host) -> None:
    assert await refusal(host, "trinity", "morpheus") == "no_births"
    assert await refusal(host, "trinity", "morpheus", admin=False) == "no_births"
    assert "trinity may not give birth" in (await alerts(host))[0]
    with pytest.raises(Refused, match="own Unix user"):
        other = await speaks(host, "neo", admin=False)
        await host.service.add_user(other, "morpheus", "agent", uid=os.getuid() + 1)
    nobody = replace(await host.owner(), agent=None, agent_key=None, is_admin=False)
    with pytest.raises(Refused) as refused:
        await host.service.add_user(nobody, "morpheus", "agent")
    assert refused.value.code == "not_admin"


async def test_a_bomb_of_births_at_once(host: Host) -> None:
    """Twenty at the same moment: three are made, the others refused and on record; none after a restart either."""
    ended = await asyncio.gather(*(bears(host, "neo", f"n{n}") for n in range(20)), return_exceptions=True)
    refused = [one for one in ended if isinstance(one, MawError)]
    assert {one.code for one in refused} == {"too_many_births"} and len(refused) == 17
    assert len(await alerts(host)) == 1
    (mine,) = [
        one for one in await host.node.alerts.recent(host.node.db, lambda at: at) if one["subject"] == "neo"
    ]
    assert mine["count"] == 17
    for n in range(3):
        await host.node.people.remove(f"n{n}")
    assert await refusal(host, "neo", "again") == "too_many_births", "who ends them has still made them"


async def test_one_name_over_and_over_is_many_births(host: Host) -> None:
    for _ in range(3):
        await bears(host, "neo", "kid")
        await host.node.people.remove("kid")
    assert await refusal(host, "neo", "kid") == "too_many_births"
    assert await refusal(host, "neo", "other") == "too_many_births"


async def test_the_host_is_full_for_everybody(host: Host) -> None:
    for n in range(6):
        await host.service.add_user(await host.owner(), f"n{n}", "agent")
    with pytest.raises(Refused) as refused:
        await host.service.add_user(await host.owner(), "n6", "agent")
    assert refused.value.code == "too_many_agents"
    assert await refusal(host, "neo", "n6") == "too_many_agents"


async def test_what_is_broken_off_counts_once(host: Host) -> None:
    for _ in range(5):
        told = await host.service.allow_birth(await speaks(host, "neo"), "scout", "vault")
    assert parse_born(told["born"]).generation == 1 and told["by"] == "neo@mbp"
    await host.service.allow_birth(await speaks(host, "neo"), "scout2", "vault")
    await host.service.allow_birth(await speaks(host, "neo"), "scout3", "vault")
    with pytest.raises(Refused):
        await host.service.allow_birth(await speaks(host, "neo"), "scout4", "vault")
    human = await host.service.allow_birth(await host.owner(), "scout4", "vault")
    assert human["born"] is None or parse_born(human["born"]).generation == 0


async def test_brought_from_another_host(host: Host) -> None:
    """Its card says who made it; a generation that is not so is refused, and what it may is not more than here."""
    mother = host.node.directory.local("neo")
    far = f"{'mk1' + 'x' * 5}"
    owner = await host.owner()
    nobody = replace(owner, agent=None, agent_key=None)
    ours = (await host.service.allow_birth(await speaks(host, "neo"), "scout", "mbp"))["born"]
    made = await host.service.add_user(nobody, "scout", "agent", born=ours)
    assert made["born"]["by"] == "neo@mbp" and mother.name == "neo"
    with pytest.raises(MawError):
        await host.service.add_user(nobody, "scout2", "agent", born=far)
    stranger = ours.replace(parse_born(ours).agent.hex(), "ab" * 16)
    made = await host.service.add_user(nobody, "scout2", "agent", born=stranger)
    assert made["born"] == {"by": None, "generation": 1, "id": stranger}
    with pytest.raises(Refused, match="generation 9"):
        await host.service.add_user(nobody, "scout3", "agent", born=stranger[:-1] + "9")


async def test_who_would_not_be_of_that_generation(host: Host) -> None:
    nobody = replace(await host.owner(), agent=None, agent_key=None)
    ours = (await host.service.allow_birth(await speaks(host, "neo"), "scout", "mbp"))["born"]
    from maw.node.births import Births

    births: Births = host.node.births
    with pytest.raises(Conflict):
        await births.take(parse_born(ours[:-1] + "2"), "scout")
    assert nobody.agent is None


async def test_while_all_is_frozen_nobody_is_born(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    from maw.core.freezing import ALL, Freeze, Freezes, Target

    all_of_it = Freezes([Freeze(b"f" * 32, host.node.me, Target(ALL, name="all"), "an incident", 1)])
    monkeypatch.setattr(host.node.births, "_freezes", lambda: all_of_it)
    assert await refusal(host, "neo", "morpheus") == "frozen"
    with pytest.raises(Refused):
        await host.service.add_user(await host.owner(), "morpheus", "agent")
    with pytest.raises(Refused):
        await host.service.allow_birth(await host.owner(), "scout", "vault")


async def test_it_is_kept(make_home: MakeHome) -> None:
    home = make_home("mbp")
    config = replace(config_of(home), births=RULES)
    async with running(home, config=config) as first:
        await first.add("neo")
        for n in range(3):
            await bears(first, "neo", f"n{n}")
    async with running(home, config=config) as again:
        assert (await born(again))["n0"] == ("neo@mbp", 1)
        assert await refusal(again, "neo", "n3") == "too_many_births"
