from __future__ import annotations

from maw.core.effects import Hangup, ReadLog
from maw.core.entry import START, Entry, Head
from maw.core.frames import (
    MAX_BATCH,
    TARGET_BATCH,
    CannotFollow,
    Entries,
    Follow,
    Following,
    Fork,
    UpToDate,
)
from maw.core.held import HeldLogs
from maw.core.log import Heads
from maw.core.serving import (
    INITIAL_CREDIT,
    MAX_READS,
    QUESTION,
    READ_SIZES,
    RESERVE,
    Serving,
    batches,
)
from tests.unit.core.builders import chain, forged, of, sent, signer

ME, ONE, TWO = signer(1), signer(2), signer(3)
LINK, SECOND = 1, 2
LOG = chain(ONE, 8)


def serving(*held: Entry, credit: int = INITIAL_CREDIT) -> tuple[Serving, HeldLogs]:
    logs = HeldLogs({})
    logs.advance(held)
    machine = Serving(ME.node, logs, credit)
    machine.link_up(LINK)
    machine.link_up(SECOND)
    return machine, logs


def ask(author: Entry | None = None, serial: int = 5, **heads: Head) -> Follow:
    known = tuple((int(epoch[1:]), head) for epoch, head in heads.items())
    return Follow(author.author if author else ONE.node, serial, known)


def seqs(frames: list[Entries]) -> list[int]:
    return [entry.seq for frame in frames for entry in frame.entries]


def test_a_follower_that_has_all_is_live_at_once() -> None:
    machine, _ = serving(*LOG)
    effects = machine.follow(LINK, ask(e1=LOG[7].head))
    assert sent(effects, Following) == [Following(ONE.node, 5)]
    assert sent(effects, UpToDate) == [UpToDate(ONE.node, 5)]
    assert not of(effects, ReadLog)


def test_a_follower_that_lacks_something_is_read_to_from_the_store_until_it_is_live() -> None:
    machine, _ = serving(*LOG)
    effects = machine.follow(LINK, ask(e1=LOG[1].head))
    assert not sent(effects, UpToDate)
    (read,) = of(effects, ReadLog)
    assert read == ReadLog(LINK, ONE.node, 5, {1: LOG[1].head}, READ_SIZES[1])
    effects = machine.log_read(LINK, ONE.node, 5, LOG[2:5], [])
    assert seqs(sent(effects, Entries)) == [3, 4, 5]
    (read,) = of(effects, ReadLog)
    assert read.heads == {1: LOG[4].head}
    effects = machine.log_read(LINK, ONE.node, 5, LOG[5:], [])
    assert seqs(sent(effects, Entries)) == [6, 7, 8]
    assert sent(effects, UpToDate)


def test_what_is_committed_goes_to_live_followers_at_once_and_only_once() -> None:
    machine, held = serving(*LOG[:4])
    machine.follow(LINK, ask(e1=LOG[3].head))
    held.advance(LOG[4:6])
    assert seqs(sent(machine.committed(LOG[4:6]), Entries)) == [5, 6]
    held.advance(LOG[6:])
    assert seqs(sent(machine.committed(LOG[4:]), Entries)) == [7, 8]


def test_what_is_committed_waits_for_a_follower_that_is_still_behind() -> None:
    machine, held = serving(*LOG[:4])
    machine.follow(LINK, ask())
    held.advance(LOG[4:])
    assert not sent(machine.committed(LOG[4:]), Entries)
    effects = machine.log_read(LINK, ONE.node, 5, LOG[:4], [])
    assert seqs(sent(effects, Entries)) == [1, 2, 3, 4]
    assert of(effects, ReadLog)


def test_later_epochs_belong_to_the_follow() -> None:
    machine, held = serving(*LOG)
    machine.follow(LINK, ask(e1=LOG[7].head))
    later = chain(ONE, 2, epoch=2)
    held.advance(later)
    assert [(e.epoch, e.seq) for f in sent(machine.committed(later), Entries) for e in f.entries] == [
        (2, 1),
        (2, 2),
    ]


