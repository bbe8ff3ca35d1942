"""Asking for what is lacking. ``A``: the author's own link; ``B``, ``C``: relays."""

from __future__ import annotations

from collections.abc import Sequence

from maw.core.effects import Alert, Effect, Hangup, InVain, Link, Mended, ReadPlaces, Settled
from maw.core.entry import Entry, Position, decode
from maw.core.frames import MAX_ASKED, Ask, Mend
from maw.core.identity import NodeId, short_key
from maw.core.mending import (
    ASK_DEADLINE_S,
    GRACE_S,
    MAX_WANTED,
    REST_S,
    SILENT_S,
    WITHHOLDING,
    Mending,
    Wanted,
)
from tests.unit.core.builders import chain, of, sent, signer

AUTHOR, RELAY, OTHER = (signer(n) for n in range(1, 4))
A, B, C = 1, 2, 3
LOG = chain(AUTHOR, 6)
BARE = [decode(entry.header, entry.signature) for entry in LOG]


class Bench:
    """A machine, its time, and what each link claims of every place."""

    def __init__(self) -> None:
        self.claims: dict[Link, bool | None] = {A: None, B: None, C: None}
        self.machine = Mending(lambda link, place: self.claims[link])
        self.now = 100.0

    def up(self, link: Link, peer: NodeId, claims: bool | None = None) -> list[Effect]:
        self.claims[link] = claims
        return self.machine.link_up(link, peer, self.now)

    def want(self, *entries: Entry, payload: bool = True) -> list[Effect]:
        wanted = [Wanted(entry.position, entry.id, payload) for entry in entries]
        return self.machine.want(wanted, self.now)

    def answer(
        self, link: Link, entries: Sequence[Entry] = (), lacking: Sequence[Entry] = ()
    ) -> list[Effect]:
        frame = Mend(tuple(entries), tuple(entry.position for entry in lacking))
        return self.machine.mend(link, frame, self.now)

    def wait(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.machine.tick(self.now)


def asked(effects: Sequence[Effect], link: Link) -> list[Position]:
    return [place for ask in sent(effects, Ask, link) for place in ask.places]


def linked() -> Bench:
    bench = Bench()
    bench.up(A, AUTHOR.node, True)
    bench.up(B, RELAY.node, True)
    bench.up(C, OTHER.node, False)
    return bench


def test_the_author_is_asked_first_then_who_says_he_has_it_all_then_the_rest() -> None:
    bench = linked()
    effects = bench.want(LOG[0])
    for link in (A, B, C):
        assert [n for n in (A, B, C) if asked(effects, n)] == [link]
        effects = bench.answer(link, lacking=[LOG[0]])
    assert of(effects, InVain) == [InVain((LOG[0].position,))]


def test_what_fits_goes_to_the_disk_and_is_wanted_until_it_is_there() -> None:
    bench = linked()
    bench.want(LOG[0])
    effects = bench.answer(A, [LOG[0]])
    assert of(effects, Mended) == [Mended(A, (LOG[0],))]
    assert bench.machine.wants(LOG[0].position)
    assert not sent(effects, Ask)
    bench.machine.settled([LOG[0].position])
    assert not bench.machine.wants(LOG[0].position)


def test_another_entry_at_the_place_and_a_header_alone_are_not_taken() -> None:
    other_branch = chain(AUTHOR, 1, text="other")[0]
    for wrong in (other_branch, BARE[0]):
        bench = linked()
        bench.want(LOG[0])
        effects = bench.answer(A, [wrong])
        assert not of(effects, Mended)
        assert asked(effects, B) == [LOG[0].position]


def test_where_the_header_is_enough_it_is_taken() -> None:
    bench = linked()
    bench.want(LOG[0], payload=False)
    assert of(bench.answer(A, [BARE[0]]), Mended) == [Mended(A, (BARE[0],))]


def test_damaged_neighbours_are_demanded_from_the_top_down() -> None:
    bench = linked()
    wanted = [Wanted(entry.position, entry.id if entry is LOG[3] else None) for entry in reversed(LOG[:4])]
    effects = bench.machine.want(wanted, bench.now)
    assert asked(effects, A) == [entry.position for entry in reversed(LOG[:4])]
    (mended,) = of(bench.answer(A, LOG[:4]), Mended)
    assert mended.entries == tuple(LOG[:4])


def test_what_did_not_fit_into_the_answer_is_asked_again_of_the_same_link() -> None:
    bench = linked()
    bench.want(*LOG[:4])
    effects = bench.answer(A, LOG[:2])
    assert asked(effects, A) == [entry.position for entry in LOG[2:4]]


def test_who_does_not_answer_in_time_has_refused() -> None:
    bench = linked()
    bench.want(LOG[0])
    assert not asked(bench.wait(ASK_DEADLINE_S - 1), B)
    assert asked(bench.wait(1), B) == [LOG[0].position]
    late = bench.answer(A, [LOG[0]])
    assert of(late, Mended) == [Mended(A, (LOG[0],))]
    bench.answer(B, [LOG[0]])


def test_a_link_that_goes_away_leaves_its_places_to_the_others() -> None:
    bench = linked()
    bench.want(LOG[0])
    assert asked(bench.machine.link_down(A, bench.now), B) == [LOG[0].position]


def test_in_vain_rests_longer_each_time_and_a_new_link_is_asked_at_once() -> None:
    bench = Bench()
    bench.up(B, RELAY.node)
    bench.want(LOG[0])
    bench.answer(B, lacking=[LOG[0]])
    assert not bench.wait(REST_S - 1)
    assert asked(bench.up(C, OTHER.node), C)
    bench.answer(C, lacking=[LOG[0]])
    again = bench.wait(1)
    assert asked(again, B) + asked(again, C) == [LOG[0].position]
    bench.answer(C if asked(again, C) else B, lacking=[LOG[0]])
    assert of(bench.answer(B if asked(again, C) else C, lacking=[LOG[0]]), InVain)
    assert not bench.wait(2 * REST_S - 1)
    assert sent(bench.wait(1), Ask)


def test_without_links_it_is_in_vain_and_the_first_link_is_asked() -> None:
    bench = Bench()
    assert of(bench.want(LOG[0]), InVain)
    assert asked(bench.up(A, AUTHOR.node), A) == [LOG[0].position]


def test_a_link_that_claims_all_and_gives_nothing_is_told_of_after_a_grace() -> None:
    bench = linked()
    bench.claims[B] = False
    bench.want(LOG[0], LOG[1])
    bench.answer(A, [BARE[0]], [LOG[1]])
    effects = bench.answer(B, [LOG[1]])
    assert not of(effects, Alert)
    bench.machine.settled([LOG[1].position])
    (alert,) = of(bench.wait(GRACE_S), Alert)
    assert (alert.kind, alert.subject) == (WITHHOLDING, short_key(AUTHOR.node))
    assert not of(bench.wait(1), Alert), "told once"
    assert bench.machine.settled([LOG[0].position]) == [Settled(WITHHOLDING, short_key(AUTHOR.node))]


def test_a_rule_that_comes_within_the_grace_ends_it_without_a_word() -> None:
    bench = linked()
    bench.want(LOG[0])
    for link in (A, B, C):
        bench.answer(link, [BARE[0]])
    assert bench.machine.settled([LOG[0].position]) == []
    assert bench.wait(GRACE_S) == []


def test_the_grace_counts_from_when_it_was_not_given_however_long_it_is_lacking() -> None:
    """Who comes back after a day has a rule to tell, perhaps."""
    bench = Bench()
    bench.want(LOG[0])
    bench.wait(86_400)
    bench.up(A, AUTHOR.node, True)
    bench.answer(A, [BARE[0]])
    assert not of(bench.wait(GRACE_S - 1), Alert)
    assert of(bench.wait(1), Alert)


def test_silence_is_told_of_late_for_a_slow_link_may_be_all_that_is_wrong() -> None:
    bench = Bench()
    bench.up(A, AUTHOR.node, True)
    bench.want(LOG[0])
    bench.wait(ASK_DEADLINE_S)
    bench.machine.mend(A, Mend((), ()), bench.now)  # so that nothing else is asked of it
    assert not of(bench.wait(GRACE_S + 1), Alert)
    assert of(bench.wait(SILENT_S), Alert)


def test_who_claims_nothing_is_not_blamed() -> None:
    bench = Bench()
    bench.up(C, OTHER.node, False)
    bench.want(LOG[0])
    bench.answer(C, [BARE[0]])
    assert not of(bench.wait(GRACE_S + 1), Alert)


def test_an_answer_that_nobody_asked_for_ends_the_link() -> None:
    bench = linked()
    assert of(bench.answer(A, [LOG[0]]), Hangup)


def test_a_write_that_failed_is_looked_for_again_later() -> None:
    bench = linked()
    bench.want(LOG[0])
    bench.answer(A, [LOG[0]])
    bench.machine.not_stored([LOG[0].position], bench.now)
    assert not sent(bench.wait(1), Ask)
    assert asked(bench.wait(REST_S), A) == [LOG[0].position]


def test_asks_and_what_is_wanted_are_bounded() -> None:
    log = chain(AUTHOR, MAX_WANTED + 1)
    bench = linked()
    effects = bench.want(*log)
    assert len(asked(effects, A)) == MAX_ASKED
    assert of(effects, InVain) == [InVain((log[-1].position,))]
    assert bench.machine.room == 0


def test_one_question_of_a_peer_is_read_for_at_a_time() -> None:
    bench = linked()
    ask = Ask((LOG[0].position, LOG[1].position))
    assert bench.machine.asked(B, ask) == [ReadPlaces(B, ask.places)]
    assert bench.machine.asked(B, ask) == []
    effects = bench.machine.places_read(B, [LOG[0]], [LOG[1].position])
    assert sent(effects, Mend, B) == [Mend((LOG[0],), (LOG[1].position,))]
    assert bench.machine.asked(B, ask) == [ReadPlaces(B, ask.places)]


def test_an_answer_that_comes_after_its_place_was_settled_frees_the_link() -> None:
    """Else nothing more would be asked of it until the deadline of what it has answered."""
    bench = Bench()
    bench.want(LOG[0])
    assert asked(bench.up(A, AUTHOR.node, True), A) == [LOG[0].position]
    bench.machine.settled([LOG[0].position])  # who wanted it gave up before the link came
    assert not of(bench.answer(A, [LOG[0]]), Mended)
    assert asked(bench.want(LOG[0]), A) == [LOG[0].position]
    assert of(bench.answer(A, [LOG[0]]), Mended)
