"""Attacks on operators' words: by members who sign what they like, and by the frozen."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import aiosqlite
import pytest

from maw.core.colony import Recipient, Said
from maw.core.entry import START, Entry, Kind, make, pack_payload
from maw.core.freezing import ALL, CHANNEL, NODE, Target, freeze_statement
from maw.core.heeding import MAX_ANSWERS, MAX_KEEPS, OBEYED, Answer, Heed
from maw.core.identity import Signer
from maw.core.revocation import revocation_statement
from maw.core.word import OperatorWord, sign_word
from maw.errors import Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, until
from tests.integration.operators import arrived, equals, now, two_hosts, until_true, word


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host, Signer]]:
    async with two_hosts(make_home, "neo", "trinity") as hosts:
        yield hosts


def entry_of(signer: Signer, colony: bytes, text: str, signed: OperatorWord) -> Entry:
    """A post by an agent of another member, signed as that one likes."""
    said = Said(b"x" * 16, "eve", "agent", "uid", text, (), channel="general", word=signed.content())
    return make(signer, colony, 1, START, 1 << 16, Kind.POST, pack_payload(bytes(16), said.content()))


async def folded(host: Host, entry: Entry) -> None:
    async def write(conn: aiosqlite.Connection) -> None:
        fold = host.node.folds.new(now())
        fold.add(entry)
        await fold.write(conn)

    await host.node.writer.submit(write, lambda _: host.node.visible.advance(host.node.state.seq))


async def test_nobody_uses_up_a_nonce_of_an_operator(two: tuple[Host, Host, Signer]) -> None:
    """Eve sees an order before others do, and says something of her own with its nonce, signed by her own key."""
    mbp, oracle, key = two
    order = word(mbp, key, "stop")
    eve = Signer(b"e" * 32)
    colony = oracle.node.membership.book.colony
    hers = sign_word(eve, colony, eve.node, order.at_ms, order.nonce, True, order.targets, "go on")
    await folded(oracle, entry_of(eve, colony, "go on", hers))
    await mbp.post("arthur", "stop", word=order)
    neo = await oracle.as_("neo")

    async def heard() -> bool:
        return bool(await oracle.service.orders(neo, limit=5))

    await until_true(heard, "the order is shown as one")
    (shown,) = await oracle.service.orders(neo, limit=5)
    assert (shown["message"]["text"], shown["message"]["operator"]) == ("stop", "founder")


async def test_what_looks_like_an_order_hides_none(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    await mbp.post("arthur", "stop", word=word(mbp, key, "stop"))
    colony = mbp.node.membership.book.colony
    for n in range(5):
        eve = Signer(bytes([100 + n]) * 32)
        hers = sign_word(eve, colony, eve.node, 1, bytes([n]) * 16, True, ("#general",), "go on")
        await folded(mbp, entry_of(eve, colony, "go on", hers))
    boss = await mbp.as_("arthur")
    assert [one["message"]["text"] for one in await mbp.service.orders(boss, limit=3)] == ["stop"]


async def test_strange_words_take_no_memory_without_end(
    two: tuple[Host, Host, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    mbp, _, key = two
    monkeypatch.setattr("maw.store.fold.MAX_STRANGE_WORDS", 2)
    colony = mbp.node.membership.book.colony
    for n in range(5):
        eve = Signer(bytes([100 + n]) * 32)
        hers = sign_word(eve, colony, eve.node, 1, bytes([n]) * 16, True, ("#general",), "go on")
        await folded(mbp, entry_of(eve, colony, "go on", hers))
    assert len(mbp.node.state.words) == 2
    sent = await mbp.post("arthur", "stop", word=word(mbp, key, "stop"))
    assert sent["message"]["operator"] == "founder"


async def test_the_frozen_say_nothing_in_notes_and_reasons(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    text = "@agents stop"
    sent = await mbp.post("arthur", text, word=word(mbp, key, text))
    (there,) = await arrived(oracle, "neo")
    said = await oracle.post("neo", "hello")
    colony = mbp.node.membership.book.colony
    freeze = freeze_statement(key, colony, Target(NODE, oracle.me, name="oracle"), "", now())
    for host in (mbp, oracle):
        await host.node.membership.keep([freeze])
    neo = await oracle.as_("neo")
    with pytest.raises(Refused) as refused:
        await oracle.service.answer_orders(neo, [there["id"]], "declined", "listen to me")
    assert refused.value.code == "frozen"
    with pytest.raises(Refused) as refused:
        await oracle.service.redact(neo, [said["id"]], "listen to me")
    assert refused.value.code == "frozen"
    await oracle.service.answer_orders(neo, [there["id"]], "obeyed", "")
    row = oracle.node.directory.find_agent("neo")
    await oracle.node.orders.answer(row, [there["id"]], "obeyed", "a host that runs other code")
    boss = await mbp.as_("arthur")

    async def answer() -> dict[str, str]:
        one = await mbp.service.order(boss, sent["id"])
        return {a["state"]: a["note"] for a in one["agents"] if a["agent"] == "neo@oracle"}

    await until_true(lambda: equals(answer, {"obeyed": ""}), "it is shown that neo obeyed, and no more")


async def test_only_what_is_in_force_is_told(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    colony = mbp.node.membership.book.colony
    void = freeze_statement(oracle.node.signer, colony, Target(ALL, name="all"), "", now())
    real = freeze_statement(key, colony, Target(CHANNEL, channel="noise", name="#noise"), "", now())
    await mbp.node.membership.keep([void, real])
    await mbp.node.keeping.settle()
    kept = {item for (item,) in await mbp.node.db.rows("SELECT statement FROM heeded")}
    assert real.id in kept
    assert void.id not in kept
    shown = {one["type"]: one for one in await mbp.node.command.statements() if one["in_force"]}
    assert shown["freeze"]["about"] == "#noise is frozen"


async def direct(host: Host, signed: OperatorWord, agent: str, name: str, at: str) -> Entry:
    """Eve, to whom an operator gave his word for ``name@at``, sends it to ``agent`` here."""
    row = host.node.directory.find_agent(agent)
    to = (Recipient(host.me, row.id, name, at),)
    said = Said(b"x" * 16, "eve", "agent", "uid", "stop", (), to=to, word=signed.content())
    eve = Signer(b"e" * 32)
    colony = host.node.membership.book.colony
    return make(eve, colony, 1, START, now() << 16, Kind.DIRECT, pack_payload(bytes(16), said.content()))


@pytest.mark.parametrize(
    ("name", "at", "operator"),
    [("arthur", "mbp", "founder"), ("arthur", "oracle", None), ("boss", "mbp", None)],
)
async def test_a_word_goes_to_nobody_else_of_that_name(
    two: tuple[Host, Host, Signer], name: str, at: str, operator: str | None
) -> None:
    mbp, _, key = two
    eve, colony = Signer(b"e" * 32), mbp.node.membership.book.colony
    signed = sign_word(key, colony, eve.node, now(), bytes(16), True, (f"{name}@{at}",), "stop")
    await folded(mbp, await direct(mbp, signed, "arthur", name, at))
    (there,) = await arrived(mbp, "arthur")
    assert there["operator"] == operator


async def test_a_word_is_not_kept_back_for_a_better_day_nor_put_below_another_question(
    two: tuple[Host, Host, Signer],
) -> None:
    mbp, _, key = two
    eve, colony = Signer(b"e" * 32), mbp.node.membership.book.colony
    for n, (age_ms, reply) in enumerate(((60_000, None), (2 * 86_400_000, None), (60_000, "aaaaaa-1-1"))):
        signed = sign_word(
            key, colony, eve.node, now() - age_ms, bytes([n]) * 16, True, ("#general",), "@all do it"
        )
        said = Said(
            b"x" * 16, "eve", "agent", "uid", "@all do it", ("all",), reply, "general", word=signed.content()
        )  # fmt: skip
        payload = pack_payload(bytes(16), said.content())
        await folded(mbp, make(eve, colony, n + 1, START, now() << 16, Kind.POST, payload))
    found = await arrived(mbp, "arthur", 3)
    assert [one["operator"] for one in found] == ["founder", None, None]


async def test_what_a_thief_answers_for_his_victim_s_agents_goes_with_him(
    two: tuple[Host, Host, Signer],
) -> None:
    mbp, oracle, key = two
    text = "@agents stop"
    sent = await mbp.post("arthur", text, word=word(mbp, key, text))
    boss = await mbp.as_("arthur")

    async def states() -> dict[str, str]:
        one = await mbp.service.order(boss, sent["id"])
        return {agent["agent"]: agent["state"] for agent in one["agents"]}

    (there,) = await arrived(oracle, "neo")
    await oracle.service.answer_orders(await oracle.as_("neo"), [there["id"]], "obeyed", "")
    await until_true(
        lambda: equals(states, {"neo@oracle": "obeyed", "trinity@oracle": "waiting"}), "it is heard"
    )
    cut = dict(mbp.node.runtime.held.of(oracle.me))
    await oracle.service.answer_orders(await oracle.as_("trinity"), [there["id"]], "obeyed", "by the thief")
    await until_true(
        lambda: equals(states, {"neo@oracle": "obeyed", "trinity@oracle": "obeyed"}), "so is this"
    )
    colony = mbp.node.membership.book.colony
    await mbp.node.membership.keep([revocation_statement(key, colony, oracle.me, cut, (), "stolen", now())])
    for _ in range(2):
        await mbp.node.keeping.settle()
        assert await states() == {"neo@oracle": "obeyed"}
        mbp.node.keeping.trust_changed()


async def test_answers_to_orders_that_nobody_gave_fill_no_disk(
    two: tuple[Host, Host, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few are kept, for an order may come after its answer; what answers a known order is not let go."""
    most = 50
    monkeypatch.setattr("maw.store.fold.MAX_EARLY_ANSWERS", most)
    mbp, oracle, key = two
    neo = oracle.node.state.local["neo"].id

    async def answers(*nonces: bytes) -> None:
        heed = Heed(answers=tuple(Answer(nonce, neo, OBEYED, "") for nonce in nonces))
        await oracle.node.authoring.say(Kind.HEED, heed.content())

    async def flood() -> None:
        for _ in range(3):
            await answers(*(os.urandom(16) for _ in range(MAX_ANSWERS)))
        await until(lambda: mbp.held() == oracle.held(), "mbp has taken it all")

    async def kept(host: Host) -> int:
        (row,) = await host.node.db.rows("SELECT count(*) FROM answers")
        return int(row[0])

    order = word(mbp, key, "@neo stop")
    await flood()
    await answers(order.nonce)
    sent = await mbp.post("arthur", "@neo stop", word=order)
    boss = await mbp.as_("arthur")

    async def obeyed() -> bool:
        return bool((await mbp.service.order(boss, sent["id"]))["agents"][0]["state"] == OBEYED)

    await until_true(obeyed, "an answer that came before its order is kept")
    await flood()
    assert await obeyed()
    assert await kept(mbp) == await kept(oracle) == most + 1
    assert "answers orders that nobody gave" in (await mbp.alert("answers"))["text"]
    plan = await mbp.node.db.rows(
        "EXPLAIN QUERY PLAN SELECT nonce FROM answers WHERE node = 1 AND early ORDER BY at"
    )
    assert any("answers_early" in row[3] for row in plan)


async def test_keeping_to_statements_that_nobody_made_fills_no_disk(
    two: tuple[Host, Host, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    mbp, oracle, _ = two
    monkeypatch.setattr("maw.store.fold.MAX_KEPT_OF_A_PEER", 300)

    async def kept() -> int:
        (row,) = await mbp.node.db.rows(
            "SELECT count(*) FROM heeded WHERE node = ?", (mbp.node.state.nodes[oracle.me].n,)
        )
        return int(row[0])

    for _ in range(3):
        heed = Heed(tuple(os.urandom(32) for _ in range(MAX_KEEPS)))
        await oracle.node.authoring.say(Kind.HEED, heed.content())
    await until(lambda: mbp.held() == oracle.held(), "mbp has taken it all")
    assert await kept() == 300
    await mbp.node.state.reload(mbp.node.db.writing)
    assert mbp.node.state.kept_by[mbp.node.state.nodes[oracle.me].n] == 300
