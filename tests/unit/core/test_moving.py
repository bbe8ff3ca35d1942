"""Agents that move: the words of a move in their order, and where an agent lives by what two hosts said."""

from __future__ import annotations

import itertools
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from maw.core.colony import AgentCard
from maw.core.entry import Position, decode, pack_content, unpack_content, unpack_payload
from maw.core.handover import Handover, Mail
from maw.core.identity import NodeId
from maw.core.lent import MAX_LENT, Lent, Loan
from maw.core.moving import (
    ACCEPTED,
    CANCELLED,
    HANDED,
    MOVED,
    OFFERED,
    OPEN,
    READY,
    REFUSED,
    Fact,
    Moved,
    fact_of,
    step_after,
)
from maw.core.sealing import Sealed, key_id, open_box, public_of, unwrap
from maw.core.travels import MAX_OF_AGENT, Travels
from tests.vectors import make_moving

A, B, C, D = (NodeId(bytes([one]) * 32) for one in b"ABCD")
SCOUT = b"s" * 16


def said(node: NodeId, other: NodeId, move: int, seq: int, *, came: bool = False, epoch: int = 1) -> Fact:
    return Fact(node, SCOUT, bytes([move]) * 16, came, epoch, seq, other)


def moved(old: NodeId, new: NodeId, move: int, left_at: int, came_at: int) -> list[Fact]:
    return [said(old, new, move, left_at), said(new, old, move, came_at, came=True)]


def travels(facts: list[Fact]) -> Travels:
    found = Travels()
    for fact in facts:
        found.add(fact)
    return found


# -- what follows from what both hosts said ---------------------------------------------------------


def test_a_move_counts_when_both_hosts_said_so() -> None:
    left, came = moved(A, B, 1, 5, 9)
    assert travels([left]).home(A, SCOUT) == A, "given to who did not take it"
    assert travels([came]).home(A, SCOUT) == A, "taken from who did not give it"
    assert travels([left, came]).home(A, SCOUT) == B
    assert travels([left, came]).former(B, SCOUT) == (A,)
    assert travels([left, came]).home(B, SCOUT) == B
    assert travels([left, came]).home(A, b"o" * 16) == A, "of another agent nothing was said"


def test_the_two_must_mean_the_same_move() -> None:
    left = said(A, B, 1, 5)
    for other in (
        said(B, A, 2, 9, came=True),
        said(B, C, 1, 9, came=True),
        said(C, A, 1, 9, came=True),
        said(B, A, 1, 9),
    ):
        assert travels([left, other]).home(A, SCOUT) == A


def test_who_says_alone_that_it_went_has_it_no_more() -> None:
    alone = travels([said(A, B, 1, 5)])
    assert alone.has_left(A, SCOUT) and not alone.has_left(B, SCOUT)
    back = travels([*moved(A, B, 1, 5, 1), *moved(B, A, 2, 7, 8)])
    assert not back.has_left(A, SCOUT) and back.has_left(B, SCOUT)


def test_who_waits_for_the_other_sides_word() -> None:
    left, came = moved(A, B, 1, 5, 9)
    assert travels([came]).is_awaited(B, SCOUT)
    assert not travels([left]).is_awaited(B, SCOUT) and not travels([left, came]).is_awaited(B, SCOUT)


def test_on_and_back() -> None:
    on = [*moved(A, B, 1, 5, 1), *moved(B, C, 2, 7, 1)]
    assert {travels(on).home(node, SCOUT) for node in (A, B, C)} == {C}
    assert travels(on).former(C, SCOUT) == (A, B) and travels(on).former(B, SCOUT) == ()
    back = [*moved(A, B, 1, 5, 1), *moved(B, A, 2, 7, 8)]
    assert travels(back).home(B, SCOUT) == travels(back).home(A, SCOUT) == A
    again = [*back, *moved(A, B, 3, 20, 30)]
    assert travels(again).home(A, SCOUT) == travels(again).home(B, SCOUT) == B


def test_what_a_revoked_key_said_above_its_cut_moves_nobody() -> None:
    found = travels([*moved(A, B, 1, 5, 1), *moved(B, C, 2, 7, 1)])
    gone = found.drop(B, {1: 6})
    assert gone == [said(B, C, 2, 7)] and found.home(A, SCOUT) == B
    assert found.drop(B, {}) and found.home(A, SCOUT) == A, "epochs that are not listed count for nothing"


