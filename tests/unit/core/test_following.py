"""The receiving half against honest and dishonest links. ``A``: the author's own; ``B``, ``C``: relays."""

from __future__ import annotations

import pytest

from maw.core.effects import Alert, Append, OwnLogReturned, Receipt, Send
from maw.core.entry import MAX_COUNT, START, Head
from maw.core.following import Followed
from maw.core.frames import (
    CannotFollow,
    Closed,
    Credit,
    Follow,
    Have,
    Held,
    LogName,
    Unfollow,
    UpToDate,
)
from maw.core.identity import NodeId
from maw.core.log import closed_digest
from maw.core.serving import QUESTION
from maw.core.tracks import DEADLINE_S, HOLDOFF_S
from tests.unit.core.builders import chain, have, of, sent, signer
from tests.unit.core.following_bench import AUTHOR, LOG, ME, OTHER, RELAY, A, B, Bench, C, direct, relayed

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


def test_who_holds_our_log_just_as_it_came_back_has_given_a_receipt_for_it() -> None:
    mine = chain(ME, 5)
    bench = Bench(*mine[:2])
    for link, author in ((B, RELAY), (A, AUTHOR), (C, OTHER)):
        bench.up(link, author.node)
    bench.followed(B, bench.told(B, mine[4].head, author=ME.node))
    bench.told(A, mine[3].head, author=ME.node)
    bench.machine.have(C, have([(ME.node, 1, mine[4].head)], complete=False), bench.now)
    (append,) = of(bench.bring(B, *mine[2:]), Append)
    assert of(bench.commit(append), Receipt) == [Receipt(RELAY.node, 1, 5)], (
        "not who has less, or lacks payloads"
    )


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
