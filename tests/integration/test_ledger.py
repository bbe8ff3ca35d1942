"""What the daemon counts by itself, and what every host knows of what the Colony costs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.core.ledger import MAX_ROWS, MAX_ROWS_A_DAY, Account, ledger_content
from maw.core.spending import Counts, Run
from maw.node.store import Store
from maw.node.tallies import SETTLED_MS
from maw.store.rederiving import Rederiving
from tests.conftest import MakeHome
from tests.integration.evil import evil_peer
from tests.integration.nodes import Host, all_running, pair, running, until
from tests.integration.test_caps import configure, refused
from tests.integration.test_once import lose_database

RUN = Run("r1", "pulse", 1500, "opus", 10, 20, 30, 12_300)


async def told(host: Host, *, colony: bool = True) -> Any:
    return await host.service.costs(await host.owner(), agent=None, since=None, until=None, colony=colony)


def by_agent(found: Any) -> dict[str, dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for line in found["items"]:
        mine = sums.setdefault(line["agent"], {})
        for name, value in line.items():
            if name not in ("day", "agent", "model"):
                mine[name] = mine.get(name, 0) + value
    return sums


async def say(host: Host) -> None:
    host.node.ledger.hurry()
    await host.node.ledger.keep()


async def count(host: Host) -> None:
    host.node.tallies._next = 0.0
    await host.node.tallies.keep()


async def test_messages_wakes_and_pulses_count_once(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo")
        await count(host)
        await host.post("arthur", "hello")
        await host.send("arthur", "neo", "and you")
        await host.service.pulse(await host.as_("neo"), None)
        await count(host)
        await count(host)
        found = by_agent(await told(host))
        assert {name: (sums["messages"], sums["pulses"]) for name, sums in found.items()} == {
            "arthur@mbp": (2, 0),
            "neo@mbp": (0, 1),
        }
        assert found["arthur@mbp"]["bytes"] > len("hello" + "and you") + 32
        await host.post("arthur", "while nobody counted")
    async with running(home) as host:
        await count(host)
        assert by_agent(await told(host))["arthur@mbp"]["messages"] == 3


async def test_wakes_are_read_off_once_they_are_settled(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur")
        await count(host)
        row = host.node.state.local["arthur"]
        await host.node.wakes.woken(row, "rewake", [])
        await host.node.wakes.release(row, "a human")
        await count(host)
        assert by_agent(await told(host)) == {}, "it may still be given back"
        now = host.node.tallies._now
        host.node.tallies._now = lambda: now() + SETTLED_MS + 1000
        await count(host)
        await count(host)
        assert by_agent(await told(host))["arthur@mbp"]["wakes"] == 1


async def test_every_host_knows_what_all_cost(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("pi")) as (mbp, pi):
        await mbp.add("neo")
        await pi.add("trin")
        await pair(mbp, pi)
        await mbp.service.take_run(await mbp.as_("neo"), RUN)
        await pi.service.take_run(await pi.as_("trin"), RUN)
        await say(mbp)
        await say(pi)
        await mbp.service.take_run(await mbp.as_("neo"), RUN._replace(id="r2"))
        head = mbp.node.state.newest_epoch(mbp.me)[1].seq
        await say(mbp)
        await say(mbp)
        assert mbp.node.state.newest_epoch(mbp.me)[1].seq == head + 1, "what is said is said once"

        async def knows(host: Host) -> dict[str, tuple[int, float]]:
            return {name: (sums["runs"], sums["usd"]) for name, sums in by_agent(await told(host)).items()}

        wanted = {"neo@mbp": (2, 0.0246), "trin@pi": (1, 0.0123)}
        for host in (mbp, pi):
            seen: dict[str, tuple[int, float]] = {}
            for _ in range(3000):
                if (seen := await knows(host)) == wanted:
                    break
                await host.node.visible.wait(host.node.visible.seq, 0.01)
            assert seen == wanted
        assert set(by_agent(await told(pi, colony=False))) == {"trin@pi"}


async def test_what_was_said_outlives_the_disk(make_home: MakeHome) -> None:
    """Its host has neither the day's money anew, nor counts twice what comes back."""
    homes = make_home("mbp"), make_home("pi")
    async with all_running(*homes) as (mbp, pi):
        await mbp.add("neo")
        await pair(mbp, pi)
        await mbp.service.take_run(await mbp.as_("neo"), RUN._replace(usd=900_000))
        await mbp.post("neo", "hello")
        await count(mbp)
        await say(mbp)
        epoch, head = mbp.node.state.newest_epoch(mbp.me)
        await until(lambda: pi.held().get((mbp.me, epoch), 0) >= head.seq, "the other has it")
    lose_database(homes[0])
    async with all_running(*homes) as (mbp, pi):
        await count(mbp)
        await until(lambda: "neo" in mbp.node.state.local, "its agent comes back")
        configure(mbp, each={"usd": 1_000_000})
        said = 0
        await mbp.service.take_run(await mbp.as_("neo"), RUN._replace(id="r2", usd=100_000))

        async def is_halted() -> bool:
            nonlocal said
            await mbp.node.spending.keep()
            why = await refused(mbp, "neo")
            said += why is None
            return why is not None

        for _ in range(3000):
            if await is_halted():
                break
            await mbp.node.visible.wait(mbp.node.visible.seq, 0.01)
        await count(mbp)
        sums = by_agent(await told(mbp))["neo@mbp"]
        assert (sums["usd"], sums["runs"]) == (1.0, 2)
        assert sums["messages"] == 1 + said, "what came back was counted when it was said"
        assert await is_halted()


