"""Two whole machines over a link that is a pair of lists."""

from __future__ import annotations

from collections import deque

import pytest

from maw.core.effects import Append, AppendStatements, Effect, ReadLog, Receipt, Send
from maw.core.entry import Entry
from maw.core.frames import (
    Entries,
    Fork,
    Frame,
    Have,
    Held,
    LogName,
    StatementDigest,
    Unknown,
    decode_frame,
    encode,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, Signer
from maw.core.members import INVITED, JOINED, Pin
from maw.core.replication import Replicator
from maw.core.serving import INITIAL_CREDIT
from maw.core.statement import Statement, admit, read_statement
from maw.core.trust import TrustBook
from tests.unit.core.builders import COLONY, chain, of, sent, signer

ONE, TWO, THREE = signer(1), signer(2), signer(3)
LINK = 1


class Side:
    """A machine whose disk commits when it is told to."""

    def __init__(self, me: Signer, *pins: Pin, log: list[Entry] | None = None) -> None:
        self.key = me.node
        self.log = list(log or [])
        self.held = HeldLogs({})
        self.held.advance(self.log)
        self.book = TrustBook(me.node, COLONY, pins=pins)
        self.machine = Replicator(me.node, self.book, self.held)
        self.outbox: deque[Frame] = deque()
        self.disk: deque[Effect] = deque()
        self.seen: list[Effect] = []
        self.carry_out(self.machine.start(0.0))

    def carry_out(self, effects: list[Effect]) -> None:
        self.seen += effects
        for effect in effects:
            match effect:
                case Send(_, frame):
                    self.outbox.append(frame)
                case Append() | AppendStatements():
                    self.disk.append(effect)
                case ReadLog(link, author, serial, heads):
                    after = [
                        e for e in self.log if e.author == author and e.seq > heads.get(e.epoch, (0,))[0]
                    ]
                    self.carry_out(self.machine.log_read(link, author, serial, after))

    def up(self, peer: NodeId) -> None:
        self.carry_out(self.machine.link_up(LINK, peer, 0.0))

    def post(self, entries: list[Entry]) -> None:
        self.log += entries
        self.carry_out(self.machine.appended(entries, 1.0))

    def commit(self) -> None:
        while self.disk:
            match self.disk.popleft():
                case Append(batch, _, entries):
                    self.log += entries
                    self.carry_out(self.machine.committed(batch, 1.0))
                case AppendStatements(link, items):
                    statements = [read_statement(item) for item in items]
                    self.carry_out(self.machine.statements_committed(statements, link, 1.0))


def pin(key: Signer, how: str = INVITED) -> Pin:
    return Pin(key.node, "n", (), how)


def talk(one: Side, two: Side) -> None:
    """Until neither has anything to say."""
    while one.outbox or two.outbox or one.disk or two.disk:
        for source, target in ((one, two), (two, one)):
            while source.outbox:
                frame = decode_frame(encode(source.outbox.popleft()))
                target.carry_out(target.machine.receive(LINK, frame, 1.0))
            source.commit()


def pair(**logs: list[Entry]) -> tuple[Side, Side]:
    one, two = Side(ONE, pin(TWO), log=logs.get("one")), Side(TWO, pin(ONE), log=logs.get("two"))
    one.up(TWO.node)
    two.up(ONE.node)
    return one, two


def test_statements_are_the_first_thing_said_on_a_link() -> None:
    one, _ = pair(one=chain(ONE, 2))
    assert [type(frame) for frame in one.outbox][:2] == [StatementDigest, Have]


def test_both_replicas_hold_the_same_after_a_link_came_up() -> None:
    one, two = pair(one=chain(ONE, 700), two=chain(TWO, 3))
    talk(one, two)
    assert {e.id for e in one.log} == {e.id for e in two.log}
    assert one.machine.links == {LINK: TWO.node}
    assert one.machine.followed.behind(LINK) == one.machine.followed.offers.lacks(LINK) == 0


def test_nothing_is_acknowledged_or_passed_on_before_it_is_durable() -> None:
    one, two = pair()
    talk(one, two)
    one.post(chain(ONE, 1))
    while one.outbox:
        two.carry_out(two.machine.receive(LINK, one.outbox.popleft(), 1.0))
    assert len(two.disk) == 1
    assert not two.outbox
    two.commit()
    assert of(list(two.seen), Send)
    while two.outbox:
        one.carry_out(one.machine.receive(LINK, two.outbox.popleft(), 2.0))
    two.carry_out(two.machine.tick(2.0))
    while two.outbox:
        one.carry_out(one.machine.receive(LINK, two.outbox.popleft(), 2.0))
    assert of(one.seen, Receipt)[-1] == Receipt(TWO.node, 1, 1)


def test_each_entry_crosses_a_steady_link_once() -> None:
    one, two = pair()
    talk(one, two)
    for number in range(5):
        one.post(chain(ONE, number + 1)[number:])
        talk(one, two)
    crossed = [entry.seq for frame in sent(one.seen, Entries) for entry in frame.entries]
    assert crossed == [1, 2, 3, 4, 5]
    assert not sent(two.seen, Entries)


def test_frames_of_a_link_that_is_down_do_nothing() -> None:
    one, two = pair()
    talk(one, two)
    one.machine.link_down(LINK, 1.0)
    assert not one.machine.receive(LINK, Entries(tuple(chain(TWO, 1))), 1.0)
    assert not one.machine.link_down(LINK, 1.0)


def test_a_batch_whose_link_went_down_meanwhile_is_committed() -> None:
    one, two = pair(two=chain(TWO, 3))
    while two.outbox or one.outbox:
        while one.outbox:
            two.carry_out(two.machine.receive(LINK, one.outbox.popleft(), 1.0))
        while two.outbox:
            one.carry_out(one.machine.receive(LINK, two.outbox.popleft(), 1.0))
    assert len(one.disk) == 1
    one.carry_out(one.machine.link_down(LINK, 1.0))
    one.commit()
    assert one.held.head(TWO.node, 1).seq == 3


def test_a_frame_of_a_later_version_is_passed_over() -> None:
    one, _ = pair()
    assert not one.machine.receive(LINK, Unknown(99), 1.0)


def test_who_is_admitted_while_a_link_is_up_is_followed_through_it_at_once() -> None:
    one = Side(ONE, pin(TWO, JOINED))
    two = Side(TWO, pin(ONE), log=chain(THREE, 4))
    one.up(TWO.node)
    two.up(ONE.node)
    talk(one, two)
    assert one.held.head(THREE.node, 1).seq == 0
    word: Statement = admit(TWO, COLONY, THREE.node, "three", (), False, 1)
    two.carry_out(two.machine.statements_committed([word], None, 1.0))
    talk(one, two)
    assert THREE.node in one.book.trusted
    assert one.held.head(THREE.node, 1).seq == 4


def test_a_decision_taken_here_is_followed_at_once() -> None:
    one, two = pair(two=[*chain(TWO, 1), *chain(THREE, 4)])
    talk(one, two)
    one.book.pin(pin(THREE))
    one.carry_out(one.machine.trust_changed(1.0))
    talk(one, two)
    assert one.held.head(THREE.node, 1).seq == 4


def test_a_discarded_batch_is_fetched_again() -> None:
    one, two = pair(two=chain(TWO, 3))
    while two.outbox or one.outbox:
        while one.outbox:
            two.carry_out(two.machine.receive(LINK, one.outbox.popleft(), 1.0))
        while two.outbox:
            one.carry_out(one.machine.receive(LINK, two.outbox.popleft(), 1.0))
    (lost,) = of(list(one.disk), Append)
    one.disk.clear()
    one.carry_out(one.machine.discarded(lost.batch))
    one.carry_out(one.machine.tick(2.0))
    talk(one, two)
    assert one.held.head(TWO.node, 1).seq == 3
    assert two.machine.serving.credit_of(LINK) == INITIAL_CREDIT


def test_while_paused_nobody_is_followed_whatever_becomes_of_trust() -> None:
    one = Side(ONE, pin(TWO))
    one.machine.start(0.0)
    one.machine.pause(True, 1.0)
    assert one.machine.followed.authors == 0
    one.machine.statements_committed([], None, 2.0)
    assert one.machine.followed.authors == 0
    one.machine.pause(False, 3.0)
    assert one.machine.followed.authors == 2


def test_a_pending_author_is_followed_until_its_quota_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.core.carrying.CARRIED_ENTRIES", 5)
    word = admit(TWO, COLONY, THREE.node, "newcomer", (), False, 1)
    log = chain(THREE, 8)
    one, two = pair(two=log)
    one.book.add([word])
    assert THREE.node in one.book.pending
    one.carry_out(one.machine.trust_changed(0.0))
    talk(one, two)
    assert one.held.head(THREE.node, 1) == log[-1].head, "what is under way still comes"
    assert not one.machine.followed.wants(THREE.node)
    one.book.pin(pin(THREE))
    one.carry_out(one.machine.trust_changed(0.0))
    assert one.machine.followed.wants(THREE.node), "once it is accepted there is no quota"


def test_what_an_author_never_said_again_goes_to_him_or_where_his_log_comes_from() -> None:
    pins = [Pin(who.node, name, (), JOINED) for who, name in ((TWO, "two"), (THREE, "three"))]
    side = Side(ONE, *pins)
    run = chain(TWO, 2)
    assert not side.machine.show_author(TWO.node, 1, run, 10.0), "nobody leads to him"
    side.up(THREE.node)
    have = Have((LogName(0, TWO.node, 1),), (Held(0, run[-1].head, True),), ())
    side.carry_out(side.machine.receive(LINK, have, 11.0))
    assert sent(side.machine.show_author(TWO.node, 1, run, 20.0), Fork, LINK)
    assert not side.machine.show_author(TWO.node, 1, run, 30.0, LINK), "never back to where it came from"
    side.carry_out(side.machine.link_up(2, TWO.node, 31.0))
    assert [one.link for one in of(side.machine.show_author(TWO.node, 1, run, 40.0, LINK), Send)] == [2]
