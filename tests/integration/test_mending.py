"""Damaged rows are fetched from whoever has them whole, and nothing else is taken in their place."""

from __future__ import annotations

from maw.core.entry import Position, decode
from maw.node.mender import Outcome
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, pair, running, until

FLIP = "UPDATE entries SET {0} = CAST(substr({0}, 1, 40) || x'ff' || substr({0}, 42) AS BLOB) WHERE place = ?"


async def positions_of(host: Host, author: Host) -> dict[int, Position]:
    """place -> position of everything that ``author`` said in its newest epoch, on ``host``."""
    epoch, head = author.node.state.newest_epoch(author.me)
    log = host.node.state.logs[author.me, epoch]
    return {log.place(seq): Position(author.me, epoch, seq) for seq in range(1, head.seq + 1)}


async def rows(host: Host) -> list[tuple[object, ...]]:
    return await host.node.db.rows(
        "SELECT place, header, signature, payload, shown FROM entries ORDER BY place"
    )


async def test_damaged_rows_come_back_whole_and_stay_where_they_were(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        for number in range(8):
            await oracle.post(str((await oracle.owner()).agent).split("@")[0], f"m{number}")
        await until(lambda: mbp.held() == oracle.held(), "mbp holds all")
        before = await rows(mbp)
        places = await positions_of(mbp, oracle)
        *_, fourth, third, second, last = places
        conn = mbp.node.db.writing
        await conn.execute(FLIP.format("header"), (fourth,))
        await conn.execute(FLIP.format("payload"), (third,))
        await conn.execute("DELETE FROM entries WHERE place = ?", (second,))
        await conn.execute(FLIP.format("signature"), (last,))
        assert await rows(mbp) != before

        wanted = [places[place] for place in (fourth, third, second, last)]
        nowhere = places[last]._replace(seq=10_000)
        results = await mbp.node.mender.mend([*wanted, nowhere], timeout=5.0)
        assert results == {**dict.fromkeys(wanted, Outcome.MENDED), nowhere: Outcome.NOT_HERE}
        assert await rows(mbp) == before
        for _, header, signature, payload, _ in before:
            decode(header, signature, payload)


async def test_alone_it_is_said_that_nobody_has_it(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        places = await positions_of(mbp, mbp)
        await mbp.node.db.writing.execute("UPDATE entries SET payload = zeroblob(20)")
        results = await mbp.node.mender.mend(places.values(), timeout=5.0)
    *lower, top = places.values()
    assert results == {**dict.fromkeys(lower, Outcome.UNCHAINED), top: Outcome.NOWHERE}