def test_nothing_of_this_author_is_a_refusal_but_our_own_log_may_be_empty_still() -> None:
    machine, _ = serving()
    assert sent(machine.follow(LINK, ask()), CannotFollow)
    effects = machine.follow(LINK, Follow(ME.node, 1, ()))
    assert sent(effects, UpToDate)


def test_unfollow_and_a_new_follow_end_the_old_one() -> None:
    machine, held = serving(*LOG)
    machine.follow(LINK, ask())
    machine.unfollow(LINK, ONE.node)
    assert not sent(machine.log_read(LINK, ONE.node, 5, LOG, []), Entries)
    machine.follow(LINK, ask(serial=6))
    machine.follow(LINK, ask(serial=7, e1=LOG[7].head))
    assert not sent(machine.log_read(LINK, ONE.node, 6, LOG, []), Entries)
    assert machine.followers(LINK) == 1
    held.advance(chain(ONE, 1, after=LOG[7].head))


def test_without_credit_nothing_is_read_and_credit_sets_it_going() -> None:
    machine, _held = serving(*LOG, credit=500)
    (read,) = of(machine.follow(LINK, ask()), ReadLog)
    effects = machine.log_read(LINK, ONE.node, 5, LOG[:3], [])
    assert seqs(sent(effects, Entries)) == [1, 2, 3]
    assert machine.credit_of(LINK) < 0
    assert not of(effects, ReadLog)
    paid = sum(entry.size for entry in LOG[:3])
    (read,) = of(machine.credited(LINK, paid), ReadLog)
    assert read.heads == {1: LOG[2].head}
    assert machine.credit_of(LINK) == 500


def test_a_live_follower_without_credit_for_it_falls_back_to_the_store() -> None:
    machine, held = serving(*LOG[:2], credit=LOG[2].size + 10)
    machine.follow(LINK, ask(e1=LOG[1].head))
    held.advance(LOG[2:])
    effects = machine.committed(LOG[2:])
    assert not sent(effects, Entries)
    assert of(effects, ReadLog)


def test_more_credit_than_was_used_ends_the_link() -> None:
    machine, _ = serving(*LOG)
    assert of(machine.credited(LINK, 1), Hangup)


def test_a_link_that_is_gone_takes_its_follows_along_and_gives_reads_back() -> None:
    machine, _ = serving(*LOG)
    machine.follow(LINK, ask())
    assert machine.busy == 1
    machine.link_down(LINK)
    assert not machine.log_read(LINK, ONE.node, 5, LOG, [])
    assert machine.busy == 0


def test_only_so_many_reads_run_at_once() -> None:
    authors = [signer(n) for n in range(10, 10 + MAX_READS + 2)]
    machine, _ = serving(*(chain(author, 1)[0] for author in authors))
    reads = [r for a in authors for r in of(machine.follow(LINK, Follow(a.node, 1, ())), ReadLog)]
    assert len(reads) == MAX_READS
    assert of(machine.follow(SECOND, Follow(authors[0].node, 1, ())), ReadLog), "each link has its own"
    first = chain(authors[0], 1)
    assert len(of(machine.log_read(LINK, authors[0].node, 1, first, []), ReadLog)) == 1
    assert machine.busy == 2 * MAX_READS


def test_a_catch_up_leaves_credit_for_what_is_live() -> None:
    credit = 64_000
    old = chain(ONE, 200, text="x" * 400)
    now = chain(TWO, 4)
    machine, held = serving(*old, *now[:1], credit=credit)
    machine.follow(LINK, Follow(TWO.node, 1, ((1, now[0].head),)))
    effects = machine.follow(LINK, ask())
    at = 0
    while of(effects, ReadLog):  # nothing is ever paid back
        effects = machine.log_read(LINK, ONE.node, 5, old[at : at + 10], [])
        at += 10
    assert 0 < at < 200
    assert machine.credit_of(LINK) > 0
    held.advance(now[1:])
    assert seqs(sent(machine.committed(now[1:]), Entries)) == [2, 3, 4]