def test_a_key_that_took_the_place_of_another_has_its_agents() -> None:
    found = travels(moved(A, B, 1, 5, 1))
    found.heirs = {B: D}
    assert found.home(A, SCOUT) == D and found.former(D, SCOUT) == (A, B)


def test_words_in_a_circle_move_nobody() -> None:
    """Who gave and took in an order that cannot be is not believed, and nobody looks for ever."""
    circle = [*moved(A, B, 1, 9, 1), *moved(B, A, 2, 9, 1)]
    assert travels(circle).home(A, SCOUT) == A and travels(circle).home(B, SCOUT) == B


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    """Two replicas that hear the same, in any order and some of it twice, know the same."""
    rng = random.Random(seed)
    nodes, facts, at = [A, B, C, D], [], dict.fromkeys((A, B, C, D), 0)
    here = rng.choice(nodes)
    for move in range(rng.randint(1, 7)):
        there = rng.choice([one for one in nodes if one != here])
        at[here], at[there] = at[here] + rng.randint(1, 3), at[there] + rng.randint(1, 3)
        both = moved(here, there, move, at[here], at[there])
        facts += both if rng.random() < 0.9 else both[: rng.randint(0, 1)]
        here = there
    facts += [one._replace(seq=one.seq + 50) for one in facts if rng.random() < 0.3]
    first = travels(facts)
    for _ in range(20):
        rng.shuffle(facts)
        other = travels([*facts, *facts[:3]])
        for node in nodes:
            assert other.home(node, SCOUT) == first.home(node, SCOUT)
            assert other.former(node, SCOUT) == first.former(node, SCOUT)
            assert other.has_left(node, SCOUT) == first.has_left(node, SCOUT)


def test_every_order_of_a_chain_and_back() -> None:
    facts = [*moved(A, B, 1, 5, 1), *moved(B, C, 2, 7, 1), *moved(C, A, 3, 9, 8)]
    for some in itertools.permutations(facts):
        assert {travels(list(some)).home(node, SCOUT) for node in (A, B, C)} == {A}


@pytest.mark.parametrize("seed", range(20))
def test_when_it_is_heard_of_a_revocation_does_not_matter(seed: int) -> None:
    """What is said of a move in several epochs counts by what is left of each."""
    rng = random.Random(seed)
    facts, cut = [], {1: 50, 2: 10}
    for move in range(4):
        old, new = rng.sample((A, B, C), 2)
        for epoch in (1, 2, 3)[: rng.randint(1, 3)]:
            facts += [said(old, new, move, rng.randint(1, 100), epoch=epoch)]
        facts += [said(new, old, move, rng.randint(1, 100), came=True)]

    def told(facts: list[Fact], at: int) -> list[Any]:
        found = travels(facts[:at])
        found.drop(A, cut)
        for fact in facts[at:]:
            if fact.node != A or fact.seq <= cut.get(fact.epoch, 0):
                found.add(fact)
        return [
            (found.home(node, SCOUT), found.former(node, SCOUT), found.has_left(node, SCOUT),
             found.is_awaited(node, SCOUT))
            for node in (A, B, C)
        ]  # fmt: skip

    expected = told(facts, 0)
    for _ in range(20):
        rng.shuffle(facts)
        for at in range(len(facts) + 1):
            assert told(facts, at) == expected


def test_a_move_that_was_said_again_outlives_the_revocation_of_the_first_word() -> None:
    first, again = said(A, B, 1, 100), said(A, B, 1, 1, epoch=2)
    for facts in itertools.permutations([first, again, said(B, A, 1, 1, came=True)]):
        found = travels(list(facts))
        assert found.drop(A, {1: 50, 2: 10}) == [first] and found.home(A, SCOUT) == B


