"""The receiving half against honest and dishonest links. ``A``: the author's own; ``B``, ``C``: relays."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import pytest

from maw.core.adverts import MAX_EPOCHS, MAX_NAMES, MAX_STRANGERS
from maw.core.clock import shown_time, wall_ms
from maw.core.effects import Alert, Append, Effect, Hangup, OwnLogReturned, Receipt, Send
from maw.core.entry import MAX_COUNT, START, Entry, Head, Kind, make, pack_payload
from maw.core.epochs import EPOCH_EVERY_S, EPOCHS_AT_ONCE, EPOCHS_EVER, EpochBudget
from maw.core.following import OVERDRAFT, Followed
from maw.core.frames import (
    MAX_BATCH,
    MAX_FRAME,
    CannotFollow,
    Closed,
    Credit,
    Entries,
    Follow,
    Following,
    Have,
    Held,
    LogName,
    Unfollow,
    UpToDate,
    encode,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, digest
from maw.core.log import closed_digest
from maw.core.serving import INITIAL_CREDIT, QUESTION
from maw.core.tracks import DEADLINE_S, GRACE_S, HOLDOFF_S
from tests.unit.core.builders import COLONY, chain, forged, have, of, sent, signer

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


# -- honest links ---------------------------------------------------------------------------------------


def test_an_author_is_followed_through_its_own_link_from_the_durable_head() -> None:
    bench = Bench(*LOG[:4])
    (ask,) = sent(bench.up(A, AUTHOR.node), Follow, A)
    assert ask.heads == ((1, LOG[3].head),)


def test_entries_go_to_the_disk_and_credit_comes_back_when_they_are_there() -> None:
    bench = direct()
    effects = bench.bring(A, *LOG[:3])
    (append,) = of(effects, Append)
    assert append.entries == tuple(LOG[:3])
    assert not sent(effects, Credit)
    assert sent(bench.commit(append), Credit) == [Credit(sum(entry.size for entry in LOG[:3]))]
    assert bench.held.head(AUTHOR.node, 1) == LOG[2].head


def test_the_next_run_may_build_on_what_is_still_on_its_way() -> None:
    bench = direct()
    (first,) = of(bench.bring(A, *LOG[:3]), Append)
    (second,) = of(bench.bring(A, *LOG[3:5]), Append)
    bench.commit(first)
    bench.commit(second)
    assert bench.held.head(AUTHOR.node, 1) == LOG[4].head
    assert bench.machine.busy == 0


def test_what_was_taken_already_is_passed_over_and_paid_for() -> None:
    bench = direct()
    bench.bring(A, *LOG[:3])
    effects = bench.bring(A, *LOG[:3])
    assert not of(effects, Append)
    assert sent(effects, Credit)
    (append,) = of(bench.bring(A, *LOG[1:5]), Append)
    assert append.entries == tuple(LOG[3:5])


def test_a_tick_looks_at_nobody_of_whom_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thousand peers, twenty looks a second at each would be a processor's whole work."""
    bench = relayed(*LOG)
    authors = [signer(n).node for n in range(10, 60)]
    bench.machine.want([ME.node, AUTHOR.node, *authors], bench.now)
    for author in authors:
        bench.told(B, Head(3, b"h" * 32), author=author)
    looked: list[NodeId] = []
    aim = Followed._aim

    def seen(self: Followed, author: NodeId, now: float) -> None:
        looked.append(author)
        aim(self, author, now)

    monkeypatch.setattr(Followed, "_aim", seen)
    bench.wait(1)
    assert set(looked) == {ME.node, AUTHOR.node, *authors}  # of each of them something is due, or was changed
    bench.machine.want([ME.node, AUTHOR.node], bench.now)
    bench.wait(1)
    looked.clear()
    bench.wait(1)
    assert set(looked) == {ME.node}  # followed through nobody: it may be offered any time
    bench.told(C, Head(11, b"h" * 32))
    looked.clear()
    bench.wait(1)
    assert set(looked) == {ME.node, AUTHOR.node}


def test_what_a_held_off_link_offers_is_looked_at_when_it_may_be_followed_again() -> None:
    bench = relayed()
    serial = bench.machine._tracks[AUTHOR.node].serial
    for link in (B, C):
        bench.machine.cannot_follow(link, CannotFollow(AUTHOR.node, serial, "no"), bench.now)
        serial = bench.machine._tracks[AUTHOR.node].serial
    assert bench.machine.through(AUTHOR.node) is None
    assert not bench.wait(HOLDOFF_S / 2)
    assert sent(bench.wait(HOLDOFF_S / 2 + 0.1), Follow)


