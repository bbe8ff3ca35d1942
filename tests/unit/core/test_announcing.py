from __future__ import annotations

from maw.core.announcing import HAVE_INTERVAL_S, MAX_LOGS_A_FRAME, Announcing
from maw.core.entry import Entry, Head
from maw.core.frames import Have
from maw.core.held import LIVE_EPOCHS, HeldLogs
from maw.core.log import closed_digest
from tests.unit.core.builders import chain, sent, signer

ONE, TWO = signer(1), signer(2)
LINK, SECOND = 1, 2


def machine(*entries: Entry) -> tuple[Announcing, HeldLogs]:
    held = HeldLogs({})
    held.advance(entries)
    return Announcing(held), held


def test_a_new_link_hears_of_everything_that_is_held() -> None:
    announcing, _ = machine(*chain(ONE, 3), *chain(TWO, 2, epoch=9))
    (have,) = sent(announcing.link_up(LINK), Have)
    named = {name.number: (name.author, name.epoch) for name in have.names}
    assert {named[held.number]: held.head.seq for held in have.heads} == {(ONE.node, 1): 3, (TWO.node, 9): 2}
    assert all(held.complete for held in have.heads)
    assert not have.closed


def test_a_node_that_holds_nothing_says_nothing() -> None:
    announcing, _ = machine()
    assert not announcing.link_up(LINK)
    assert announcing.wake_at() is None


def test_what_was_committed_is_said_at_once_and_then_coalesced() -> None:
    announcing, held = machine()
    announcing.link_up(LINK)
    log = chain(ONE, 4)
    held.advance(log[:1])
    assert len(sent(announcing.committed(log[:1], 100.0), Have)) == 1
    for entry in log[1:]:
        held.advance([entry])
        assert not announcing.committed([entry], 100.0 + HAVE_INTERVAL_S / 2)
    assert announcing.wake_at() == 100.0 + HAVE_INTERVAL_S
    assert not announcing.tick(100.0 + HAVE_INTERVAL_S * 0.9)
    (have,) = sent(announcing.tick(100.0 + HAVE_INTERVAL_S), Have)
    assert [head.head for head in have.heads] == [log[3].head]
    assert not have.names
    assert announcing.wake_at() is None


def test_numbers_are_a_connections_own() -> None:
    announcing, held = machine(*chain(ONE, 1))
    announcing.link_up(LINK)
    held.advance(chain(TWO, 1))
    announcing.committed(chain(TWO, 1), 1.0)
    (have,) = sent(announcing.link_up(SECOND), Have)
    assert sorted(name.number for name in have.names) == [0, 1]
    announcing.link_down(LINK)
    held.advance(chain(ONE, 2))
    effects = announcing.committed(chain(ONE, 2)[1:], 2.0)
    assert not sent(effects, Have, LINK)
    assert len(sent(effects, Have, SECOND)) == 1


def test_epochs_that_are_no_longer_live_share_a_digest() -> None:
    announcing, held = machine()
    announcing.link_up(LINK)
    for epoch in range(1, LIVE_EPOCHS + 3):
        log = chain(ONE, 1, epoch=epoch)
        held.advance(log)
        effects = announcing.committed(log, float(epoch))
    (have,) = sent(effects, Have)
    assert [(item.below, item.digest) for item in have.closed] == [(3, closed_digest(held.of(ONE.node), 3))]
    announcing.link_up(SECOND)
    late = chain(ONE, 2, epoch=1)[1:]
    held.advance(late)
    effects = announcing.committed(late, 99.0)
    (have,) = sent(effects, Have, SECOND)
    assert not have.heads
    assert have.closed[0].digest == closed_digest(held.of(ONE.node), 3)
    (have,) = sent(effects, Have, LINK)
    assert [item.head for item in have.heads] == [late[0].head], "it has a name there"


def test_a_log_that_moved_back_is_told_of_where_it_was_named_though_it_is_closed_by_now() -> None:
    """Else the other end would wait for ever for what was said to be here."""
    announcing, held = machine(*chain(ONE, 4))
    announcing.link_up(LINK)
    for epoch in range(2, LIVE_EPOCHS + 3):
        held.advance(chain(ONE, 1, epoch=epoch))
    shorter = chain(ONE, 2, text="another branch")
    held.put_back(ONE.node, 1, shorter[-1].head)
    (have,) = sent(announcing.changed(ONE.node, 1, 5.0), Have)
    assert [item.head for item in have.heads] == [shorter[-1].head]


def test_very_many_logs_are_told_in_several_frames_each_naming_its_own_first() -> None:
    template = chain(ONE, 1)[0]
    held = HeldLogs({signer(1).node: {}})
    heads = {template.author: {1: template.head}}
    for number in range(MAX_LOGS_A_FRAME + 10):
        heads[type(template.author)(number.to_bytes(32, "big"))] = {1: template.head}
    held = HeldLogs(heads)
    frames = sent(Announcing(held).link_up(LINK), Have)
    assert len(frames) == 2
    known: set[int] = set()
    for frame in frames:
        known |= {name.number for name in frame.names}
        assert {head.number for head in frame.heads} <= known


def test_where_payloads_are_missing_it_says_first_up_to_where_it_is_complete() -> None:
    log = chain(ONE, 5)
    announcing, held = machine(*log)
    announcing.link_up(LINK)
    assert held.limit(ONE.node, 1, log[1].head)
    assert not held.limit(ONE.node, 1, log[1].head), "no news"
    (have,) = sent(announcing.changed(ONE.node, 1, 100.0), Have)
    assert [(item.head, item.complete) for item in have.heads] == [(log[1].head, True), (log[4].head, False)]
    held.limit(ONE.node, 1, Head(0, log[0].prev))
    (have,) = sent(announcing.changed(ONE.node, 1, 200.0), Have)
    assert [(item.head, item.complete) for item in have.heads] == [(log[4].head, False)]
    held.limit(ONE.node, 1, None)
    (have,) = sent(announcing.changed(ONE.node, 1, 300.0), Have)
    assert [(item.head, item.complete) for item in have.heads] == [(log[4].head, True)]