def test_a_read_is_as_large_as_the_credit_allows_and_the_smallest_overdraws_the_reserve() -> None:
    smallest, largest = READ_SIZES
    long = chain(ONE, 40, text="x" * 30_000)
    machine, _held = serving(*long)
    effects = machine.follow(LINK, ask())
    sizes = []
    at = 0
    while reads := of(effects, ReadLog):  # a slow link: nothing is paid back yet
        sizes.append(reads[0].size)
        read = max(1, reads[0].size // long[0].size)
        effects = machine.log_read(LINK, ONE.node, 5, long[at : at + read], [])
        at += read
    assert sizes[0] == largest
    assert sizes[-1] == smallest
    assert sizes == sorted(sizes, reverse=True)
    assert machine.credit_of(LINK) > INITIAL_CREDIT * RESERVE - smallest


def test_what_the_follower_sent_us_is_not_sent_back() -> None:
    machine, held = serving(*LOG[:4])
    machine.follow(LINK, ask(e1=LOG[3].head))
    machine.follow(SECOND, ask(e1=LOG[3].head))
    machine.heard_from(LINK, LOG[4:])
    held.advance(LOG[4:])
    effects = machine.committed(LOG[4:])
    assert not sent(effects, Entries, LINK)
    assert seqs(sent(effects, Entries, SECOND)) == [5, 6, 7, 8]


def test_a_contradicting_head_is_answered_with_the_proof() -> None:
    machine, _ = serving(*LOG)
    branch = chain(ONE, 8, text="another branch")
    (read,) = of(machine.follow(LINK, ask(e1=branch[7].head)), ReadLog)
    effects = machine.log_read(LINK, ONE.node, read.serial, [], LOG[7:])
    assert sent(effects, Fork) == [Fork(ONE.node, 1, tuple(LOG[7:]))]
    assert sent(effects, CannotFollow)


def test_a_contradicted_epoch_does_not_keep_later_ones_back() -> None:
    later = chain(ONE, 3, epoch=2)
    machine, held = serving(*LOG, *later)
    branch = chain(ONE, 8, text="another branch")
    (read,) = of(machine.follow(LINK, ask(e1=branch[7].head)), ReadLog)
    effects = machine.log_read(LINK, ONE.node, read.serial, [], LOG[7:])
    assert sent(effects, Fork) == [Fork(ONE.node, 1, tuple(LOG[7:]))]
    assert not sent(effects, CannotFollow)
    (read,) = of(effects, ReadLog)
    effects = machine.log_read(LINK, ONE.node, read.serial, later, [])
    assert [(entry.epoch, entry.seq) for frame in sent(effects, Entries) for entry in frame.entries] == [
        (2, 1), (2, 2), (2, 3)
    ]  # fmt: skip
    assert sent(effects, UpToDate)
    more = chain(ONE, 2, after=LOG[7].head)
    held.advance(more)
    assert not sent(machine.committed(more), Entries), "of that one nothing more goes over this follow"


def test_a_question_about_a_fork_moves_no_cursor() -> None:
    machine, held = serving(*LOG[:4])
    machine.follow(LINK, ask(e1=LOG[3].head))
    (read,) = of(machine.follow(LINK, ask(serial=QUESTION, e1=LOG[1].head)), ReadLog)
    assert read.serial == QUESTION
    assert not sent(machine.log_read(LINK, ONE.node, QUESTION, LOG[2:4], []), Entries)
    held.advance(LOG[4:])
    assert seqs(sent(machine.committed(LOG[4:]), Entries)) == [5, 6, 7, 8]
    machine.follow(LINK, ask(serial=QUESTION, e1=Head(4, b"x" * 32)))
    assert sent(machine.log_read(LINK, ONE.node, QUESTION, [], LOG[3:]), Fork)


def test_a_question_about_one_epoch_reads_no_other() -> None:
    """Else a page full of older epochs would be read, and never the place that was asked about."""
    later = chain(ONE, 3, epoch=2)
    machine, _ = serving(*LOG, *later)
    (read,) = of(machine.follow(LINK, ask(serial=QUESTION, e2=Head(2, b"x" * 32))), ReadLog)
    assert read.heads[2] == Head(2, b"x" * 32)
    assert read.heads[1].seq > LOG[-1].seq


def test_of_many_questions_about_one_author_each_is_answered() -> None:
    """All of them come at once when two nodes meet whose author forked in every epoch that they name."""
    logs = {epoch: chain(ONE, 2, epoch=epoch) for epoch in (1, 2, 3, 4)}
    machine, _ = serving(*(entry for log in logs.values() for entry in log))
    other = Head(2, b"x" * 32)
    effects = [
        effect
        for epoch in logs
        for effect in machine.follow(LINK, Follow(ONE.node, QUESTION, ((epoch, other),)))
    ]
    answered: list[int] = []
    while reads := of(effects, ReadLog):
        (epoch,) = (epoch for epoch, head in reads[0].heads.items() if head == other)
        effects = machine.log_read(LINK, ONE.node, QUESTION, [], logs[epoch][1:])
        answered += [fork.epoch for fork in sent(effects, Fork)]
    assert answered == [1, 2, 3, 4]
    assert not machine.busy


def test_questions_without_end_cost_one_read_at_a_time() -> None:
    machine, _ = serving(*LOG)
    asked = [machine.follow(LINK, ask(serial=QUESTION, e1=LOG[1].head, e9=LOG[1].head)) for _ in range(100)]
    assert sum(len(of(effects, ReadLog)) for effects in asked) == MAX_READS
    assert machine.busy == MAX_READS
    reads = 0
    while machine.busy:
        machine.log_read(LINK, ONE.node, QUESTION, [], [])
        reads += 1
    assert reads == 2, "the one under way, and all that came meanwhile; nothing of an epoch that is not held"


def test_a_head_beyond_everything_asks_for_nothing_of_that_epoch() -> None:
    machine, _held = serving(*LOG)
    effects = machine.follow(LINK, ask(e1=Head((1 << 62) - 1, LOG[7].id)))
    assert sent(effects, UpToDate)
    assert not of(effects, ReadLog)


def test_a_log_that_cannot_be_read_is_said_to_be_so_at_the_second_time() -> None:
    machine, _ = serving(*LOG)
    machine.follow(LINK, ask())
    effects = machine.log_read(LINK, ONE.node, 5, [], [])
    assert of(effects, ReadLog)
    assert not sent(effects, CannotFollow)
    assert sent(machine.log_read(LINK, ONE.node, 5, [], []), CannotFollow)


def test_frames_are_cut_at_good_signatures_only() -> None:
    good = chain(ONE, 3, text="g" * 60_000)
    bad: list[Entry] = []
    head = good[-1].head
    for _ in range(9):
        bad.append(forged(chain(ONE, 1, after=head, text="b" * 60_000)[0]))
        head = bad[-1].head
    end = chain(ONE, 1, after=head)
    parts = batches([*good, *bad, *end])
    assert [entry for part in parts for entry in part] == [*good, *bad, *end]
    assert all(part[-1].signature_holds() for part in parts)
    assert len(parts[0]) == 3
    assert all(sum(entry.size for entry in part) <= MAX_BATCH for part in parts)


def test_an_ordinary_backlog_is_cut_into_frames_of_the_usual_size() -> None:
    log = chain(ONE, 40, text="x" * 30_000)
    parts = batches(log)
    assert [entry for part in parts for entry in part] == log
    assert all(TARGET_BATCH <= sum(e.size for e in part) < TARGET_BATCH + 40_000 for part in parts[:-1])


def test_a_follower_of_an_unknown_epoch_is_no_trouble() -> None:
    machine, _ = serving(*LOG)
    heads: Heads = {1: LOG[7].head, 77: Head(3, b"y" * 32)}
    effects = machine.follow(LINK, Follow(ONE.node, 1, tuple(heads.items())))
    assert sent(effects, UpToDate)
    assert START not in heads.values()


def test_who_asks_again_and_again_without_giving_credit_stands_in_line_once() -> None:
    serving = Serving(ONE.node, HeldLogs({ONE.node: {1: Head(10, b"x" * 32)}}))
    serving.link_up(1)
    serving._outlets[1].credit = 0
    for serial in range(1, 200):
        serving.follow(1, Follow(ONE.node, serial, ()))
        serving.unfollow(1, ONE.node)
    serving.follow(1, Follow(ONE.node, 1000, ()))
    assert len(serving._outlets[1].waiting) == 1
    (read,) = serving.credited(1, INITIAL_CREDIT)
    assert isinstance(read, ReadLog)
    assert read.serial == 1000
