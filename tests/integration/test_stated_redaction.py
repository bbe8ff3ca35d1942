"""What an operator redacts is gone on every host, whoever said it; what anybody else states is nobody's business."""

from __future__ import annotations

import asyncio
import base64

import msgpack
import pytest

from maw.core.authority import ORDER, REDACTING, grant_statement
from maw.core.identity import Signer, key_text
from maw.core.redaction import REDACT, redaction_statement
from maw.core.statement import Statement, sign_statement
from maw.errors import BadInput, NotFound, Refused
from maw.node.home import NodeHome, read_key
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, pair, running, until
from tests.integration.operators import founder, now, say, two_hosts
from tests.integration.test_redaction import gone_from, text_of


async def drafted(host: Host, key: Signer, *ids: str, why: str = "a secret") -> Statement:
    """As `maw redact --operator` does it."""
    draft = await host.node.command.draft(REDACT, key_text(key.node), {"ids": list(ids), "why": why})
    fields = msgpack.unpackb(base64.b64decode(draft["fields"]))
    return sign_statement(key, REDACT, base64.b64decode(draft["colony"]), draft["at_ms"], fields)


async def test_an_operator_takes_away_what_anybody_said(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, boss):
        said = await oracle.post("neo", "the pin is 4711 @arthur")
        kept = await oracle.post("neo", "this stays")
        direct = await oracle.send("neo", "arthur@mbp", "4712")
        await mbp.receives("arthur", ["the pin is 4711 @arthur", "4712"])

        statement = await drafted(mbp, boss, said["id"], direct["id"])
        shown = await mbp.node.command.submit(statement.wire)
        assert shown["in_force"]
        for host, name in ((mbp, "arthur"), (oracle, "neo")):
            for ref in (said["id"], direct["id"]):
                await gone_from(host, name, ref)
            gone = (await text_of(host, name, said["id"]))["redacted"]
            assert (gone["why"], gone["by"], gone["reason"]) == ("redacted", "operator founder", "a secret")
            assert await host.node.db.rows("SELECT * FROM mentions") == []
            assert await host.channel() == [(await text_of(host, name, said["id"]))["text"], "this stays"]
        assert (await text_of(mbp, "arthur", kept["id"]))["text"] == "this stays"
        async with asyncio.timeout(10):
            while (await mbp.node.command.statements())[0]["kept_by"] != ["mbp", "oracle"]:
                await asyncio.sleep(0.05)
        assert (
            "2 messages of oracle are redacted: a secret" in (await mbp.node.command.statements())[0]["about"]
        )
        again = await oracle.service.redact(await oracle.as_("neo"), [said["id"]], None)
        assert again == {"redacted": [], "already": [said["id"]]}
        assert not await mbp.alerts()
        assert not await oracle.alerts()


async def test_nobody_else_can(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, boss):
        said = await oracle.post("neo", "stays")
        await until(lambda: mbp.held() == oracle.held(), "they hold the same")
        where = mbp.node.directory.position(said["id"])
        colony = mbp.node.membership.book.colony
        orderer, stranger = Signer(b"o" * 32), Signer(b"s" * 32)
        await say(
            mbp,
            grant_statement(boss, colony, orderer.node, "o", [ORDER], None, [], now()),
            oracle,
        )
        for key in (orderer, stranger, read_key(mbp.node.home.key)):
            with pytest.raises(Refused, match="no right to redact"):
                await drafted(mbp, key, said["id"])

        def forged(key: Signer) -> Statement:
            return redaction_statement(
                key, colony, where.author, where.epoch, [(where.seq, where.seq)], "", now()
            )

        with pytest.raises(Refused):
            await mbp.node.command.submit(forged(stranger).wire)
        for key in (
            orderer,
            read_key(mbp.node.home.key),
            read_key(oracle.node.home.key),
        ):  # known, so held; and they mean nothing
            await say(mbp, forged(key), oracle)
        for host in (mbp, oracle):
            assert await host.channel() == ["stays"]
            assert not host.node.membership.book.ruling.redactions
        for ids in ([], ["17"], [said["id"], "aaaaaa-1-1"]):
            with pytest.raises((BadInput, NotFound)):
                await drafted(mbp, boss, *ids)