def test_entries_before_the_answer_to_our_follow_do_not_count() -> None:
    bench = Bench()
    bench.up(A, AUTHOR.node)
    effects = bench.bring(A, *LOG)
    assert not of(effects, Append)
    assert sent(effects, Credit)


def test_entries_over_another_link_than_the_followed_one_do_not_count() -> None:
    bench = relayed()
    assert not of(bench.bring(C, *LOG), Append)
    assert of(bench.bring(B, *LOG), Append)


def test_a_link_that_goes_down_hands_its_follows_to_the_next_best() -> None:
    bench = relayed()
    (ask,) = sent(bench.machine.link_down(B, bench.now), Follow, C)
    assert ask.author == AUTHOR.node
    assert bench.machine.through(AUTHOR.node) == C


def test_the_authors_own_link_is_preferred_once_it_is_there() -> None:
    bench = relayed(*LOG)
    effects = bench.up(A, AUTHOR.node)
    assert sent(effects, Unfollow, B) == [Unfollow(AUTHOR.node)]
    assert sent(effects, Follow, A)


def test_who_is_no_longer_wanted_is_unfollowed_and_who_is_newly_wanted_is_followed_by_old_heads() -> None:
    bench = direct()
    bench.machine.want([ME.node], bench.now)
    bench.told(A, START._replace(seq=3, id=b"h" * 32), author=OTHER.node)
    effects = bench.machine.want([ME.node, AUTHOR.node, OTHER.node], bench.now)
    assert {ask.author for ask in sent(effects, Follow, A)} == {AUTHOR.node, OTHER.node}


def test_later_epochs_come_with_the_follow() -> None:
    bench = direct(*LOG)
    (append,) = of(bench.bring(A, *chain(AUTHOR, 2, epoch=2)), Append)
    bench.commit(append)
    assert bench.held.head(AUTHOR.node, 2).seq == 2


def test_our_own_log_is_asked_back_only_from_who_holds_more_of_it() -> None:
    mine = chain(ME, 5)
    bench = Bench(*mine[:2])
    bench.up(B, RELAY.node)
    assert not sent(bench.told(B, mine[1].head, author=ME.node), Follow)
    bench.followed(B, bench.told(B, mine[4].head, author=ME.node))
    (append,) = of(bench.bring(B, *mine[2:]), Append)
    assert of(bench.commit(append), OwnLogReturned) == [OwnLogReturned(1)]


def test_a_receipt_is_what_a_link_says_it_holds_complete_of_our_log() -> None:
    mine = chain(ME, 5)
    bench = Bench(*mine)
    bench.up(B, RELAY.node)
    assert of(bench.told(B, mine[2].head, author=ME.node), Receipt) == [Receipt(RELAY.node, 1, 3)]
    partly = have([(ME.node, 1, mine[4].head)], complete=False)
    assert not of(bench.machine.have(B, partly, bench.now), Receipt)


def test_a_receipt_for_another_branch_of_our_log_is_none() -> None:
    mine = chain(ME, 5)
    bench = Bench(*mine)
    bench.up(B, RELAY.node)
    effects = bench.told(B, Head(5, b"x" * 32), author=ME.node)
    assert not of(effects, Receipt)
    assert sent(effects, Follow, B)[0].serial == QUESTION


def test_closed_epochs_that_differ_are_asked_for_until_the_link_has_no_more() -> None:
    bench = Bench(*LOG)
    bench.up(B, RELAY.node)
    told = Have(
        (LogName(0, AUTHOR.node, 1),), (Held(0, LOG[-1].head, True),), (Closed(AUTHOR.node, 1, bytes(32)),)
    )
    serial = bench.followed(B, bench.machine.have(B, told, bench.now))
    bench.machine.up_to_date(B, UpToDate(AUTHOR.node, serial), bench.now)
    assert not bench.wait(1000)
    same = Closed(AUTHOR.node, 1, closed_digest(bench.held.of(AUTHOR.node), 1))
    assert not bench.machine.have(B, Have((), (), (same,)), bench.now)


