"""However a relay cuts and repeats what it sends, the same entries are held in the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.effects import Append, Hangup
from maw.core.entry import START, Entry, Head
from maw.core.following import Followed
from maw.core.frames import Entries, Following
from maw.core.held import HeldLogs
from maw.core.log import Doubt, check_run, cut_at_signature, unheld
from maw.core.serving import batches
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, chain, forged, of, signer

ME, AUTHOR = signer(1), signer(2)
LOG = chain(AUTHOR, 12)
BRANCH = chain(AUTHOR, 12, text="another branch")


def mixed(bad: set[int]) -> list[Entry]:
    """A log in which the author signed badly at ``bad``."""
    made: list[Entry] = []
    head = START
    for number in range(12):
        entry = chain(AUTHOR, 1, after=head, text=str(number))[0]
        made.append(forged(entry) if number in bad else entry)
        head = made[-1].head
    return made


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_overlapping_cuts_in_any_order_never_leave_a_gap_or_a_repeat(cuts: list[tuple[int, int]]) -> None:
    held: list[Entry] = []
    for start, end in [*cuts, (0, 12)]:
        run = LOG[start:end]
        head = held[-1].head if held else START
        try:
            fresh = unheld(head, run)
            if fresh:
                check_run(COLONY, head, fresh)
        except Doubt:
            assert start > len(held)
            continue
        held += fresh
    assert held == LOG


@given(st.sets(st.integers(0, 11)), st.integers(0, 12))
def test_what_is_valid_does_not_depend_on_where_the_batches_were_cut(bad: set[int], cut: int) -> None:
    log = mixed(bad)
    whole = list(cut_at_signature(log))
    first = list(cut_at_signature(log[:cut]))
    rest = list(cut_at_signature(log[len(first) :]))
    assert first + rest == whole
    head = START
    for part in (first, rest):
        if part:
            check_run(COLONY, head, part)
            head = part[-1].head


@given(st.sets(st.integers(0, 10)))
def test_frames_end_at_good_signatures_and_leave_nothing_out(bad: set[int]) -> None:
    log = mixed(bad)
    parts = batches(log)
    assert [entry for part in parts for entry in part] == log
    assert all(part[-1].signature_holds() for part in parts)


entries = st.sampled_from(
    [*LOG, *BRANCH, *map(forged, LOG[:3]), *chain(AUTHOR, 3, epoch=2), *chain(signer(3), 2)]
)


@settings(max_examples=200)
@given(st.lists(st.lists(entries, max_size=5), max_size=12), st.randoms(use_true_random=False))
def test_whatever_a_link_sends_what_is_held_is_a_chain(frames: list[list[Entry]], rng) -> None:  # type: ignore[no-untyped-def]
    held = HeldLogs({})
    machine = Followed(ME.node, COLONY, held)
    machine.want([AUTHOR.node], 0.0)
    machine.link_up(1, AUTHOR.node, 0.0)
    disk: list[Entry] = []
    waiting: list[Append] = []
    for now, frame in enumerate(frames):
        track = machine._tracks[AUTHOR.node]
        machine.following(1, Following(AUTHOR.node, track.serial))
        effects = machine.entries(1, Entries(tuple(frame)), float(now * 100))
        if of(effects, Hangup):
            break
        waiting += of(effects, Append)
        while waiting and rng.random() < 0.5:
            append = waiting.pop(0)
            if machine.doomed(append.batch) or rng.random() < 0.3:
                machine.discarded(append.batch)
                continue
            held.advance(append.entries)
            machine.committed(append.batch)
            disk += append.entries
        machine.tick(float(now * 100 + 50))
    heads: dict[int, Head] = {}
    for entry in disk:
        head = heads.get(entry.epoch, START)
        assert entry.author == AUTHOR.node
        assert (entry.seq, entry.prev) == (head.seq + 1, head.id)
        heads[entry.epoch] = entry.head
    for epoch, head in heads.items():
        assert held.head(AUTHOR.node, epoch) == head


@given(st.integers(0, 11), st.integers(0, 11))
def test_a_branch_is_never_taken_onto_another(ours: int, theirs: int) -> None:
    head = LOG[ours].head
    try:
        fresh = unheld(head, BRANCH[theirs:])
        if fresh:
            check_run(COLONY, head, fresh)
    except ProtocolViolation:
        return
    assert not fresh