@pytest.mark.parametrize("seed", range(10))
def test_what_is_too_much_is_the_same_in_every_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.core.travels.MAX_OF_AGENT", 3)
    monkeypatch.setattr("maw.core.travels.MAX_OF_LOG", 5)
    rng = random.Random(seed)
    facts = [
        Fact(A, bytes([rng.randint(1, 3)]) * 16, bytes([move]) * 16, rng.random() < 0.3, epoch, seq + 1, B)
        for epoch in (1, 2)
        for seq, move in enumerate(rng.choices(range(12), k=14))
    ]
    first = None
    for _ in range(30):
        found, kept = Travels(), set()
        for fact in facts:
            with suppress(ValueError):
                gone = found.add(fact)
                kept |= set() if gone is None else {fact}
                kept -= set(gone or ())
        held = {one for log in found._logs.values() for one in log}
        assert held <= kept, "who is told of the changes has all of them"
        assert {one for told in found._told.values() for some in told.facts.values() for one in some} == held
        assert all(len([one for one in held if one.epoch == epoch]) <= 5 for epoch in (1, 2))
        first = held if first is None else first
        assert held == first
        rng.shuffle(facts)


def test_a_flood_of_moves_is_cut_off_and_costs_no_more_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks at what the other host said, which time would only guess at."""
    looks = 0
    answers = Fact.answers

    def counted(self: Fact, other: Fact) -> bool:
        nonlocal looks
        looks += 1
        return answers(self, other)

    monkeypatch.setattr(Fact, "answers", counted)
    found = travels(moved(A, B, 1, 1, 1))
    for seq in range(2, MAX_OF_AGENT + 1):
        found.add(Fact(A, SCOUT, seq.to_bytes(16), False, 1, seq, C))
        assert found.home(A, SCOUT) == B, "nobody took it"
    assert looks < 2 * MAX_OF_AGENT and found.is_full(A, SCOUT) and not found.is_full(B, SCOUT)
    with pytest.raises(ValueError, match="no more are heard"):
        found.add(Fact(A, SCOUT, b"x" * 16, False, 1, MAX_OF_AGENT + 1, C))
    assert found.home(A, SCOUT) == B, "what stood stands"


# -- the words of a move ----------------------------------------------------------------------------

STEPS = (OFFERED, ACCEPTED, HANDED, READY, MOVED)


def test_each_word_is_one_sides_to_say() -> None:
    now_old = now_new = None
    for step in STEPS:
        by_old = step in (OFFERED, HANDED, MOVED)
        assert step_after(now_old, step, leaving=True, own=not by_old) is None
        assert step_after(now_new, step, leaving=False, own=by_old) is None
        now_old = step_after(now_old, step, leaving=True, own=by_old)
        now_new = step_after(now_new, step, leaving=False, own=not by_old)
        assert now_old == now_new == step


def test_a_word_out_of_turn_changes_nothing() -> None:
    for now, step in itertools.product(
        (None, *STEPS, CANCELLED, REFUSED), (*STEPS, CANCELLED, REFUSED, "later")
    ):
        by_old = step in (OFFERED, HANDED, MOVED, CANCELLED)
        here = step_after(now, step, leaving=True, own=by_old)
        there = step_after(now, step, leaving=False, own=not by_old)
        if now in (MOVED, CANCELLED, REFUSED):
            assert here is None and there is None, "what is over is over"
        if step == MOVED:
            assert (there == MOVED) == (now == READY), "who is not ready takes nobody in"
        if step == CANCELLED:
            assert here == there and (here == CANCELLED) == (now in OPEN)
        if step == REFUSED:
            assert (here == REFUSED) == (now in (OFFERED, ACCEPTED, HANDED)), "who is ready gave his word"


def test_what_is_said_of_a_move() -> None:
    offer = Moved(b"m" * 16, SCOUT, B, OFFERED, "scout", "agent")
    handed = Moved(b"m" * 16, SCOUT, B, HANDED, box={"id": b"x"})
    for one in (offer, handed, Moved(b"m" * 16, SCOUT, A, REFUSED, why="no room")):
        assert Moved.read(unpack_content(pack_content(one.content()))) == one
    wrong: Any
    for wrong in (
        {"move": b"short"}, {"agent": None}, {"node": "mbp"}, {"step": ""}, {"step": 3}, {"step": "x" * 17},
        {"name": "No Name"}, {"role": "king"}, {"role": "ape"}, {"why": "x" * 201}, {"box": []},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            Moved.read({**offer.content(), **wrong})
    with pytest.raises(ValueError):
        Moved.read({key: value for key, value in offer.content().items() if key != "name"})


def test_a_card_says_from_where_its_agent_came() -> None:
    card = AgentCard(SCOUT, "scout", "agent", moved=(A, b"m" * 16))
    assert AgentCard.read(unpack_content(pack_content(card.content()))) == card
    assert "moved" not in AgentCard(SCOUT, "scout", "agent").content()
    wrong: object
    for wrong in ([], [A], [A, b"m"], [b"m" * 16, A], "B", [A, b"m" * 16, 1][::-1]):
        with pytest.raises(ValueError):
            AgentCard.read({**card.content(), "moved": wrong})


# -- what goes along --------------------------------------------------------------------------------


def test_keys_that_are_lent() -> None:
    loan = Loan(Position(C, 3, 7), b"i" * 32, b"k" * 32)
    lent = Lent(SCOUT, (loan, loan._replace(key=b"l" * 32)))
    assert Lent.read(unpack_content(pack_content(lent.content()))) == lent
    rows = lent.content()["keys"]
    wrong: Any
    for wrong in (
        None,
        [[1, 2, 3]],
        [rows[0][:4]],
        [[*rows[0][:4], b"short"]],
        [[A, -1, 1, *rows[0][3:]]],
        rows * MAX_LENT,
    ):
        with pytest.raises(ValueError):
            Lent.read({"agent": SCOUT, "keys": wrong})


def test_a_handover_comes_back_as_it_was() -> None:
    heads = (Position(C, 1, 40), Position(D, 2, 9))
    mail = (
        Mail(Position(C, 1, 7), "direct", 1000, "hook", None, None, 1),
        Mail(Position(A, 5, 2), "mention", None, None, None, None, None),
    )
    keys = (Loan(Position(C, 1, 7), b"i" * 32, b"k" * 32),)
    packed = Handover(heads, mail, keys, (("general", True),), "22:00-06:00").pack()
    found = Handover.unpack(packed)
    assert found.heads == (*heads, Position(A, 5, 0)), (
        "a log of which nothing was read is looked through whole"
    )
    assert found._replace(heads=heads) == Handover(heads, mail, keys, (("general", True),), "22:00-06:00")


@pytest.mark.parametrize("seed", range(20))
def test_a_handover_that_was_changed_is_refused_or_read(seed: int) -> None:
    """It comes sealed from the old host, which may be anybody's: no bytes raise anything else."""
    rng = random.Random(seed)
    mail = (Mail(Position(C, 1, 7), "direct", 1000, "hook", None, None, 1),)
    data = bytearray(Handover((Position(C, 1, 40),), mail, (), (), None).pack())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with suppress(ValueError):
        Handover.unpack(bytes(data[: rng.randint(1, len(data))]))


