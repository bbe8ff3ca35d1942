"""Following through links that lie, drip, flood or contradict themselves."""

from __future__ import annotations

import itertools

from maw.core.adverts import MAX_EPOCHS, MAX_NAMES, MAX_STRANGERS
from maw.core.clock import shown_time, wall_ms
from maw.core.effects import Alert, Append, Hangup
from maw.core.entry import MAX_COUNT, START, Entry, Head, Kind, make, pack_payload
from maw.core.epochs import EPOCH_EVERY_S, EPOCHS_AT_ONCE, EPOCHS_EVER, EpochBudget
from maw.core.following import OVERDRAFT
from maw.core.frames import (
    MAX_BATCH,
    MAX_FRAME,
    CannotFollow,
    Credit,
    Follow,
    Following,
    Have,
    Held,
    LogName,
    Unfollow,
    encode,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, digest
from maw.core.tracks import DEADLINE_S, GRACE_S, HOLDOFF_S
from tests.unit.core.builders import COLONY, chain, forged, have, of, sent
from tests.unit.core.following_bench import AUTHOR, LOG, OTHER, RELAY, A, B, Bench, C, direct, relayed

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
