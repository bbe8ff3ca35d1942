"""Whether our own log is here again. ``PEER`` and ``OTHER`` are trusted; entries of ours come from them."""

from __future__ import annotations

import pytest

from maw.core.effects import Alert, Append, Effect, OwnLogBehind, Settled
from maw.core.entry import Head
from maw.core.frames import Closed, Entries, Follow, Following, Have, UpToDate
from maw.core.held import HeldLogs
from maw.core.homecoming import ACCUSE_S, OWN_LOG, PATIENCE_MAX_S, PATIENCE_S, SETTLE_S
from maw.core.identity import NodeId, short_key
from maw.core.members import INVITED, Pin
from maw.core.replication import Replicator
from maw.core.trust import TrustBook
from tests.unit.core.builders import COLONY, chain, have, of, sent, signer

ME, PEER, OTHER = (signer(n) for n in (1, 2, 3))
A, B = 1, 2
LOG = chain(ME, 100)


class Bench:
    """A machine with its time, linked with PEER (A) and OTHER (B)."""

    def __init__(self, held: int = 0, *, said: tuple[int, int] | None = None) -> None:
        self.held = HeldLogs({})
        self.held.advance(LOG[:held])
        pins = [Pin(one.node, f"n{number}", (), INVITED) for number, one in enumerate((PEER, OTHER))]
        self.machine = Replicator(ME.node, TrustBook(ME.node, COLONY, pins=pins), self.held)
        self.now = 100.0
        self.machine.start(self.now)
        self.told: list[bool] = []
        self.seen: list[Effect] = []
        if said is not None:
            self.note(self.machine.homecoming.lost(said, self.now))
        for link, peer in ((A, PEER), (B, OTHER)):
            self.note(self.machine.link_up(link, peer.node, self.now))

    def behind(self) -> bool:
        assert self.told[-1:] in ([], [self.machine.homecoming.behind]), "each change is told"
        return self.machine.homecoming.behind

    def note(self, effects: list[Effect]) -> list[Effect]:
        self.seen += effects
        self.told += [effect.behind for effect in of(effects, OwnLogBehind)]
        return effects

    def says(self, link: int, *heads: tuple[NodeId, int, Head]) -> list[Effect]:
        return self.note(self.machine.receive(link, have(heads), self.now))

    def holds(self, link: int, seq: int) -> list[Effect]:
        return self.says(link, (ME.node, 1, LOG[seq - 1].head))

    def gives(self, link: int, first: int, last: int) -> None:
        """It is followed already."""
        effects = self.note(self.machine.receive(link, Entries(tuple(LOG[first - 1 : last])), self.now))
        (append,) = of(effects, Append)
        assert self.behind(), "on its way to the disk it is not here yet"
        self.note(self.machine.committed(append.batch, self.now))

    def follow(self, link: int, effects: list[Effect]) -> None:
        asked = [frame for frame in sent(effects, Follow, link) if frame.author == ME.node]
        self.note(self.machine.receive(link, Following(ME.node, asked[-1].serial), self.now))

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.note(self.machine.tick(self.now))

    def alerts(self) -> list[str]:
        return [alert.subject for alert in of(self.seen, Alert) if alert.kind == OWN_LOG]


def test_behind_until_what_a_link_holds_is_on_the_disk() -> None:
    bench = Bench()
    assert not bench.behind()
    bench.follow(A, bench.holds(A, 10))
    assert bench.behind()
    bench.gives(A, 1, 5)
    assert bench.behind()
    bench.gives(A, 6, 10)
    assert not bench.behind()
    assert bench.told == [True, False]


def test_who_holds_no_more_than_we_holds_nobody_up() -> None:
    bench = Bench(10)
    bench.holds(A, 10)
    bench.holds(B, 3)
    bench.says(B, (OTHER.node, 1, LOG[5].head))
    bench.wait(40)
    assert bench.told == []


def test_a_link_that_ends_takes_its_claim_along() -> None:
    bench = Bench()
    bench.holds(A, 10)
    bench.note(bench.machine.link_down(A, bench.now))
    assert bench.told == [True, False]


def test_a_claim_that_brings_nothing_is_told_of_and_waited_for_no_more() -> None:
    bench = Bench()
    bench.holds(A, 90)
    bench.wait(PATIENCE_S - 1)
    assert bench.behind()
    bench.wait(2)
    assert not bench.behind()
    bench.wait(ACCUSE_S - 10)
    assert bench.alerts() == [], "a slow line is no lie"
    bench.wait(20)
    assert bench.alerts() == [short_key(PEER.node)]
    bench.wait(2 * ACCUSE_S)
    assert bench.alerts() == [short_key(PEER.node)], "once"
    bench.holds(A, 100)
    bench.note(bench.machine.link_down(A, bench.now))
    bench.note(bench.machine.link_up(3, PEER.node, bench.now))
    bench.holds(3, 100)
    assert not bench.behind(), "whatever it says next, also over another link"
    bench.holds(B, 100)
    assert bench.behind(), "another one is believed"


