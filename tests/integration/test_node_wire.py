"""A trusted peer that sends what no honest node sends: refused or capped, told once, nothing else harmed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgpack
import pytest

from maw.core.colony import HeldHere, Recipient
from maw.core.entry import NO_PREV, Entry, Head, Kind, make, pack_payload
from maw.core.frames import (
    Ask,
    Credit,
    Entries,
    Fork,
    Have,
    Held,
    LogName,
    Statements,
    UpToDate,
    encode,
)
from maw.core.identity import DOMAIN_ENTRY, Signer
from maw.core.statement import admit
from tests.conftest import MakeHome
from tests.integration.evil import Evil, evil_peer, stored
from tests.integration.nodes import Host, acquainted, all_running, pair, until
from tests.unit.store.opened import Author


@pytest.fixture
async def good(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        yield mbp, oracle
        assert mbp.task is not None
        assert not mbp.task.done(), "the daemon lives"
        await oracle.send("neo", "arthur", "all is well")
        await until(lambda: mbp.held() == oracle.held() or extra(mbp, oracle), "the good ones go on")
        assert (await mbp.texts("arthur"))[-1] == "all is well"


def extra(mbp: Host, oracle: Host) -> bool:
    """Oracle need not hold the evil one's log, which it does not trust."""
    return all(mbp.held().get(place, 0) >= seq for place, seq in oracle.held().items())


def raw(entry: Entry, **changed: Any) -> bytes:
    """An Entries frame with one entry whose wire form was tampered with."""
    header, signature, payload = (changed.get(k, v) for k, v in zip(("header", "signature", "payload"), entry.wire(), strict=True))  # fmt: skip  # noqa: E501
    return bytes(msgpack.packb([10, [[header, signature, payload]]]))


def odd_header(evil: Evil, **changed: Any) -> bytes:
    """An Entries frame with an entry of ours whose header says something out of range, properly signed."""
    payload = pack_payload(bytes(16), {})
    plain = make(evil.author.signer, evil.author.colony, 5, Head(0, NO_PREV), 1 << 16, 77, payload)
    fields = list(msgpack.unpackb(plain.header))
    names = ("version", "colony", "author", "epoch", "seq", "prev", "hlc", "kind", "hash", "size")
    for name, value in changed.items():
        fields[names.index(name)] = value
    header = msgpack.packb(fields)
    return bytes(msgpack.packb([10, [[header, evil.author.signer.sign(DOMAIN_ENTRY, header), payload]]]))


GARBAGE: Sequence[bytes] = (
    b"", b"\xc1", b"\x00" * 100, b"{}", msgpack.packb([10]), msgpack.packb([10, [[1, 2, 3]]]),
    msgpack.packb([4, [[1]], [], []]), msgpack.packb([5, b"x", 1, []]), msgpack.packb([11, -1]),
    msgpack.packb([11, 1 << 63]), msgpack.packb(["10", []]), b"\xdd\xff\xff\xff\xff", b"\x91" * 2000,
    msgpack.packb([3, [b""]]), msgpack.packb([7, b"k" * 32, 1, "x" * 201]),
)  # fmt: skip


@pytest.mark.parametrize("frame", GARBAGE)
async def test_garbage_ends_the_link(good: tuple[Host, Host], frame: bytes) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        evil.send(frame)
        await evil.thrown_out()
    (alert,) = (await mbp.alerts()).values()
    assert alert["kind"] in ("bad_frame", "bad_entry", "bad_statement")
    assert "broke the protocol" in alert["text"]


async def test_an_oversized_frame_ends_the_link(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        await evil.link._pipe.socket.send_bytes(b"x" * (2 << 20))
        await evil.thrown_out()


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"seq": 1 << 63}, "bad_entry"),
        ({"seq": (1 << 64) - 1}, "bad_entry"),
        ({"seq": 0}, "bad_entry"),
        ({"epoch": 1 << 62}, "bad_entry"),
        ({"version": 2}, "bad_entry"),
        ({"size": 5}, "wrong_hash"),
        ({"hash": bytes(32)}, "wrong_hash"),
        ({"kind": None}, "bad_entry"),
        ({"colony": b"x" * 32}, "wrong_colony"),
    ],
)
async def test_headers_out_of_range(good: tuple[Host, Host], odd: dict[str, Any], code: str) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        await evil.followed()
        evil.send(odd_header(evil, **odd))
        await evil.thrown_out()
        assert await stored(mbp, evil) == 0
    assert await mbp.alert(code)