# -- the disk -------------------------------------------------------------------------------------------


def test_a_discarded_batch_takes_those_after_it_along_and_gives_all_credit_back_once() -> None:
    bench = direct()
    (first,) = of(bench.bring(A, *LOG[:3]), Append)
    (second,) = of(bench.bring(A, *LOG[3:5]), Append)
    effects = bench.machine.discarded(first.batch)
    assert sent(effects, Credit) == [Credit(sum(entry.size for entry in LOG[:3]))]
    assert sent(effects, Unfollow, A)
    assert bench.machine.doomed(second.batch)
    assert sent(bench.machine.discarded(second.batch), Credit) == [Credit(LOG[3].size + LOG[4].size)]
    assert bench.machine.busy == 0


def test_after_a_discard_the_follow_rests_until_the_tick_and_begins_at_the_durable_head() -> None:
    bench = direct()
    (first,) = of(bench.bring(A, *LOG[:3]), Append)
    (second,) = of(bench.bring(A, *LOG[3:5]), Append)
    bench.commit(first)
    bench.machine.discarded(second.batch)
    assert not sent(bench.told(A, LOG[9].head), Follow)
    (ask,) = sent(bench.wait(1), Follow, A)
    assert ask.heads == ((1, LOG[2].head),)


def test_a_new_epoch_is_doomed_with_the_old_one_it_came_after() -> None:
    bench = direct()
    (first,) = of(bench.bring(A, *LOG), Append)
    (second,) = of(bench.bring(A, *chain(AUTHOR, 2, epoch=2)), Append)
    bench.machine.discarded(first.batch)
    assert bench.machine.doomed(second.batch)


def test_what_is_taken_after_a_discard_is_sound_and_an_old_answer_does_not_disturb_it() -> None:
    bench = direct()
    (first,) = of(bench.bring(A, *LOG[:3]), Append)
    (second,) = of(bench.bring(A, *LOG[3:5]), Append)
    bench.machine.discarded(first.batch)
    bench.followed(A, bench.wait(1))
    (third,) = of(bench.bring(A, *LOG[:5]), Append)
    assert not bench.machine.doomed(third.batch)
    effects = bench.machine.discarded(second.batch)
    assert not sent(effects, Unfollow)
    assert not of(bench.bring(A, *LOG[:5]), Append)
    bench.commit(third)
    assert bench.held.head(AUTHOR.node, 1) == LOG[4].head


def test_a_batch_whose_link_went_down_is_committed_all_the_same() -> None:
    bench = direct()
    (append,) = of(bench.bring(A, *LOG), Append)
    bench.machine.link_down(A, bench.now)
    assert not bench.commit(append)
    assert bench.held.head(AUTHOR.node, 1) == LOG[-1].head


# -- dishonest links ------------------------------------------------------------------------------------


def test_a_liar_that_advertises_what_it_does_not_have_loses_the_follow_for_longer_each_time() -> None:
    bench = Bench(*LOG[:5])
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, Head(10_000, b"l" * 32)))
    bench.told(C, LOG[9].head)
    assert bench.machine.through(AUTHOR.node) == B
    bench.wait(DEADLINE_S - 0.1)
    assert bench.machine.through(AUTHOR.node) == B
    bench.followed(C, bench.wait(0.2))
    (append,) = of(bench.bring(C, *LOG[5:]), Append)
    bench.commit(append)
    assert bench.held.head(AUTHOR.node, 1) == LOG[9].head
    more = chain(AUTHOR, 1, after=LOG[9].head)
    bench.now += HOLDOFF_S
    bench.told(C, more[0].head)
    assert bench.machine.through(AUTHOR.node) == C


def test_a_liar_cannot_win_time_by_the_size_of_its_lie() -> None:
    bench = Bench(*LOG[:5])
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, Head(MAX_COUNT, b"l" * 32)))
    bench.wait(1)
    bench.told(C, LOG[9].head)
    bench.wait(DEADLINE_S + 0.1)
    assert bench.machine.through(AUTHOR.node) == C


def test_a_dripper_loses_the_follow_though_something_comes_all_the_time() -> None:
    log = chain(AUTHOR, 200)
    bench = Bench()
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, log[-1].head))
    bench.told(C, log[-1].head)
    for entry in log[:10]:
        appends = of(bench.bring(B, entry), Append)
        for append in appends:
            bench.commit(append)
        bench.wait(1)
    assert bench.machine.through(AUTHOR.node) == C