# -- the published bytes ----------------------------------------------------------------------------


def test_the_file_of_vectors_is_what_this_code_makes() -> None:
    path = Path(__file__).parents[2].joinpath("vectors", "moving.json")
    held = json.loads(path.read_text(encoding="utf-8"))
    assert make_moving.vectors() == held
    entries = {
        name: decode(*(bytes.fromhex(one[part]) for part in ("header", "signature", "payload")))
        for name, one in held["entries"].items()
    }
    assert all(entry.signature_holds() for entry in entries.values())
    told = [
        fact_of(entries[name], unpack_payload(entries[name].payload or b"")) for name in ("moved", "card")
    ]
    found = travels([fact for fact in told if fact is not None])
    old, new = entries["moved"].author, entries["card"].author
    assert found.home(old, SCOUT) == new and found.former(new, SCOUT) == (old,)
    lent, secret = entries["lent"], bytes.fromhex(held["secret"])
    sealed = Sealed.read(unpack_payload(lent.payload or b""))
    public = public_of(secret)
    key = unwrap(sealed, lent.colony, lent.author, [new], {key_id(public): (secret, public)})
    assert key is not None
    loans = Lent.read(open_box(sealed, lent.colony, lent.author, key)).loans
    assert Handover.unpack(bytes.fromhex(held["mailbox"])).keys == loans
