"""One Followed with links, logs and a disk that a test moves by hand."""

from __future__ import annotations

from collections.abc import Collection

from maw.core.effects import Append, Effect
from maw.core.entry import Entry, Head
from maw.core.following import Followed
from maw.core.frames import (
    Entries,
    Follow,
    Following,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.serving import INITIAL_CREDIT
from tests.unit.core.builders import COLONY, chain, have, sent, signer

ME, AUTHOR, RELAY, OTHER = (signer(n) for n in range(1, 5))
A, B, C = 1, 2, 3
LOG = chain(AUTHOR, 10)


class Bench:
    """One machine with its time; frames are given to it, effects come out."""

    def __init__(self, *held: Entry, credit: int = INITIAL_CREDIT, fed: Collection[int] = ()) -> None:
        """``fed``: links that follow everybody through us."""
        self.held = HeldLogs({})
        self.held.advance(held)
        self.machine = Followed(ME.node, COLONY, self.held, credit, lambda link, _author: link in fed)
        self.now = 100.0
        self.machine.want([ME.node, AUTHOR.node], self.now)

    def up(self, link: int, peer: NodeId) -> list[Effect]:
        return self.machine.link_up(link, peer, self.now)

    def told(self, link: int, *heads: Head, author: NodeId = AUTHOR.node, epoch: int = 1) -> list[Effect]:
        return self.machine.have(link, have([(author, epoch, head) for head in heads]), self.now)

    def bring(self, link: int, *entries: Entry) -> list[Effect]:
        return self.machine.entries(link, Entries(entries), self.now)

    def commit(self, append: Append) -> list[Effect]:
        self.held.advance(append.entries)
        return self.machine.committed(append.batch)

    def wait(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.machine.tick(self.now)

    def followed(self, link: int, effects: list[Effect]) -> int:
        """The link is asked, and answers; the serial."""
        (ask,) = sent(effects, Follow, link)
        self.machine.following(link, Following(ask.author, ask.serial))
        return ask.serial


def direct(*held: Entry, credit: int = INITIAL_CREDIT) -> Bench:
    """Linked to the author, whose log is followed from what is held."""
    bench = Bench(*held, credit=credit)
    bench.followed(A, bench.up(A, AUTHOR.node))
    return bench


def relayed(*held: Entry) -> Bench:
    """Linked to two relays that hold all of the author's log; followed through the first."""
    bench = Bench(*held)
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, LOG[-1].head))
    bench.told(C, LOG[-1].head)
    return bench