def test_the_authors_own_link_loses_the_follow_too_when_it_drips() -> None:
    bench = direct()
    bench.up(B, RELAY.node)
    bench.told(A, LOG[9].head)
    bench.told(B, LOG[9].head)
    bench.wait(DEADLINE_S + 0.1)
    assert bench.machine.through(AUTHOR.node) == B


def test_a_slow_link_that_is_the_only_one_is_not_asked_twice() -> None:
    bench = direct()
    bench.told(A, LOG[9].head)
    for _ in range(100):
        assert not sent(bench.wait(1), Follow)
    assert of(bench.bring(A, *LOG), Append)


def test_of_two_slow_links_one_is_given_the_time_in_the_end() -> None:
    bench = relayed()
    moves = []
    for second in range(200):
        before = bench.machine.through(AUTHOR.node)
        bench.wait(1)
        if bench.machine.through(AUTHOR.node) not in (before, None):
            moves.append(second)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moves)]
    assert len(gaps) >= 3
    assert all(later >= 1.5 * earlier for earlier, later in itertools.pairwise(gaps)), moves


def test_a_link_that_follows_the_author_through_us_loses_the_follow_to_one_that_has_more() -> None:
    """Two nodes that follow an author through each other, and the author is gone: neither waits for a deadline."""
    bench = Bench(*LOG[:4], fed={B})
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, LOG[3].head))
    bench.told(C, LOG[3].head)
    assert bench.machine.through(AUTHOR.node) == B, "nobody has more: it may stay"
    effects = bench.told(C, LOG[9].head)
    assert sent(effects, Unfollow, B)
    bench.followed(C, effects)


def test_a_link_that_has_not_what_others_have_keeps_the_follow_for_a_moment_only() -> None:
    """It may be about to come that way; of a longer ring of nodes that follow each other nothing ever comes."""
    bench = Bench(*LOG[:4])
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, LOG[3].head))
    bench.told(C, LOG[9].head)
    bench.wait(GRACE_S / 2)
    assert bench.machine.through(AUTHOR.node) == B
    bench.wait(GRACE_S)
    assert bench.machine.through(AUTHOR.node) == C
    assert bench.machine.moves == 1


def test_a_link_that_says_in_the_meantime_that_it_has_it_too_gets_the_usual_time() -> None:
    bench = Bench(*LOG[:4])
    bench.up(B, RELAY.node)
    bench.up(C, OTHER.node)
    bench.followed(B, bench.told(B, LOG[3].head))
    bench.told(C, LOG[9].head)
    bench.wait(GRACE_S / 2)
    bench.told(B, LOG[9].head)
    bench.wait(DEADLINE_S - GRACE_S)
    assert bench.machine.through(AUTHOR.node) == B
    bench.wait(GRACE_S)
    assert bench.machine.through(AUTHOR.node) == C


def test_the_authors_own_link_takes_over_when_what_is_under_way_has_come() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    bench.followed(B, bench.told(B, LOG[5].head))
    bench.up(A, AUTHOR.node)
    assert not sent(bench.told(A, LOG[9].head), Follow), "it would bring once more what the relay is bringing"
    (append,) = of(bench.bring(B, *LOG[:6]), Append)
    bench.wait(1)
    assert bench.machine.through(AUTHOR.node) == B, "nor what is on its way to the disk"
    bench.commit(append)
    (ask,) = sent(bench.wait(1), Follow, A)
    assert ask.heads == ((1, LOG[5].head),)
    assert bench.machine.discarded_entries == 0


# -- epochs without end ---------------------------------------------------------------------------------


def openings(first: int, count: int) -> list[Entry]:
    return [chain(AUTHOR, 1, epoch=epoch)[0] for epoch in range(first, first + count)]


def test_an_author_may_open_only_so_many_epochs_and_is_told_of() -> None:
    bench = direct()
    (append,) = of(bench.bring(A, *openings(1, EPOCHS_AT_ONCE)), Append)
    bench.commit(append)
    effects = bench.bring(A, *openings(1 + EPOCHS_AT_ONCE, 3))
    assert not of(effects, Append)
    assert [alert.kind for alert in of(effects, Alert)] == ["epochs"]
    assert sent(effects, Credit), "and nothing is kept waiting"
    assert bench.machine.through(AUTHOR.node) is None
    assert len(bench.held.of(AUTHOR.node)) == EPOCHS_AT_ONCE


