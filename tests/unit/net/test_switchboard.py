"""Which of two links to one peer stays: the table of the module, row by row, with links that are no links."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from maw.core.identity import NodeId
from maw.errors import HandshakeRefused, LinkClosed, LinkError
from maw.net.link import Link
from maw.net.switchboard import Switchboard

ME = NodeId(b"m" * 32)
SMALLER = NodeId(b"a" * 32)
LARGER = NodeId(b"z" * 32)


class FakeLink:
    def __init__(self, peer: NodeId, instance: bytes, *, outbound: bool, answers: bool = True) -> None:
        self.peer = peer
        self.peer_name = "peer"
        self.instance = instance
        self.outbound = outbound
        self.answers = answers
        self.remote_address = "10.0.0.1:1"
        self.ended: LinkError | None = None
        self.pings = 0

    async def ping(self, timeout: float) -> float:
        self.pings += 1
        await asyncio.sleep(0)
        if not self.answers:
            raise LinkClosed("no answer")
        return 0.001

    def close(self, reason: str) -> None:
        self.ended = LinkClosed(reason)


def fake(peer: NodeId = LARGER, instance: bytes = b"1", *, outbound: bool, answers: bool = True) -> Link:
    return cast(Link, FakeLink(peer, instance, outbound=outbound, answers=answers))


async def decide(old: Link, new: Link) -> str:
    """Who stays: "old", "new", and for a refused new one its code."""
    board = Switchboard(ME)
    await board.admit(old)
    try:
        await board.admit(new)
    except HandshakeRefused as no:
        assert board.get(old.peer) is old
        assert old.ended is None
        return no.code
    assert board.get(old.peer) is new
    assert old.ended is not None
    return "new"


@pytest.mark.parametrize(
    ("peer", "old_outbound", "new_outbound", "same", "answers", "stays"),
    [
        (LARGER, False, False, False, True, "copied_host"),
        (LARGER, True, False, False, True, "copied_host"),
        (LARGER, False, True, False, True, "copied_host"),
        (LARGER, False, False, False, False, "new"),
        (LARGER, True, False, False, False, "new"),
        (LARGER, False, False, True, True, "new"),
        (LARGER, True, True, True, True, "new"),
        (LARGER, False, True, True, True, "new"),  # dialled by us, the smaller
        (LARGER, True, False, True, True, "duplicate"),  # dialled by the larger
        (LARGER, True, False, True, False, "new"),
        (SMALLER, True, False, True, True, "new"),  # dialled by the smaller
        (SMALLER, False, True, True, True, "duplicate"),  # dialled by us, the larger
        (SMALLER, False, True, True, False, "new"),
    ],
)
async def test_the_table(
    peer: NodeId, old_outbound: bool, new_outbound: bool, same: bool, answers: bool, stays: str
) -> None:
    old = fake(peer, b"1", outbound=old_outbound, answers=answers)
    new = fake(peer, b"1" if same else b"2", outbound=new_outbound)
    assert await decide(old, new) == stays


async def test_both_ends_choose_the_same_of_two_crossing_links() -> None:
    for first in (True, False):
        here, there = Switchboard(SMALLER), Switchboard(LARGER)
        by_smaller = fake(LARGER, outbound=True), fake(SMALLER, outbound=False)
        by_larger = fake(LARGER, outbound=False), fake(SMALLER, outbound=True)
        order = [by_smaller, by_larger] if first else [by_larger, by_smaller]
        for board, side, links in ((here, 0, order), (there, 1, order[::-1])):
            for link in links:
                try:
                    await board.admit(link[side])
                except HandshakeRefused as no:
                    assert no.code == "duplicate"
        assert here.get(LARGER) is by_smaller[0]
        assert there.get(SMALLER) is by_smaller[1]


async def test_an_ended_link_stands_in_nobodys_way() -> None:
    old = fake(outbound=True)
    board = Switchboard(ME)
    await board.admit(old)
    old.close("gone")
    assert not board.linked(LARGER)
    new = fake(instance=b"2", outbound=True)
    await board.admit(new)
    assert board.get(LARGER) is new
    assert cast(FakeLink, old).pings == 0


async def test_two_at_once_are_decided_one_after_the_other() -> None:
    board = Switchboard(ME)
    await board.admit(fake(outbound=False, answers=False))
    results = await asyncio.gather(
        board.admit(fake(instance=b"2", outbound=False)),
        board.admit(fake(instance=b"3", outbound=False)),
        return_exceptions=True,
    )
    assert results[0] is None
    assert isinstance(results[1], HandshakeRefused)  # by the second, which answers
    link = board.get(LARGER)
    assert link is not None
    assert link.instance == b"2"
    assert board._deciding == {}


async def test_changes_are_told_and_dropping_the_replaced_changes_nothing() -> None:
    told: list[NodeId] = []
    board = Switchboard(ME, changed=told.append)
    old, new = fake(outbound=True), fake(outbound=True)
    await board.admit(old)
    await board.admit(new)
    board.drop(old)
    assert board.linked(LARGER)
    assert board.all() == (new,)
    board.drop(new)
    board.drop(new)
    assert told == [LARGER] * 3
    assert board.get(LARGER) is None


async def test_closing_one() -> None:
    board = Switchboard(ME)
    link = fake(outbound=True)
    await board.admit(link)
    assert board.close(LARGER, "forgotten")
    assert str(link.ended) == "forgotten"
    assert not board.close(SMALLER, "never known")


async def test_probing_ends_the_silent() -> None:
    board = Switchboard(ME)
    silent, fine = fake(outbound=True, answers=False), fake(SMALLER, outbound=True)
    await board.admit(silent)
    await board.admit(fine)
    await board.probe(0.1)
    assert silent.ended is not None
    assert fine.ended is None


async def test_a_copied_host_is_told_of_each_time_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[Link, Link]] = []
    board = Switchboard(ME, copied=lambda old, new: told.append((old, new)))
    first, second = fake(outbound=False), fake(instance=b"2", outbound=False)
    await board.admit(first)
    for _ in range(3):
        with pytest.raises(HandshakeRefused):
            await board.admit(second)
    assert told == [(first, second)] * 3
    assert len(caplog.records) == 1
