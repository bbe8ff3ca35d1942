"""One damaged entry is one damage: who vouches for whom, and what is believed where nobody does."""

from __future__ import annotations

import random

import pytest

from maw.core.entry import Entry, decode
from maw.core.soundness import Damage, Judged, LogName, Part, Row, judge
from tests.unit.core.builders import COLONY, chain, forged, signer

NEO = signer(1)
LOG = LogName(COLONY, NEO.node, 1)


def rows(entries: list[Entry]) -> list[Row]:
    return [Row(entry.seq, *entry.wire()) for entry in entries]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def places(judged: Judged) -> list[tuple[int, Part]]:
    return [(damage.seq, damage.part) for damage in judged.damages]


def test_a_sound_page() -> None:
    said = chain(NEO, 5)
    judged = judge(LOG, rows(said), said[-1].id)
    assert [entry.id for entry in judged.entries] == [entry.id for entry in said]
    assert (judged.damages, judged.unsigned, judged.first) == ([], [], said[0].prev)


def test_a_payload_costs_itself_alone() -> None:
    said = chain(NEO, 5)
    page = rows(said)
    assert said[2].payload is not None
    page[2] = page[2]._replace(payload=flipped(said[2].payload, 200))
    judged = judge(LOG, page, said[-1].id)
    assert places(judged) == [(3, Part.PAYLOAD)]
    assert judged.damages[0].id == said[2].id, "it is known what belongs there"
    assert [entry.seq for entry in judged.entries] == [1, 2, 4, 5]


@pytest.mark.parametrize("where", ["header", "signature"])
@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_costs_itself_alone(where: str, seed: int) -> None:
    random_ = random.Random(seed)
    said = chain(NEO, 6)
    at = random_.randrange(6)
    data = getattr(said[at], where)
    page = rows(said)
    bad = flipped(data, random_.randrange(8 * len(data)))
    page[at] = page[at]._replace(header=bad) if where == "header" else page[at]._replace(signature=bad)
    judged = judge(LOG, page, said[-1].id)
    assert places(judged) == [(at + 1, Part.HEADER)]
    assert judged.damages[0].id == said[at].id
    assert len(judged.entries) == 5
    assert judged.unsigned == []


def test_two_in_a_row_leave_the_lower_one_unnamed_until_the_upper_is_there() -> None:
    said = chain(NEO, 6)
    page = rows(said)
    page[2] = Row(3, None)
    page[3] = page[3]._replace(header=b"\xff")
    judged = judge(LOG, page, said[-1].id)
    assert [(d.seq, d.part, d.id) for d in judged.damages] == [
        (3, Part.MISSING, None),
        (4, Part.HEADER, said[3].id),
    ]
    assert [entry.seq for entry in judged.entries] == [1, 2, 5, 6], "its own signature stands for seq 2"


def test_what_the_database_cannot_read() -> None:
    said = chain(NEO, 3)
    page = rows(said)
    page[1] = Row(2, None, unreadable=True)
    assert places(judge(LOG, page, said[-1].id)) == [(2, Part.UNREADABLE)]


def test_the_entry_of_another_place() -> None:
    said = chain(NEO, 3)
    page = rows(said)
    page[1] = Row(2, *said[0].wire())
    judged = judge(LOG, page, said[-1].id)
    assert judged.damages == [
        Damage(NEO.node, 1, 2, Part.HEADER, "it is the entry of another place", said[1].id)
    ]


def test_a_payload_may_be_gone_where_a_rule_let_it_go() -> None:
    said = chain(NEO, 2)
    page = rows(said)
    page[0] = page[0]._replace(payload=None)
    assert places(judge(LOG, page, said[-1].id)) == [(1, Part.PAYLOAD)]
    page[0] = page[0]._replace(dropped=True)
    judged = judge(LOG, page, said[-1].id)
    assert judged.damages == []
    assert judged.entries[0].payload is None


def test_a_signature_that_never_held_is_no_damage_where_the_chain_vouches() -> None:
    """Its author wrote it so; validity must not depend on how a relay cut its batches."""
    said = chain(NEO, 2)
    bad = forged(said[1])
    rest = chain(NEO, 2, after=bad.head)
    judged = judge(LOG, rows([*said[:1], bad, *rest]), rest[-1].id)
    assert judged.damages == []
    assert judged.unsigned == [2]
    assert judge(LOG, rows([*said[:1], bad, *rest]), rest[-1].id, signatures=False).unsigned == []


def test_without_a_witness_the_signature_decides() -> None:
    said = chain(NEO, 2)
    assert judge(LOG, rows(said), None).damages == []
    assert places(judge(LOG, rows([said[0], forged(said[1])]), None)) == [(2, Part.HEADER)]


def test_columns_of_another_type_are_damage() -> None:
    said = chain(NEO, 2)
    for damaged in (
        Row(2, "text", said[1].signature, said[1].payload),
        Row(2, said[1].header, 7, said[1].payload),
        Row(2, said[1].header, said[1].signature, "text"),
        Row(2, said[1].header, said[1].signature, 1.5),
    ):
        assert [
            damage.seq for damage in judge(LOG, [Row(1, *said[0].wire()), damaged], said[1].id).damages
        ] == [2]


def test_decode_is_what_judges() -> None:
    said = chain(NEO, 1)[0]
    assert decode(*said.wire()).id == said.id