def test_what_fits_is_taken_and_the_rest_comes_in_time() -> None:
    bench = direct(*openings(1, EPOCHS_AT_ONCE - 2))
    (append,) = of(bench.bring(A, *openings(EPOCHS_AT_ONCE - 1, 5)), Append)
    assert len(append.entries) == 2
    bench.commit(append)
    bench.told(A, openings(EPOCHS_AT_ONCE + 3, 1)[0].head, epoch=EPOCHS_AT_ONCE + 3)
    bench.followed(A, bench.wait(3 * EPOCH_EVERY_S + 1))
    (append,) = of(bench.bring(A, *openings(EPOCHS_AT_ONCE + 1, 3)), Append)
    assert len(append.entries) == 3


def test_all_epochs_of_an_author_fit_a_follow_whatever_the_time() -> None:
    held = HeldLogs({AUTHOR.node: dict.fromkeys(range(1, EPOCHS_EVER), LOG[0].head)})
    budget = EpochBudget(held)
    assert not budget.take(AUTHOR.node, 0.0)
    assert budget.take(AUTHOR.node, EPOCH_EVERY_S)
    held.advance(openings(EPOCHS_EVER, 1))
    assert not budget.take(AUTHOR.node, 1e9)
    ask = Follow(AUTHOR.node, 1, tuple(held.of(AUTHOR.node).items()))
    assert len(encode(ask)) <= MAX_FRAME


def test_more_of_an_epoch_that_is_held_comes_whatever_the_number_of_epochs() -> None:
    bench = direct(*openings(1, EPOCHS_AT_ONCE + 10))
    held = bench.held.head(AUTHOR.node, 5)
    (append,) = of(bench.bring(A, *chain(AUTHOR, 3, epoch=5, after=held)), Append)
    assert len(append.entries) == 3


def test_a_slow_disk_of_our_own_is_nobodys_fault() -> None:
    bench = relayed()
    bench.bring(B, *LOG[:5])
    for _ in range(30):
        bench.wait(1)
    assert bench.machine.through(AUTHOR.node) == B


def test_a_forged_signature_at_the_end_of_a_run_ends_the_link_and_stores_nothing() -> None:
    bench = direct()
    effects = bench.bring(A, *LOG[:3], forged(LOG[3]))
    assert of(effects, Hangup)[0].code == "forged"
    assert not of(effects, Append)


def test_a_bad_signature_inside_a_run_that_ends_well_is_taken() -> None:
    bad = forged(LOG[0])
    bench = direct()
    assert of(bench.bring(A, bad, *chain(AUTHOR, 2, after=bad.head)), Append)


def test_a_violation_in_one_run_stores_nothing_of_the_frame_and_keeps_what_was_on_its_way() -> None:
    bench = direct()
    bench.machine.want([AUTHOR.node, OTHER.node], bench.now)
    bench.followed(A, bench.told(A, Head(9, b"x" * 32), author=OTHER.node))
    (append,) = of(bench.bring(A, *LOG[:3]), Append)
    effects = bench.bring(A, *LOG[3:5], forged(chain(OTHER, 1)[0]))
    assert of(effects, Hangup)
    assert not of(effects, Append)
    bench.machine.link_down(A, bench.now)
    bench.followed(A + 10, bench.machine.link_up(A + 10, AUTHOR.node, bench.now))
    (again,) = of(bench.bring(A + 10, *LOG[:5]), Append)
    assert again.entries == tuple(LOG[3:5])
    bench.commit(append)
    bench.commit(again)
    assert bench.held.head(AUTHOR.node, 1) == LOG[4].head


def test_an_entry_of_another_colony_ends_the_link() -> None:
    bench = direct()
    stray = make(AUTHOR, digest(b"another"), 1, START, 0, Kind.POST, pack_payload(bytes(16), {}))
    assert of(bench.bring(A, stray), Hangup)[0].code == "wrong_colony"


def test_what_is_never_redacted_must_come_with_its_payload() -> None:
    bench = direct()
    card = make(AUTHOR, COLONY, 1, START, 1, Kind.CARD, pack_payload(bytes(16), {}))
    card.payload = None
    assert of(bench.bring(A, card), Hangup)[0].code == "no_payload"


