"""Trust as this host keeps it: judged at the door, decided here, durable before it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from maw.core.identity import Signer, key_text, short_key
from maw.core.members import INVITED, JOINED, Pin
from maw.core.statement import admit
from maw.core.transcript import PENDING
from maw.errors import Ambiguous, BadInput, HandshakeRefused, NotFound
from maw.node.membership import Membership, parse_for
from maw.store import trust as rows
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

PEER, OTHER, INTRODUCER = (Signer(bytes([n]) * 32) for n in (1, 2, 3))


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        yield one


async def trust(members: Membership, signer: Signer, name: str, how: str = INVITED) -> None:
    pin = Pin(signer.node, name, ("127.0.0.1:1",), how)

    async def nothing(_: object) -> None:
        return None

    await members.paired(pin, [], nothing)


def refusal(members: Membership, peer: Signer, admission: bytes | None = None) -> str:
    with pytest.raises(HandshakeRefused) as no:
        members.judge(peer.node, admission)
    assert no.value.hint or no.value.code == "bad_admission"
    return no.value.code


async def test_at_the_door(host: Host) -> None:
    members = host.node.membership
    colony = members.book.colony
    assert refusal(members, PEER) == "unknown_key"
    await trust(members, PEER, "peer")
    assert members.judge(PEER.node, None) is None
    await members.forget("peer")
    assert refusal(members, PEER) == "forgotten"
    await trust(members, INTRODUCER, "intro", JOINED)
    shown = admit(INTRODUCER, colony, OTHER.node, "other", (), False, 1)
    assert members.judge(OTHER.node, shown.wire) == shown
    assert refusal(members, OTHER, admit(PEER, colony, OTHER.node, "x", (), False, 1).wire) == "unknown_key"
    assert refusal(members, OTHER, shown.wire[:-1] + b"x") == "bad_admission"
    assert refusal(members, OTHER, b"\xc1") == "bad_admission"
    again = admit(INTRODUCER, colony, PEER.node, "peer", (), False, 2)
    assert refusal(members, PEER, again.wire) == "forgotten", "what is forgotten stays so, whoever vouches"
    assert refusal(members, OTHER, again.wire) == "unknown_key", "an admit of somebody else"


async def test_the_pending_are_told_what_is_lacking(host: Host) -> None:
    members = host.node.membership
    await trust(members, PEER, "peer")
    await members.keep([admit(PEER, members.book.colony, OTHER.node, "other", (), False, 1)])
    assert refusal(members, OTHER) == PENDING
    told = await members.accept("other")
    assert (told.key, told.name) == (OTHER.node, "other")
    assert members.judge(OTHER.node, None) is None
    with pytest.raises(NotFound):
        await members.accept("other")


async def test_each_decision_is_on_the_disk_and_in_the_copy(host: Host) -> None:
    members = host.node.membership
    await trust(members, PEER, "peer")
    await members.forget(key_text(PEER.node))
    await trust(members, OTHER, "other")
    stored = await rows.load(host.node.db.writing)
    copy = rows.unpack_copy(host.node.home.trust_copy.read_bytes(), "copy")
    for kept in (stored, copy):
        assert kept is not None
        assert [pin.key for pin in kept.pins] == [OTHER.node]
        assert kept.forgotten == [PEER.node]
        assert kept.colony == members.book.colony


async def test_finding_peers_by_whole_names_only(host: Host) -> None:
    members = host.node.membership
    await trust(members, PEER, "oracle")
    await trust(members, OTHER, "oracle")
    await trust(members, INTRODUCER, "mbp2")
    among = members.book.trusted.values()
    assert members.find("@MBP2", among=among).key == INTRODUCER.node
    assert members.find(short_key(PEER.node), among=among).key == PEER.node
    assert members.find(f"oracle~{short_key(OTHER.node)}", among=among).key == OTHER.node
    assert members.find(key_text(OTHER.node), among=among).key == OTHER.node
    with pytest.raises(Ambiguous) as both:
        members.find("oracle", among=among)
    assert len(both.value.candidates) == 2
    with pytest.raises(NotFound) as no:
        members.find("oracel", among=among)
    assert no.value.candidates == ("oracle",)
    with pytest.raises(BadInput):
        members.find("mk1nonsense", among=among)


async def test_keeping_what_is_of_no_use_changes_nothing(host: Host) -> None:
    members = host.node.membership
    before = dict(members.book.statements())
    await members.keep([admit(OTHER, b"x" * 32, PEER.node, "x", (), False, 1)])
    await members.keep([admit(OTHER, members.book.colony, PEER.node, "x", (), False, 1)])
    assert members.book.statements() == before


def test_the_key_that_an_invite_is_for() -> None:
    assert parse_for(None) is None
    assert parse_for(key_text(PEER.node)) == PEER.node
    with pytest.raises(BadInput, match="--for"):
        parse_for("nonsense")