def test_who_gives_after_all_what_it_claimed_is_believed_again() -> None:
    bench = Bench()
    claim = bench.holds(A, 10)
    bench.wait(PATIENCE_S + ACCUSE_S + 2)
    bench.follow(A, claim)
    effects = bench.machine.receive(A, Entries(tuple(LOG[:10])), bench.now)
    (append,) = of(effects, Append)
    settled = of(bench.machine.committed(append.batch, bench.now), Settled)
    assert settled == [Settled(OWN_LOG, short_key(PEER.node))]
    bench.holds(A, 11)
    assert bench.behind()


def test_what_comes_slowly_is_waited_for_but_not_for_ever() -> None:
    bench = Bench()
    bench.follow(A, bench.holds(A, 100))
    began, at = bench.now, 0
    while bench.behind() and at < 99:
        at += 1
        bench.gives(A, at, at)
        bench.wait(PATIENCE_S - 2)
    assert PATIENCE_MAX_S <= bench.now - began <= PATIENCE_MAX_S + PATIENCE_S
    assert bench.alerts() == []


def test_while_nothing_is_asked_for_nobody_is_to_blame() -> None:
    bench = Bench()
    bench.holds(A, 10)
    bench.note(bench.machine.pause(True, bench.now))
    bench.wait(PATIENCE_S * 2)
    assert bench.behind()
    assert bench.alerts() == []
    bench.note(bench.machine.pause(False, bench.now))
    bench.wait(PATIENCE_S + 2)
    assert not bench.behind()


def test_older_epochs_of_which_a_digest_is_said_count_too() -> None:
    bench = Bench(10)
    effects = bench.note(bench.machine.receive(A, Have((), (), (Closed(ME.node, 9, b"d" * 32),)), bench.now))
    assert bench.behind()
    serial = [frame for frame in sent(effects, Follow, A) if frame.author == ME.node][-1].serial
    for frame in (Following(ME.node, serial), UpToDate(ME.node, serial)):
        bench.note(bench.machine.receive(A, frame, bench.now))
    bench.wait(1)
    assert not bench.behind(), "it has sent all it holds: it is the one that lacks something"


# -- what the mark beside the key tells --------------------------------------------------------------------


def test_a_start_with_less_than_was_said_is_behind_until_that_is_here() -> None:
    bench = Bench(3, said=(1, 10))
    assert bench.behind()
    bench.follow(A, bench.holds(A, 7))
    bench.gives(A, 4, 7)
    assert bench.behind(), "the other may have the rest"
    bench.follow(B, bench.holds(B, 10))
    bench.gives(B, 8, 10)
    assert not bench.behind()


@pytest.mark.parametrize("heard", [0, 1])
def test_what_nobody_has_is_not_waited_for_long(heard: int) -> None:
    bench = Bench(3, said=(1, 10))
    for link in (A, B)[:heard]:
        bench.holds(link, 3)
    bench.wait(SETTLE_S - 1)
    assert bench.behind()
    bench.wait(2)
    assert not bench.behind()
    assert bench.alerts() == []


def test_when_everybody_has_said_what_he_holds_nothing_is_left_to_wait_for() -> None:
    bench = Bench(3, said=(1, 10))
    bench.holds(A, 3)
    bench.says(B, (OTHER.node, 1, LOG[5].head))
    assert not bench.behind()


def test_a_node_alone_waits_for_nobody() -> None:
    held = HeldLogs({})
    machine = Replicator(ME.node, TrustBook(ME.node, COLONY), held)
    assert machine.homecoming.lost((1, 10), 0.0) == []
    assert not machine.homecoming.behind


def test_a_later_epoch_of_ours_that_is_coming_is_waited_for_and_not_for_ever() -> None:
    """It may have ended a fork, before this node was put back."""
    bench = Bench(10)
    bench.holds(A, 20)
    assert bench.behind() and not bench.machine.own_is_coming(1), (
        "of the forked epoch itself nothing is waited for"
    )
    bench.says(A, (ME.node, 1, LOG[19].head), (ME.node, 2, chain(ME, 3, epoch=2)[-1].head))
    assert bench.machine.own_is_coming(1) and not bench.machine.own_is_coming(2)
    bench.wait(PATIENCE_S + 1)
    assert not bench.machine.own_is_coming(1), "whoever claims it and gives nothing holds up nothing"
    bench = Bench(10)
    bench.says(A, (ME.node, 1, LOG[9].head), (ME.node, 2, chain(ME, 3, epoch=2)[-1].head))
    assert bench.machine.own_is_coming(1)
    bench.note(bench.machine.link_down(A, bench.now))
    assert not bench.machine.own_is_coming(1)
