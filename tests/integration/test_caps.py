"""A cap that is spent halts, and a human is told before: on a real node."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from maw.config import CostConfig
from maw.core.spending import DAY_MS, Run, Unknown
from maw.errors import BadInput, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, running
from tests.integration.test_hearing import hear, texts

DOLLAR = 1_000_000


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "neo")
        yield host


def configure(on: Host, **cost: Any) -> None:
    on.node.spending._config = replace(CostConfig(), **cost)
    on.node.spending.judge()


_RUNS = iter(range(1_000_000))


async def run(host: Host, name: str, **told: Any) -> Any:
    options = {"id": f"r{next(_RUNS)}", "kind": "pulse", "runner_ms": 1000, "input": 1, "usd": 0, **told}
    return await host.service.take_run(await host.as_(name), Run(**options))


async def refused(host: Host, name: str) -> str | None:
    """Why it may say nothing; None: it may."""
    try:
        await host.post(name, "hello")
    except Refused as error:
        assert error.code == "halted"
        return error.message
    return None


async def told(host: Host) -> set[tuple[str, str]]:
    """The alerts on what is spent; this machine may have others."""
    return {about for about in await host.alerts() if about[0] in ("cost", "halted")}


async def costs(host: Host) -> Any:
    return await host.service.costs(await host.owner(), agent=None, since=None, until=None, colony=False)


async def test_who_is_halted_speaks_by_no_card_either(host: Host) -> None:
    configure(host, agents={"arthur": {"usd": 0}})
    said = {"about": "halted but speaking"}
    arthur = await host.as_("arthur")
    # whoever he says he is: his own name, that of another, or none
    for speaker in (
        arthur,
        await host.as_("neo"),
        replace(arthur, agent=None, agent_key=None, is_admin=False),
    ):
        with pytest.raises(Refused) as refusal:
            await host.service.change_user(speaker, "arthur", said)
        assert refusal.value.code == "halted"
    assert (await host.service.change_user(await host.owner(), "arthur", said))["about"] == said["about"]
    assert (await host.service.change_user(await host.as_("neo"), "neo", {"about": "free"}))[
        "about"
    ] == "free"


async def test_an_agent_that_has_spent_its_cap_is_halted_and_others_go_on(host: Host) -> None:
    configure(host, agents={"arthur": {"usd": DOLLAR}})
    assert (await run(host, "arthur", usd=999_999))["halted"] is None
    assert await refused(host, "arthur") is None
    answer = await run(host, "arthur", usd=1)
    assert answer["halted"].startswith("halted: its $1.00 a day are spent; until ")
    why = await refused(host, "arthur")
    assert why == f"arthur is {answer['halted']}"
    with pytest.raises(Refused, match="halted"):
        await host.service.pulse(await host.as_("arthur"), None)
    assert await refused(host, "neo") is None
    found = await costs(host)
    assert [(one["agent"], one["why"]) for one in found["halted"]] == [("arthur", answer["halted"])]
    status = await host.service.status(await host.owner())
    assert status["halted"] == [f"arthur is {answer['halted']}"]
    assert status["cost"]["caps"] == [{"of": "arthur@mbp", "unit": "usd", "percent": 100}]
    assert status["cost"]["agents"]["arthur"]["usd"] == 1.0
    users = {one["username"]: one.get("halted") for one in await host.service.users(await host.owner())}
    assert (users["arthur"], users["neo"]) == (answer["halted"], None)
    assert [(cap["of"], cap["percent"], cap["source"]) for cap in found["caps"]] == [
        ("arthur@mbp", 100, "maw.toml")
    ]


async def test_who_is_halted_is_not_woken_until_a_human_resumes_it(host: Host) -> None:
    configure(host, agents={"arthur": {"runner_s": 1000}})
    await run(host, "arthur")
    await host.send("neo", "arthur", "wake up")
    waiting = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    with pytest.raises(Refused) as caught:
        await host.service.resume_costs(await host.as_("arthur"), "arthur")
    assert caught.value.code == "not_human"
    nobody = await host.service.speaker_for_uid(UID, None)
    for asks in (host.service.resume_costs(nobody, "arthur"), host.service.cap_costs(nobody, "arthur", {})):
        with pytest.raises(BadInput) as unsaid:  # who administers, and says not that it is he
            await asks
        assert nobody.is_admin and unsaid.value.code == "no_agent"
    answer = await host.service.resume_costs(await host.owner(), "arthur")
    assert answer["halted"] == []
    assert texts(await asyncio.wait_for(waiting, 30)) == ["wake up"]
    await run(host, "arthur")
    assert await refused(host, "arthur") is not None, "what was resumed is a cap again"


async def test_a_human_is_told_at_80_percent_once_a_day_and_when_it_is_spent(host: Host) -> None:
    configure(host, agents={"arthur": {"usd": DOLLAR}})
    await run(host, "arthur", usd=700_000)
    await host.node.spending.keep()
    assert await told(host) == set()
    for _ in range(4):
        await run(host, "arthur", usd=40_000)
        await host.node.spending.keep()
    near = (await host.alerts())["cost", "arthur@mbp usd"]
    assert near["count"] == 1
    assert "arthur@mbp has spent 82 % of $1.00 a day" in near["text"]
    await run(host, "arthur", usd=DOLLAR)
    await host.node.spending.keep()
    alerts = await host.alerts()
    assert ("cost", "arthur@mbp usd") not in alerts
    assert "maw cost resume arthur" in alerts["halted", "arthur@mbp usd"]["text"]
    await host.service.cap_costs(await host.owner(), "arthur", {"usd": None})
    configure(host)
    await host.node.spending.keep()
    assert await told(host) == set()


async def test_the_host_halts_all_its_agents_and_no_human(host: Host) -> None:
    configure(host, host={"tokens": 100})
    await run(host, "arthur", input=60, output=39)
    assert await refused(host, "neo") is None
    await run(host, "neo", cache=1, input=0)
    for name in ("arthur", "neo"):
        why = await refused(host, name)
        assert why is not None and "this host's 100 tokens a day are spent" in why
    await host.node.spending.keep()
    assert ("halted", "mbp tokens") in await host.alerts()
    await host.node.herald.keep()
    await host.service.resume_costs(await host.owner(), None)
    assert await refused(host, "arthur") is None


async def test_what_no_runner_told_is_not_free(host: Host) -> None:
    configure(host, each={"usd": DOLLAR})
    await run(host, "arthur", usd=None)
    why = await refused(host, "arthur")
    assert why is not None and "a run of its told no money" in why
    assert await refused(host, "neo") is None
    configure(host, each={"usd": DOLLAR}, unknown=Unknown(usd=400_000))
    assert await refused(host, "arthur") is None
    (cap, _) = (await costs(host))["caps"]
    assert (cap["spent"], cap["assumed"], cap["unknown_runs"]) == (0.4, 0.4, 0)
    await run(host, "arthur", usd=None)
    await run(host, "arthur", usd=None)
    assert await refused(host, "arthur") is not None


async def test_caps_by_command_count_beside_the_files(host: Host) -> None:
    configure(host, agents={"arthur": {"usd": DOLLAR}})
    await host.service.cap_costs(await host.owner(), "arthur", {"usd": 10 * DOLLAR, "tokens": 50})
    await run(host, "arthur", usd=DOLLAR)
    why = await refused(host, "arthur")
    assert why is not None and "$1.00" in why, "the tighter counts"
    with pytest.raises(BadInput):
        await host.service.cap_costs(await host.owner(), "arthur", {})


async def test_a_restart_and_a_clock_set_back_halt_as_before(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await host.service.cap_costs(await host.owner(), "arthur", {"usd": DOLLAR})
        await run(host, "arthur", usd=DOLLAR)
    async with running(home) as host:
        assert await refused(host, "arthur") is not None
        now = host.node.costs._now
        host.node.costs._now = lambda: now() - 2 * DAY_MS
        await host.node.spending.keep()
        assert await refused(host, "arthur") is not None
        host.node.costs._now = lambda: now() + DAY_MS
        await host.node.spending.keep()
        assert await refused(host, "arthur") is None, "the next day"
        assert (await costs(host))["caps"][0]["spent"] == 0


async def test_a_clock_that_was_ahead_is_told_of_and_a_human_puts_the_day_right(host: Host) -> None:
    configure(host, each={"usd": DOLLAR})
    costs_, now = host.node.costs, host.node.costs._now
    costs_._now = lambda: now() + 1000 * DAY_MS
    await run(host, "arthur", usd=DOLLAR)
    costs_._now = now
    await host.node.spending.keep()
    assert await refused(host, "arthur") is not None
    assert "maw cost resume --clock" in (await host.alerts())["cost", "mbp clock"]["text"]
    with pytest.raises(Refused):
        await host.service.resume_costs(await host.as_("neo"), None, clock=True)
    await host.service.resume_costs(await host.owner(), None, clock=True)
    assert await refused(host, "arthur") is None
    assert ("cost", "mbp clock") not in await host.alerts()
    assert (await run(host, "arthur", usd=1))["today"]["day"] == (await costs(host))["today"]


async def test_whose_session_tells_nobody_what_it_spends_is_named(host: Host) -> None:
    owner = await host.owner()
    assert (await costs(host))["unseen"] == []
    await host.service.enlist(owner, "neo", {"cwd": "/", "command": ["claude"]}, None)
    assert (await costs(host))["unseen"] == [], "nothing is capped"
    configure(host, each={"usd": DOLLAR})
    assert (await costs(host))["unseen"] == ["neo"]
    await host.service.enlist(owner, "arthur", {"exec": ["maw", "pulse", "arthur"]}, None)
    assert (await costs(host))["unseen"] == ["neo"], "whose pulses tell what they cost"


async def test_an_alert_of_runs_of_unknown_cost_goes_when_who_ran_them_is_resumed(host: Host) -> None:
    configure(host, host={"usd": DOLLAR})
    await run(host, "arthur", usd=None)
    await host.node.spending.keep()
    assert "maw cost resume AGENT" in (await host.alerts())["halted", "mbp usd"]["text"]
    assert await refused(host, "neo") is None
    await host.service.resume_costs(await host.owner(), "arthur")
    assert await refused(host, "arthur") is None
    assert await told(host) == set()


async def test_a_cap_on_nobody_is_told_of(host: Host) -> None:
    await host.service.add_user(await host.owner(), "critic", "agent", of="neo")
    configure(host, agents={"arthur": {"usd": DOLLAR}, "artur": {"usd": DOLLAR}, "critic": {"usd": DOLLAR}})
    await host.node.spending.keep()
    assert "caps artur, critic, and no agent" in (await host.alerts())["cost", "mbp caps"]["text"]
    configure(host, agents={"arthur": {"usd": DOLLAR}})
    await host.node.spending.keep()
    assert await told(host) == set()


async def test_damaged_rows_keep_no_node_from_starting_and_are_told_of(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo")
        for name in ("arthur", "neo"):
            await host.service.cap_costs(await host.owner(), name, {"usd": DOLLAR})
            await host.service.resume_costs(await host.owner(), name)
            await run(host, name, usd=DOLLAR)
        arthur = host.node.state.local["arthur"].id
    with closing(sqlite3.connect(home.database)) as conn:
        for table, column in (("caps", "amount"), ("resumed", "usd"), ("ledger", "input")):
            conn.execute(f"UPDATE {table} SET {column} = x'ff41' WHERE agent = ?", (arthur,))
        conn.execute("UPDATE ledger SET model = CAST(x'ff' AS TEXT) WHERE agent = ?", (arthur,))
        conn.commit()
    async with running(home) as host:
        assert "1 caps on costs" in (await host.alerts())["damaged", "mbp"]["text"]
        assert await refused(host, "neo") is not None
        assert (await costs(host))["total"]["usd"] == 2.0
