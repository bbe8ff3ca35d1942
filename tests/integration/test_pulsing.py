"""What a pulse learns of the daemon with one request: what waits, what of it begins a run, and what holds it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from maw.api.backend import Json
from maw.core.freezing import AGENT, Target, freeze_statement, thaw_statement
from maw.errors import Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running
from tests.integration.operators import founder, now, say


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("scout", "neo")
        yield host


async def pulse(host: Host, watch: tuple[str, ...] = (), trouble: str | None = None) -> Json:
    return await host.service.pulse(await host.as_("scout"), None, watch=watch, trouble=trouble)


async def waits(host: Host) -> tuple[int, int]:
    told = await pulse(host)
    return told["unread"], told["waking"]


async def test_nothing_waits(host: Host) -> None:
    told = await pulse(host)
    assert (told["unread"], told["waking"], told["roles"], told["held"]) == (0, 0, {}, None)


async def test_what_wakes_begins_a_run_and_an_inform_alone_does_not(host: Host) -> None:
    await host.send("neo", "scout", "deployed", intent="inform")
    await host.send("neo", "scout", "thanks", intent="ack")
    assert await waits(host) == (2, 0)
    await host.post("neo", "@scout look")
    assert await waits(host) == (3, 1)


async def test_informs_do_not_pile_up_for_ever(host: Host) -> None:
    for number in range(200):
        await host.send("neo", "scout", f"deployed {number}", intent="inform")
        assert number or await waits(host) == (1, 0)
    assert await waits(host) == (200, 1)


async def test_the_answer_to_an_ask_begins_a_run_and_what_is_said_to_that_does_not(host: Host) -> None:
    asked = await host.send("scout", "neo", "is it green?", intent="ask")
    told = await host.send("scout", "neo", "it is late", intent="inform")
    await host.send("neo", "scout", "I know", intent="inform", reply_to=told["id"])
    assert await waits(host) == (1, 0)
    await host.send("neo", "scout", "it is", intent="inform", reply_to=asked["id"])
    assert await waits(host) == (2, 1)


async def test_its_own_words_begin_none_as_whatever_role(host: Host) -> None:
    await host.service.add_user(await host.owner(), "books", "agent", uid=None, of="scout")
    await host.send("books", "scout", "the books are kept")
    await host.send("scout", "books", "keep them")
    told = await pulse(host)
    assert (told["unread"], told["waking"], told["roles"]) == (1, 0, {"books": 1})
    await host.send("neo", "books", "how many?")
    told = await pulse(host)
    assert (told["waking"], told["roles"]) == (1, {"books": 2})


async def test_watched_channels_begin_one_from_the_first_pulse_on(host: Host) -> None:
    await host.service.add_channel(await host.as_("neo"), "builds")
    await host.post("neo", "before", "builds")
    told = await pulse(host, ("builds", "#general", "no-such", "no name"))
    assert told["no_channel"] == ["no-such", "no name"]
    await host.post("neo", "red", "builds")
    assert await host.texts("scout") == ["red"]
    assert (await pulse(host, ("builds",)))["waking"] == 1
    await host.service.watch(await host.as_("scout"), "builds", True)
    await pulse(host, ("builds",))
    row = host.node.directory.channel("builds")
    scout = host.node.state.local["scout"]
    assert host.node.state.watchers[row.n][scout.n] is True, "what was asked for by hand stays"


async def test_who_is_frozen_is_told_why(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("scout")
        key, colony = founder(home.path), host.node.membership.book.colony
        target = Target(AGENT, host.node.me, host.node.directory.local("scout").id, name="scout@mbp")
        stop = freeze_statement(key, colony, target, "astray", now())
        await say(host, stop)
        told = await pulse(host, ("general",))
        assert told["held"]["code"] == "frozen" and "astray" in told["held"]["message"]
        with pytest.raises(Refused, match="astray"):
            await host.service.change_user(await host.as_("scout"), "scout", {"about": "frozen but speaking"})
        await say(host, thaw_statement(key, colony, [stop.id], now()))
        assert (await pulse(host))["held"] is None


async def test_a_human_learns_of_trouble_and_of_its_end(host: Host) -> None:
    await pulse(host, trouble="claude: there is no such program")
    alert = (await host.alerts())["pulse_failing", "scout@mbp"]
    assert "there is no such program" in alert["text"] and "maw pulse scout --now" in alert["text"]
    await pulse(host)
    assert ("pulse_failing", "scout@mbp") in await host.alerts()
    await pulse(host, trouble="")
    assert ("pulse_failing", "scout@mbp") not in await host.alerts()


async def run_of_scout(host: Host) -> bool:
    """One pulse: whether it began a run, of which everything is acknowledged then."""
    scout = await host.as_("scout")
    if not (await host.service.pulse(scout, None))["waking"]:
        return False
    await host.service.pulse(scout, 5, same=True)
    await host.service.ack(scout, None)
    return True


async def test_who_goes_on_and_on_begins_no_more_runs_than_the_wake_budget_has(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = time.time()
    monkeypatch.setattr(
        host.node.wakes, "_now", lambda: at
    )  # on a busy machine what is slowed may be due again
    await host.add("trin")
    runs = 0
    for number in range(16):
        await host.send("neo", "scout", f"and {number}?", intent="ask")
        runs += await run_of_scout(host)
    told = await pulse(host)
    assert runs == 12, "half of what one sender has in an hour is free"
    assert (told["unread"], told["waking"]) == (4, 0)
    assert told["over_budget"]["messages"] == 4 and "slowed: neo@mbp" in told["over_budget"]["why"]
    assert host.node.wakes.json(host.node.state.local["scout"])["used"] == 12

    await host.send(
        "trin", "scout", "and I?", intent="ask"
    )  # another's begins one, and takes along what waits
    assert await run_of_scout(host) and (await pulse(host))["unread"] == 0
    await host.send("neo", "scout", "again?", intent="ask")
    assert not await run_of_scout(host)
    await host.node.wakes.release(host.node.state.local["scout"], "arthur")
    assert await run_of_scout(host)


async def test_what_woke_it_already_is_not_paid_for_again(host: Host) -> None:
    scout, row = await host.as_("scout"), host.node.state.local["scout"]
    await host.send("neo", "scout", "are you there?", intent="ask")
    found = await host.service.hear(
        scout, "exec", wake=True, wait=30, session=None, limit=5, gone=lambda: False, slice_s=5.0
    )
    assert found is not None and host.node.wakes.json(row)["used"] == 1
    assert (await host.service.pulse(scout, 5))["waking"] == 1, "while the exec hook runs"
    await host.service.heard(scout, found["claim"], failed=None, renew=False)
    assert (await host.service.pulse(scout, 5))["waking"] == 1, "and afterwards"
    assert host.node.wakes.json(row)["used"] == 1
    await host.send("neo", "scout", "and now?", intent="ask")
    assert (await host.service.pulse(scout, 5))["waking"] == 2
    assert host.node.wakes.json(row)["used"] == 2
