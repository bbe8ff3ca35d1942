"""Who is alive, sleeping or dead, known on every host."""

from __future__ import annotations

from maw.api.backend import Json
from maw.core.presence import HOUR_MS, MARGIN_MS, WEEK_MS
from maw.node.authoring import wall_clock_ms
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, until


def at(host: Host, ms: int) -> None:
    """The host's presences see this time."""
    host.node.presences._now = lambda: ms


async def user(host: Host, address: str) -> Json:
    return next(one for one in await host.node.people.listing(lambda _: True) if one["address"] == address)


async def test_another_host_knows_who_is_there_and_a_restart_does(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("pi")
    async with all_running(*homes) as (mbp, pi):
        await mbp.add("neo", "air")
        await pair(mbp, pi)
        await acquainted(mbp, pi)
        now = wall_clock_ms()
        assert [(await user(pi, name))["status"] for name in ("neo@mbp", "air@mbp")] == [
            "sleeping",
            "sleeping",
        ]
        told = await mbp.service.pulse(await mbp.as_("neo"), None)
        assert told["agent"] == "neo@mbp"
        head = mbp.node.state.newest_epoch(mbp.me)[1].seq
        await mbp.node.presences.keep()
        await mbp.node.presences.keep()
        assert mbp.node.state.newest_epoch(mbp.me)[1].seq == head + 1, "said once"
        neo = mbp.node.state.local["neo"]
        await until(
            lambda: any(row.id == neo.id and row.seen.pulsed for row in pi.node.directory.agents()), "told"
        )
        there = await user(pi, "neo@mbp")
        assert (there["status"], there["last_pulse_at"]) == ("alive", told["last_pulse_at"])
        assert (await user(pi, "air@mbp"))["status"] == "sleeping"

        at(pi, now + HOUR_MS + MARGIN_MS)  # nothing more came: its host may be gone
        assert (await user(pi, "neo@mbp"))["status"] == "sleeping"
        at(pi, now + HOUR_MS + WEEK_MS)
        assert [(await user(pi, name))["status"] for name in ("neo@mbp", "owner@mbp")] == ["dead", "sleeping"]
    async with running(homes[1]) as pi:
        there = await user(pi, "neo@mbp")
        assert (there["status"], there["last_pulse_at"]) == ("alive", told["last_pulse_at"])


async def test_what_an_agent_does_counts_and_talk_needs_no_word(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo", "air")
        owner = await host.owner()
        await host.service.post_direct(owner, ["neo"], "hello", reply_to=None, idempotency_key=None)
        assert (await user(host, "neo@mbp"))["status"] == "sleeping"
        head = host.node.state.newest_epoch(host.me)[1].seq
        await host.node.presences.keep()
        assert host.node.state.newest_epoch(host.me)[1].seq == head, "a message says it already"
        await host.service.ack(await host.as_("neo"), None)
        assert (await user(host, "neo@mbp"))["status"] == "alive"
        await host.node.presences.keep()
        assert host.node.state.local["neo"].seen.active is not None
        assert host.node.state.local["air"].seen.active is None


async def test_whom_his_keeper_gave_up_is_dead(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        neo = await host.as_("neo")
        await host.service.enlist(neo, "neo", {"session": "neo", "cwd": "/"}, None)
        await host.service.report(neo, "neo", {"state": "idle", "active": wall_clock_ms()}, None)
        assert (await user(host, "neo@mbp"))["status"] == "alive"
        await host.service.report(neo, "neo", {"state": "down", "given_up": "died 5 times in a row"}, None)
        await host.node.presences.keep()
        assert (await user(host, "neo@mbp"))["status"] == "dead"
        assert host.node.state.local["neo"].seen.down is True
