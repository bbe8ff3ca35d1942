"""Words taken back: on every host, now or when it returns; what is withheld is told apart and fetched."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from maw.core.entry import Position
from maw.core.identity import NodeId, short_key
from maw.errors import BadInput, NotFound, Refused
from maw.node import authoring, redacting
from maw.store.redacting import DROP_A_STEP
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, acquainted, all_running, pair, running, until


async def redact(host: Host, name: str, *refs: str, reason: str | None = None) -> Any:
    return await host.service.redact(await host.as_(name), list(refs), reason)


async def payloads(host: Host, *, none: bool) -> int:
    rows = await host.node.db.rows(
        f"SELECT count(*) FROM entries WHERE payload IS {'' if none else 'NOT'} NULL"
    )
    return int(rows[0][0])


async def text_of(host: Host, name: str, ref: str) -> dict[str, Any]:
    return await host.service.message(await host.as_(name), ref)


async def gone_from(host: Host, name: str, ref: str) -> None:
    """Waits until ``name`` on ``host`` sees the message as redacted."""
    async with asyncio.timeout(10):
        while "redacted" not in await text_of(host, name, ref):
            await asyncio.sleep(0.01)


async def forget_payload(host: Host, author: NodeId, ref: str) -> Position:
    """Take the payload out of a replica without a rule: what a relay that withholds looks like."""
    position = host.node.directory.position(ref)
    place = host.node.state.logs[author, position.epoch].place(position.seq)
    await host.node.db.writing.execute("UPDATE entries SET payload = NULL WHERE place = ?", (place,))
    return position


async def test_a_redaction_takes_the_text_away_on_every_host_at_once(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        await mbp.add("arthur")
        await oracle.add("neo")
        await acquainted(mbp, oracle)
        said = await mbp.post("arthur", "the pin is 4711 @neo")
        direct = await mbp.send("arthur", "neo@oracle", "4712")
        await oracle.receives("neo", ["the pin is 4711 @neo", "4712"])
        answer = await oracle.post("neo", "what pin?", reply_to=said["id"])

        done = await redact(mbp, "arthur", said["id"], direct["id"], reason="a secret")
        assert done == {"redacted": [said["id"], direct["id"]], "already": []}
        for host, name in ((mbp, "arthur"), (oracle, "neo")):
            for ref in (said["id"], direct["id"]):
                await gone_from(host, name, ref)
                shown = await text_of(host, name, ref)
                gone = shown["redacted"]
                assert (gone["why"], gone["by"], gone["reason"]) == ("redacted", "arthur@mbp", "a secret")
                assert shown["text"].startswith("[redacted by arthur@mbp at 20")
                assert (shown["author"], shown["mentions"]) == ("arthur@mbp", [])
        await until(lambda: mbp.held() == oracle.held(), "they hold the same")
        assert [item["id"] for item in (await text_of(mbp, "arthur", said["id"]))["thread"]] == [answer["id"]]
        mail = await oracle.inbox("neo")
        assert [item["id"] for item in mail] == [said["id"], direct["id"]]
        assert all("redacted" in item for item in mail)
        assert await oracle.node.db.rows("SELECT * FROM mentions") == []
        for host in (mbp, oracle):
            with closing(sqlite3.connect(f"file:{host.node.db.path}?mode=ro", uri=True)) as conn:
                report = verify_database(conn, me=host.me)
            assert report.sound, report.findings
        again = await redact(mbp, "arthur", said["id"])
        assert again == {"redacted": [], "already": [said["id"]]}
        assert not await oracle.alerts()


async def test_a_host_that_was_away_drops_it_when_it_returns(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with running(homes[0]) as mbp:
        await mbp.add("arthur")
        async with running(homes[1]) as oracle:
            await pair(mbp, oracle)
            await oracle.add("neo")
            said = await mbp.post("arthur", "soon gone")
            await until(lambda: oracle.held() == mbp.held(), "oracle holds it")
        await redact(mbp, "arthur", said["id"])
        async with running(homes[1]) as oracle:
            assert "redacted" not in await text_of(oracle, "neo", said["id"]) or oracle.linked(mbp)
            await gone_from(oracle, "neo", said["id"])


async def test_who_never_saw_it_gets_the_chain_and_the_rule_and_no_alarm(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp, running(make_home("oracle")) as oracle:
        await mbp.add("arthur")
        await pair(mbp, oracle)
        said = await mbp.post("arthur", "before anybody came")
        kept = await mbp.post("arthur", "this stays")
        await redact(mbp, "arthur", said["id"])
        async with running(make_home("late")) as late:
            await pair(mbp, late)
            await until(lambda: late.held().items() >= mbp.held().items(), "late holds all of mbp's log")
            await late.add("neo")
            assert await late.channel() == ["this stays"]
            with pytest.raises(NotFound, match="redacted by arthur@mbp"):
                await text_of(late, "neo", said["id"])
            assert (await text_of(late, "neo", kept["id"]))["text"] == "this stays"
            assert await late.node.db.rows("SELECT * FROM missing") == []
            assert late.node.runtime.held.incomplete() == {}


async def test_a_relay_that_withholds_is_named_and_another_link_gives_the_payload(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.mending.GRACE_S", 0.5)
    monkeypatch.setattr("maw.core.mending.REST_S", 2.0)
    homes = {name: make_home(name) for name in ("mbp", "relay", "oracle")}
    async with running(homes["relay"]) as relay:
        async with running(homes["mbp"]) as mbp:
            await pair(relay, mbp)
            await mbp.add("arthur")
            said = await mbp.post("arthur", "the one that is withheld")
            await mbp.post("arthur", "and one that is not")
            await until(lambda: relay.held().items() >= mbp.held().items(), "relay holds mbp's log")
            me = mbp.me
            await forget_payload(relay, me, said["id"])
        async with running(homes["oracle"]) as oracle:
            await pair(relay, oracle)
            await until(lambda: me in oracle.node.runtime.held.authors(), "oracle knows mbp's log")
            await oracle.add("neo")
            alert = await oracle.alert("withholding")
            assert alert["subject"] == short_key(relay.me)
            assert "redact" in alert["text"]
            assert await oracle.channel() == ["and one that is not"]
            with pytest.raises(NotFound, match="without its text") as refused:
                await text_of(oracle, "neo", said["id"])
            assert refused.value.code == "payload_missing"
            epoch = oracle.node.directory.position(said["id"]).epoch
            held = oracle.node.runtime.held
            assert held.complete(me, epoch).seq < held.head(me, epoch).seq
            async with running(homes["mbp"]) as mbp:
                await until(lambda: mbp.linked(oracle), "mbp is back", 30)
                async with asyncio.timeout(10):
                    while len(await oracle.channel()) < 2:
                        await asyncio.sleep(0.02)
                assert await oracle.channel() == ["and one that is not", "the one that is withheld"]
                assert held.complete(me, epoch) == held.head(me, epoch)
                assert not any(kind == "withholding" for kind, _ in await oracle.alerts())


async def test_receipts_are_for_what_is_complete(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("relay")) as (mbp, relay):
        await pair(mbp, relay)
        await mbp.add("arthur")
        first = await mbp.post("arthur", "held")
        position = relay.node.directory.position  # by ids, as soon as it is there
        await until(lambda: relay.held().items() >= mbp.held().items(), "relay holds it")
        where = position(first["id"])
        assert relay.node.runtime.held.complete(where.author, where.epoch).seq >= where.seq
        assert mbp.node.receipts.has(relay.me, where.epoch, where.seq) or await replicated(mbp, first["id"])


async def replicated(host: Host, ref: str) -> bool:
    receipt = await host.service.wait_reached(ref, 5.0)
    return bool(receipt["state"] == "replicated")


async def test_nobody_takes_back_what_others_said(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        await mbp.add("arthur", "ford")
        await oracle.add("neo")
        mine, theirs = await mbp.post("arthur", "mine"), await oracle.post("neo", "theirs")
        await until(lambda: mbp.held() == oracle.held(), "they hold the same")
        with pytest.raises(Refused, match="another host") as refused:
            await redact(mbp, "arthur", theirs["id"])
        assert "neo@oracle" in refused.value.hint
        speaker = await mbp.as_("ford")
        plain = type(speaker)(speaker.agent, speaker.agent_key, "token", None, False)
        with pytest.raises(Refused, match="arthur@mbp's") as refused:
            await mbp.service.redact(plain, [mine["id"]], None)
        assert refused.value.code == "not_yours"
        with pytest.raises(Refused):
            await mbp.service.redact(plain, [mine["id"], theirs["id"]], None)
        with pytest.raises(NotFound):
            await redact(mbp, "arthur", "999999")
        with pytest.raises(BadInput, match="reason"):
            await redact(mbp, "arthur", mine["id"], reason="x" * 201)
        assert await mbp.channel() == ["mine", "theirs"]
        admin = type(speaker)(None, None, "uid", UID, True)
        await mbp.service.redact(admin, [mine["id"]], None)
        assert (await text_of(mbp, "arthur", mine["id"]))["redacted"]["by"] == "who administers mbp"


async def test_the_text_leaves_the_files_and_the_file_shrinks(make_home: MakeHome) -> None:
    home = make_home("mbp")
    secret = os.urandom(12).hex()
    async with running(home) as mbp:
        await mbp.add("arthur")
        said = []
        for number in range(60):
            text = f"{secret}-{number} " * (2000 if number % 3 else 20)
            said.append((await mbp.post("arthur", f"{text} @arthur-{number}"))["id"])
        files = [home.database, home.database.with_name(home.database.name + "-wal")]
        assert sum(secret.encode() in path.read_bytes() for path in files)
        size = await database_size(mbp)
        await redact(mbp, "arthur", *said)
        await until(lambda: not any(secret.encode() in path.read_bytes() for path in files), "it is gone", 15)
        async with asyncio.timeout(20):
            while await database_size(mbp) > size / 2:
                await asyncio.sleep(0.1)
        await until(lambda: home.database.stat().st_size < size / 2, "the file is small", 15)


async def database_size(host: Host) -> int:
    (pages,), (page_size,) = (*await host.node.db.rows("PRAGMA page_count"),), (4096,)
    return int(pages[0]) * page_size


async def test_a_channel_keeps_its_messages_so_long(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        await mbp.add("arthur")
        await oracle.add("neo")
        await acquainted(mbp, oracle)
        await mbp.service.add_channel(await mbp.as_("arthur"), "short")
        await until(lambda: "short" in oracle.node.state.channels, "oracle knows the channel")
        await mbp.post("arthur", "old of mbp @neo", "short")
        await oracle.post("neo", "old of oracle", "short")
        await oracle.post("neo", "elsewhere")
        await until(lambda: mbp.held() == oracle.held(), "they hold the same")
        real = authoring.wall_clock_ms
        monkeypatch.setattr(redacting, "wall_clock_ms", lambda: real() + 8 * 86_400_000)
        kept = await mbp.service.retain(await mbp.as_("arthur"), "short", 7)
        assert (kept["keep_days"], kept["for"]) == (7, "everybody")
        oracle.node.redacting._seconds = 0
        for host in (mbp, oracle):
            async with asyncio.timeout(10):
                while set(await host.channel("short")) != {"[expired: kept 7 days]"}:
                    host.node.redacting._seconds = 0
                    await asyncio.sleep(0.05)
        assert await mbp.channel() == ["elsewhere"]
        assert await oracle.inbox("neo") == [], "what expired is no mail any more"


async def test_many_expire_a_step_at_a_time(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("arthur")
        await mbp.service.add_channel(await mbp.as_("arthur"), "short")
        count = 3 * DROP_A_STEP
        await asyncio.gather(*(mbp.post("arthur", f"m{n}", "short") for n in range(count)))
        real = authoring.wall_clock_ms
        monkeypatch.setattr(redacting, "wall_clock_ms", lambda: real() + 3 * 86_400_000)
        await mbp.service.retain(await mbp.as_("arthur"), "short", 2)
        async with asyncio.timeout(15):
            while await payloads(mbp, none=True) < count:
                await asyncio.sleep(0.05)
        rules = await mbp.node.db.rows("SELECT count(*) FROM redactions")
        assert rules[0][0] < 20, "what lies together is one range"