async def test_a_forged_signature(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        first, second = evil.author.post("good"), evil.author.post("forged")
        await evil.says(first)
        await until(
            lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 1, "the good one is stored"
        )
        evil.send(raw(second, signature=bytes(64)))
        await evil.thrown_out()
        assert await stored(mbp, evil) == 1
    assert await mbp.alert("forged")
    assert await mbp.channel() == ["good"]


async def test_a_payload_that_is_not_its_hash(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        await evil.followed()
        entry = evil.author.post("said")
        evil.send(raw(entry, payload=(entry.payload or b"")[:-1] + b"?"))
        await evil.thrown_out()
        assert await stored(mbp, evil) == 0
    assert await mbp.alert("wrong_hash")


async def test_what_is_never_redacted_came_without_its_payload(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        await evil.followed()
        evil.send(raw(evil.author.say(Kind.CHANNEL, {"name": "x", "by": ""}), payload=None))
        await evil.thrown_out()
        assert await stored(mbp, evil) == 0
    assert await mbp.alert("no_payload")


async def test_a_message_without_its_payload_is_asked_for_and_not_vouched_for(
    good: tuple[Host, Host],
) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        await evil.followed()
        entry = evil.author.post("said")
        evil.send(raw(entry, payload=None))
        wanted = [entry.position]
        await until(
            lambda: wanted in [list(ask.places) for ask in evil.heard(Ask)], "its payload is asked for"
        )
        held = mbp.node.runtime.held
        assert held.head(entry.author, entry.epoch).seq == 1
        assert held.complete(entry.author, entry.epoch).seq == 0


async def test_a_gap_is_asked_for_again_and_nothing_is_stored(
    good: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.tracks.HOLDOFF_S", 0.2)
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        first, second = evil.author.post("first"), evil.author.post("second")
        await evil.followed()
        before = len(evil.asked())
        await evil.says(second)
        await until(lambda: len(evil.asked()) > before, "it follows again")
        assert await stored(mbp, evil) == 0
        await evil.says(first, second)
        await until(lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 2, "both are stored")
    assert await mbp.channel() == ["first", "second"]


async def test_a_time_in_2100_is_capped_and_does_not_move_our_clock(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        said = evil.author.said("from 2100").content()
        await evil.says(evil.author.say(Kind.POST, said, hlc=4_102_444_800_000 << 16))
        await until(lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 1, "it is stored")
    page = await mbp.service.channel_page(await mbp.owner(), "general", after_seq=0, before_seq=None, limit=5)
    assert page.items[0]["clock_suspect"] is True
    assert page.items[0]["created_at"] < "2099"
    await mbp.post("arthur", "now")
    page = await mbp.service.channel_page(
        await mbp.owner(), "general", after_seq=page.next_seq, before_seq=None, limit=5
    )
    assert page.items[0]["clock_suspect"] is False
    assert page.items[0]["created_at"][:13] == page.items[0]["received_at"][:13]


async def test_what_cannot_be_shown_is_set_aside_and_told_once(
    good: tuple[Host, Host], caplog: pytest.LogCaptureFixture
) -> None:
    mbp, _ = good
    with caplog.at_level(logging.WARNING):
        async with evil_peer(mbp) as evil:
            bad = [evil.author.say(Kind.POST, {"text": n}) for n in range(30)]
            await evil.says(*bad, evil.author.post("@arthur @arthur", ["arthur", "arthur"]))
            await mbp.receives("arthur", ["@arthur @arthur"])
    assert (await mbp.alert("set_aside"))["count"] == 30
    assert len([r for r in caplog.records if "cannot be shown" in r.getMessage()]) == 1


async def test_the_same_offence_again_and_again_is_one_alert_and_one_line(
    good: tuple[Host, Host], caplog: pytest.LogCaptureFixture
) -> None:
    mbp, _ = good
    signer = Signer(b"e" * 32)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            async with evil_peer(mbp, signer) as evil:
                evil.send(b"\xc1")
                await evil.thrown_out()
    alert = await mbp.alert("bad_frame")
    assert alert["count"] == 5
    assert len([r for r in caplog.records if r.name == "maw.node.alerts"]) == 1


async def test_receipts_are_never_ahead_of_the_truth(good: tuple[Host, Host]) -> None:
    """A peer that says it holds what was not said yet has not made it true."""
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        (epoch,) = {epoch for (author, epoch) in mbp.held() if author == mbp.me}
        top = (1 << 62) - 1
        evil.send(
            Have((LogName(0, mbp.me, epoch),), (Held(0, Head(top, b"x" * 32), True),), ()),
        )
        receipt = HeldHere(((mbp.me, epoch, top), (mbp.me, top, top), (mbp.me, 1, 1))).content()
        await evil.says(evil.author.card("trinity"), evil.author.say(Kind.RECEIPT, receipt))
        await until(lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 2, "the receipt arrived")
        receipts = mbp.node.receipts
        assert receipts.has(evil.node.node, epoch, mbp.held()[mbp.me, epoch]), "it may well hold all there is"
        sent = await mbp.send("arthur", "trinity", "not there yet", in_the_open=True)
        assert sent["state"] == "stored"
        waited = await mbp.service.wait_reached(sent["id"], 0.1)
        assert waited["state"] == "stored"
        assert not receipts.has(evil.node.node, top, 1), "an epoch that there is not"


async def test_nobody_speaks_for_another_node(good: tuple[Host, Host]) -> None:
    mbp, oracle = good
    async with evil_peer(mbp) as evil:
        neo = next(row for row in oracle.node.state.local.values() if row.name == "neo")
        arthur = next(row for row in mbp.node.state.local.values() if row.name == "arthur")
        evil.author.agent_id, evil.author.name = neo.id, "neo"
        to = Recipient(mbp.me, arthur.id, "arthur", "mbp")
        card = evil.author.say(Kind.CARD, {"name": "evil", "addresses": [], "version": ""})
        await evil.says(card, evil.author.direct("I am neo", [to]))
        await mbp.receives("arthur", ["I am neo"])
        assert (await mbp.inbox("arthur"))[0]["author"] == "neo@evil"
        epoch = max(epoch for (author, epoch) in oracle.held() if author == oracle.me)
        head = oracle.node.state.head(oracle.me, epoch)
        payload = pack_payload(bytes(16), evil.author.said("I am oracle").content())
        forged = make(evil.author.signer, evil.author.colony, epoch, head, 1 << 40, Kind.POST, payload)
        fields = list(msgpack.unpackb(forged.header))
        fields[2] = oracle.me
        evil.send(bytes(msgpack.packb([10, [[msgpack.packb(fields), forged.signature, payload]]])))
        evil.send(encode(UpToDate(oracle.me, 1)))
        await evil.says(evil.author.post("after"))
        await until(
            lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 3, "what came after arrived"
        )
        assert mbp.node.state.head(oracle.me, epoch) == head
    assert await mbp.channel() == ["after"]


async def test_credit_out_of_nothing(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        evil.send(Credit(1 << 40))
        await evil.thrown_out()
    assert await mbp.alert("too_much_credit")


async def test_a_forged_statement(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    before = set(mbp.node.membership.book.trusted)
    async with evil_peer(mbp) as evil:
        other = Signer(b"o" * 32)
        colony = mbp.node.membership.book.colony
        wire = admit(other, colony, other.node, "me", (), True, 1).wire
        evil.send(Statements((wire,)), Statements((wire[:-1] + bytes([wire[-1] ^ 1]),)))
        await evil.thrown_out()
        assert set(mbp.node.membership.book.trusted) == before | {evil.node.node}
    assert await mbp.alert("forged")


async def test_a_head_for_a_log_that_was_never_named(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        evil.send(Have((), (Held(9, Head(1, b"x" * 32), True),), ()))
        await evil.thrown_out()


async def test_a_fork_is_proved_shown_and_stops_that_log_only(good: tuple[Host, Host]) -> None:
    mbp, _ = good
    async with evil_peer(mbp) as evil:
        one = evil.author.post("one")
        await evil.says(one)
        await until(lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 1, "the first is stored")
        twin = Author(1, colony=evil.author.colony, epoch=evil.author.epoch)
        twin.signer, twin.node = evil.author.signer, evil.author.node
        other = twin.post("the other")
        evil.send(Fork(evil.node.node, evil.author.epoch, (other,)))
        assert "two different things" in (await mbp.alert("fork"))["text"]
        await evil.followed()
        evil.send(Entries((evil.author.post("more"),)))
        evil.author.epoch += 1
        evil.author.head = Head(0, NO_PREV)
        await evil.says(evil.author.post("a later epoch goes on"))
        await until(lambda: mbp.held().get((evil.node.node, evil.author.epoch)) == 1, "the later epoch")
    assert await mbp.channel() == ["one", "a later epoch goes on"]


async def test_a_peer_that_answers_nothing_harms_nobody(good: tuple[Host, Host]) -> None:
    mbp, oracle = good
    async with evil_peer(mbp):
        await oracle.send("neo", "arthur", "hello")
        await mbp.receives("arthur", ["hello"])
        await mbp.service.ack(await mbp.as_("arthur"), None)