async def test_a_table_that_was_lost_is_made_again_from_the_entries(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        await host.service.take_run(await host.as_("neo"), RUN)
        await say(host)
        me = host.me
    with closing(sqlite3.connect(home.database)) as conn:
        before = conn.execute("SELECT * FROM ledger").fetchall()
        conn.execute("DELETE FROM ledger")
        Rederiving(conn, me).run(())
        assert conn.execute("SELECT * FROM ledger").fetchall() == before != []
        Rederiving(conn, me).run(())
        assert conn.execute("SELECT * FROM ledger").fetchall() == before, "and not twice"


async def test_a_host_that_says_too_much_of_a_day_is_cut_short(make_home: MakeHome) -> None:
    """What it says beyond is neither kept nor summed up, and a human is told; its own agents' day counts as before."""
    async with running(make_home("mbp")) as host:
        await host.add("arthur")
        async with evil_peer(host) as evil:
            day = host.node.costs.day
            entries = [
                evil.author.say(
                    Kind.LEDGER,
                    ledger_content(
                        Account(day, (n * MAX_ROWS + k).to_bytes(16, "big"), 1, "", Counts(runs=1))
                        for k in range(MAX_ROWS)
                    ),
                )
                for n in range(MAX_ROWS_A_DAY // MAX_ROWS + 1)
            ]
            await evil.says(*entries)
            place = (evil.node.node, evil.author.epoch)
            await until(lambda: host.held().get(place, 0) >= entries[-1].seq, "all of it came")
            await host.node.spending.keep()
            (rows,) = await host.node.db.rows("SELECT count(*) FROM ledger")
            assert rows[0] == MAX_ROWS_A_DAY == host.node.costs.elsewhere.runs
            assert f"{MAX_ROWS_A_DAY} are kept" in next(
                alert["text"] for (kind, _), alert in (await host.alerts()).items() if kind == "accounts"
            )


async def test_the_day_goes_on_under_a_new_key(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        await host.service.take_run(await host.as_("neo"), RUN)
        costs, store = host.node.costs, host.node.state
        read = await host.node.writer.submit(costs.read_day)
        former = host.me
        other = NodeId(b"\x01" * 32)
        store.former_me = frozenset({former})
        costs._store = Store(other, host.node.db, store, host.node.writer)
        assert costs._ours() == {store.nodes[former].n}
        costs.took_day(read)
        assert (costs.of_host.runs, costs.elsewhere.runs) == (1, 0)