def test_a_message_may_come_without_its_payload() -> None:
    bench = direct()
    bare = chain(AUTHOR, 1)[0]
    bare.payload = None
    (append,) = of(bench.bring(A, bare), Append)
    assert append.entries == (bare,)


def test_what_a_link_claims_of_a_place() -> None:
    bench = relayed()
    place, beyond = LOG[4].position, LOG[4].position._replace(seq=11)
    assert bench.machine.offers.claims(B, place) is True
    assert bench.machine.offers.claims(B, beyond) is None
    assert bench.machine.offers.claims(A, place) is None
    bench.machine.have(B, have([(AUTHOR.node, 2, LOG[-1].head)], complete=False), bench.now)
    assert bench.machine.offers.claims(B, place._replace(epoch=2)) is False


def test_a_gap_stores_nothing_and_costs_the_follow_for_a_while_but_not_the_link() -> None:
    bench = direct(*LOG[:2])
    effects = bench.bring(A, *LOG[4:6])
    assert not of(effects, Append)
    assert not of(effects, Hangup)
    assert sent(effects, Credit)
    assert not sent(bench.wait(HOLDOFF_S - 1), Follow)
    (ask,) = sent(bench.wait(1.1), Follow, A)
    assert ask.heads == ((1, LOG[1].head),)


def test_endless_gaps_are_asked_for_less_and_less() -> None:
    bench = direct(*LOG[:2])
    asks = 0
    for _ in range(600):
        bench.bring(A, *LOG[4:6])
        for ask in sent(bench.wait(1), Follow, A):
            asks += 1
            bench.machine.following(A, Following(ask.author, ask.serial))
    assert 3 < asks < 10


def test_a_time_in_2100_is_taken_and_only_its_display_is_cut() -> None:
    far = 4_102_444_800_000
    late = make(AUTHOR, COLONY, 1, START, far << 16, Kind.POST, pack_payload(bytes(16), {"text": "x"}))
    bench = direct()
    (append,) = of(bench.bring(A, late), Append)
    assert wall_ms(append.entries[0].hlc) == far
    assert shown_time(late.hlc, 1_800_000_000_000).suspect


def test_more_than_the_credit_ends_the_link() -> None:
    bench = direct(credit=1000)
    head = START
    for _ in range(20):
        run = chain(AUTHOR, 12, after=head, text="x" * 60_000)
        head = run[-1].head
        effects = bench.bring(A, *run)
        if hangups := of(effects, Hangup):
            assert hangups[0].code == "credit_exceeded"
            break
    else:
        raise AssertionError("twenty unpaid batches were taken")
    assert head.seq * 60_000 > OVERDRAFT


def test_a_batch_above_the_limit_ends_the_link() -> None:
    bench = direct()
    run = chain(AUTHOR, 13, text="x" * 62_000)
    assert sum(entry.size for entry in run) > MAX_BATCH
    assert of(bench.bring(A, *run), Hangup)[0].code == "batch_too_big"


def test_a_flood_of_unknown_authors_is_remembered_up_to_a_bound() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    for first in range(0, MAX_STRANGERS + 500, 500):
        authors = [NodeId(n.to_bytes(32, "big")) for n in range(first, first + 500)]
        names = tuple(LogName(first + n, author, 1) for n, author in enumerate(authors))
        heads = tuple(Held(first + n, Head(5, b"h" * 32), True) for n in range(500))
        assert not bench.machine.have(B, Have(names, heads, ()), bench.now)
    wanted = bench.machine.want(
        [NodeId(n.to_bytes(32, "big")) for n in range(MAX_STRANGERS + 500)], bench.now
    )
    assert len(sent(wanted, Follow)) == MAX_STRANGERS + 2


def test_naming_logs_without_end_ends_the_link() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    names = tuple(LogName(n, AUTHOR.node, n) for n in range(MAX_NAMES + 1))
    assert of(bench.machine.have(B, Have(names, (), ()), bench.now), Hangup)[0].code == "too_many_logs"


def test_only_the_latest_epochs_of_a_flood_are_remembered() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    told = have([(AUTHOR.node, epoch, Head(1, b"h" * 32)) for epoch in range(1, 1000)])
    bench.machine.have(B, told, bench.now)
    assert bench.machine.behind(B) == MAX_EPOCHS