async def test_it_holds_for_who_was_away_for_a_new_database_and_for_who_comes_later(
    make_home: MakeHome,
) -> None:
    homes = {name: make_home(name) for name in ("mbp", "oracle", "late")}
    async with running(homes["mbp"]) as mbp:
        await mbp.add("arthur")
        async with running(homes["oracle"]) as oracle:
            await pair(mbp, oracle)
            await oracle.add("neo")
            await acquainted(mbp, oracle)
            said = await oracle.post("neo", "soon gone")
            await oracle.post("neo", "stays")
            await until(lambda: mbp.held() == oracle.held(), "mbp holds it")
        key = founder(homes["mbp"].path)
        await mbp.node.command.submit((await drafted(mbp, key, said["id"])).wire)
        await gone_from(mbp, "arthur", said["id"])
        async with running(homes["oracle"]) as oracle:
            await gone_from(oracle, "neo", said["id"])
            async with running(homes["late"]) as late:
                await pair(mbp, late)
                await until(lambda: late.held().items() >= oracle.held().items(), "late holds neo's log")
                assert await late.channel() == ["stays"]
                async with asyncio.timeout(10):
                    while "redacted by operator founder" not in await refusal(late, said["id"]):
                        await asyncio.sleep(0.02)
                assert await late.node.db.rows("SELECT * FROM missing") == []
        lose_database(homes["oracle"])
        async with running(homes["oracle"]) as oracle:
            await until(lambda: oracle.held().items() >= mbp.held().items(), "its log came back", 20)
            assert await oracle.channel() == ["stays"]
            assert await oracle.node.db.rows("SELECT * FROM missing") == []


async def refusal(host: Host, ref: str) -> str:
    with pytest.raises(NotFound) as refused:
        await text_of(host, "~", ref)
    return refused.value.message


def lose_database(home: NodeHome) -> None:
    for path in home.path.glob("colony.db*"):
        path.unlink()


async def test_an_operator_who_was_given_the_right(make_home: MakeHome) -> None:
    """And only on the hosts for which he has it."""
    async with two_hosts(make_home, "neo") as (mbp, oracle, boss):
        theirs, ours = await oracle.post("neo", "theirs"), await mbp.post("arthur", "ours")
        await until(lambda: mbp.held() == oracle.held(), "they hold the same")
        trinity = Signer(b"t" * 32)
        colony = mbp.node.membership.book.colony
        given = grant_statement(boss, colony, trinity.node, "trinity", [REDACTING], None, [oracle.me], now())
        await say(mbp, given, oracle)
        await say(oracle, await drafted(oracle, trinity, theirs["id"]), mbp)
        await gone_from(mbp, "arthur", theirs["id"])
        assert (await text_of(mbp, "arthur", theirs["id"]))["redacted"]["by"] == "operator trinity"
        with pytest.raises(Refused, match="no right to redact"):
            await drafted(oracle, trinity, ours["id"])


async def test_the_words_of_its_edits_go_with_a_message(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, key):
        neo = await oracle.as_("neo")
        said = await oracle.post("neo", "the pin is 4711")
        await oracle.service.edit(neo, said["id"], "the pin is 4712", idempotency_key=None)
        history = await oracle.service.history(neo, said["id"])
        ids = [one["id"] for one in history]
        assert len(set(ids)) == 2
        async with asyncio.timeout(30):
            while (await mbp.channel()) != ["the pin is 4712"]:
                await asyncio.sleep(0.02)
        await say(mbp, await drafted(mbp, key, *ids), oracle)
        for host, name in ((mbp, "arthur"), (oracle, "neo")):
            await gone_from(host, name, said["id"])
            sql = "SELECT count(*) FROM entries WHERE instr(payload, ?) > 0"
            assert (await host.node.db.rows(sql, (b"the pin is",)))[0][0] == 0