def test_a_head_of_a_log_without_a_name_ends_the_link() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    frame = Have((), (Held(7, LOG[0].head, True),), ())
    assert of(bench.machine.have(B, frame, bench.now), Hangup)[0].code == "unknown_log"


def test_cannot_follow_moves_the_follow_and_an_old_answer_does_nothing() -> None:
    bench = relayed()
    assert not bench.machine.cannot_follow(B, CannotFollow(AUTHOR.node, 9999, "no"), bench.now)
    serial = bench.machine._tracks[AUTHOR.node].serial
    effects = bench.machine.cannot_follow(B, CannotFollow(AUTHOR.node, serial, "no"), bench.now)
    assert sent(effects, Follow, C)


# -- forks ----------------------------------------------------------------------------------------------

BRANCH = chain(AUTHOR, 10, text="another branch")


def test_another_id_at_our_head_is_asked_about_without_touching_the_follow() -> None:
    bench = direct(*LOG)
    bench.up(B, RELAY.node)
    effects = bench.told(B, BRANCH[9].head)
    assert sent(effects, Follow, B) == [Follow(AUTHOR.node, QUESTION, ((1, LOG[9].head),))]
    assert bench.machine.through(AUTHOR.node) == A


def test_a_contradicting_run_stores_nothing_and_is_asked_about() -> None:
    bench = direct(*LOG[:5])
    effects = bench.bring(A, *BRANCH[5:])
    assert not of(effects, Append)
    assert sent(effects, Follow, A) == [Follow(AUTHOR.node, QUESTION, ((1, LOG[4].head),))]


def test_a_proved_fork_is_told_once_and_nothing_more_is_taken_on_that_epoch() -> None:
    bench = direct(*LOG[:5])
    assert of(bench.machine.disputed(AUTHOR.node, 1), Alert)[0].kind == "fork"
    assert not bench.machine.disputed(AUTHOR.node, 1)
    effects = bench.bring(A, *LOG[5:], *chain(AUTHOR, 2, epoch=2))
    (append,) = of(effects, Append)
    assert {entry.epoch for entry in append.entries} == {2}


def test_a_disputed_epoch_does_not_keep_later_ones_from_being_followed() -> None:
    bench = Bench(*LOG[:5])
    bench.machine.disputed(AUTHOR.node, 1)
    (ask,) = sent(bench.up(A, AUTHOR.node), Follow, A)
    assert ask.heads == ((1, Head(MAX_COUNT, LOG[4].id)),)
    bench.told(A, LOG[9].head)
    assert bench.machine.behind(A) == 0
    assert not bench.wait(DEADLINE_S * 10)


def test_each_fork_that_is_noted_ends_the_waits_so_that_the_next_is_found_soon() -> None:
    """Below the latest epochs a fork is met by following only, one epoch at a time: were the link held off longer each
    time, the tenth would be found after an hour."""
    bench = direct(*LOG[:5])
    bench.up(B, RELAY.node)
    older = Closed(AUTHOR.node, 7, b"d" * 32)
    bench.machine.have(B, Have((), (), (older,)), bench.now)
    bench.told(B, LOG[4].head)
    asked = 0
    for epoch in range(2, 12):
        for _ in range(5):
            if ask := [one for one in sent(bench.wait(1), Follow, B) if one.serial != QUESTION]:
                asked += 1
                told = CannotFollow(AUTHOR.node, ask[0].serial, "your head contradicts what is held here")
                bench.machine.cannot_follow(B, told, bench.now)
                bench.machine.disputed(AUTHOR.node, epoch)
    assert asked >= 10


@pytest.mark.parametrize("seq", [2**62 - 1, 1 << 40])
def test_absurd_heads_are_only_numbers(seq: int) -> None:
    bench = direct(*LOG)
    bench.told(A, Head(seq, b"z" * 32))
    for _ in range(20):
        bench.wait(60)
    assert bench.machine.through(AUTHOR.node) == A


def test_effects_name_only_links_that_are_up() -> None:
    bench = relayed()
    bench.machine.link_down(B, bench.now)
    effects = [*bench.machine.link_down(C, bench.now), *bench.wait(100), *bench.machine.want([], bench.now)]
    assert not of(effects, Send)
