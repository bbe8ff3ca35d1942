"""Operators: rights come from the founder, never grow on the way, end by a date or by a word from above."""

from __future__ import annotations

import itertools
import time

import pytest

from maw.core.authority import (
    DELEGATING,
    FREEZING,
    MAX_CHAIN,
    MAX_POWERS,
    ORDER,
    REVOKING,
    RIGHTS,
    Authority,
    Dismissal,
    Grant,
    dismissal_statement,
    grant_statement,
    read_dismissal,
    read_grant,
)
from maw.core.identity import NodeId, Signer, short_key
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, signer

FOUNDER, ANN, BOB, CAT, HOST = (signer(n) for n in range(1, 6))
ANY = bytes(32)


def grant(
    issuer: Signer,
    key: Signer,
    *rights: str,
    until: int | None = None,
    hosts: tuple[NodeId, ...] = (),
    at: int = 10,
    name: str = "x",
) -> Grant:
    return read_grant(grant_statement(issuer, COLONY, key.node, name, rights, until, hosts, at))


def dismiss(issuer: Signer, key: Signer, *grants: Grant, stands: tuple[bytes, ...] = ()) -> Dismissal:
    ids = [one.id for one in grants]
    return read_dismissal(dismissal_statement(issuer, COLONY, key.node, ids, stands, 99))


def test_the_founder_may_do_everything_and_nobody_else_anything() -> None:
    made = Authority(FOUNDER.node)
    assert all(made.may(FOUNDER.node, right, ANY, 1) for right in RIGHTS)
    assert not any(made.may(ANN.node, right, ANY, 1) for right in RIGHTS)
    assert not Authority(None, [grant(FOUNDER, ANN, ORDER)]).may(ANN.node, ORDER, ANY, 1)


def test_a_grant_gives_what_it_names_and_no_more() -> None:
    made = Authority(FOUNDER.node, [grant(FOUNDER, ANN, ORDER)])
    assert made.may(ANN.node, ORDER, ANY, 20)
    assert not made.may(ANN.node, FREEZING, ANY, 20)
    assert made.name_of(ANN.node) == "x"


def test_nobody_passes_on_what_he_has_not() -> None:
    first = grant(FOUNDER, ANN, ORDER, DELEGATING, until=50, hosts=(HOST.node,))
    second = grant(ANN, BOB, ORDER, REVOKING, until=90)
    made = Authority(FOUNDER.node, [first, second])
    assert made.may(BOB.node, ORDER, ANY, 50, HOST.node) is False, "who is bound to hosts cannot delegate"
    free = Authority(FOUNDER.node, [grant(FOUNDER, ANN, ORDER, DELEGATING, until=50), second])
    assert free.may(BOB.node, ORDER, ANY, 50)
    assert not free.may(BOB.node, ORDER, ANY, 51), "the giver's last day is the taker's"
    assert not free.may(BOB.node, REVOKING, ANY, 20)


def test_without_the_right_to_delegate_a_grant_is_air() -> None:
    made = Authority(FOUNDER.node, [grant(FOUNDER, ANN, ORDER), grant(ANN, BOB, ORDER)])
    assert not made.may(BOB.node, ORDER, ANY, 20)
    assert not made.knows(BOB.node)


def test_who_may_order_on_some_hosts_orders_those_and_no_channel() -> None:
    made = Authority(FOUNDER.node, [grant(FOUNDER, ANN, ORDER, until=50, hosts=(HOST.node,))])
    assert made.may_order(ANN.node, [HOST.node], 9) and made.bound_to(ANN.node, ORDER, 9) == {HOST.node}
    assert not made.may_order(ANN.node, [], 9), "a channel is read by all"
    assert not made.may_order(ANN.node, [HOST.node, BOB.node], 9)
    assert not made.may_order(ANN.node, [HOST.node], 51) and not made.bound_to(ANN.node, ORDER, 51)
    assert not made.bound_to(ANN.node, FREEZING, 9) and not made.bound_to(BOB.node, ORDER, 9)
    assert made.may_order(FOUNDER.node, [], 9) and not made.bound_to(FOUNDER.node, ORDER, 9)
    both = Authority(
        FOUNDER.node,
        [grant(FOUNDER, ANN, ORDER, hosts=(HOST.node,)), grant(FOUNDER, ANN, ORDER, hosts=(BOB.node,))],
    )
    assert both.may_order(ANN.node, [HOST.node, BOB.node], 9), "what two grants give together"


def test_a_right_over_some_hosts_is_none_over_the_colony() -> None:
    made = Authority(FOUNDER.node, [grant(FOUNDER, ANN, FREEZING, hosts=(HOST.node,))])
    assert made.may(ANN.node, FREEZING, ANY, 20, HOST.node)
    assert not made.may(ANN.node, FREEZING, ANY, 20, BOB.node)
    assert not made.may(ANN.node, FREEZING, ANY, 20)


def test_a_dismissed_key_keeps_only_what_stands_whatever_date_it_signs() -> None:
    given = grant(FOUNDER, ANN, FREEZING, DELEGATING)
    kept, later = b"k" * 32, b"l" * 32
    made = Authority(FOUNDER.node, [given], [dismiss(FOUNDER, ANN, given, stands=(kept,))])
    assert made.may(ANN.node, FREEZING, kept, 20)
    assert not made.may(ANN.node, FREEZING, later, 11)
    assert not made.may_now(ANN.node, FREEZING, 20)
    assert made.knows(ANN.node), "what it said before is still read"


def test_who_is_dismissed_takes_along_whom_he_appointed_unless_that_stands() -> None:
    first, second = grant(FOUNDER, ANN, ORDER, DELEGATING), grant(ANN, BOB, ORDER)
    gone = Authority(FOUNDER.node, [first, second], [dismiss(FOUNDER, ANN, first)])
    assert not gone.may(BOB.node, ORDER, ANY, 20)
    kept = Authority(FOUNDER.node, [first, second], [dismiss(FOUNDER, ANN, first, stands=(second.id,))])
    assert kept.may(ANN.node, ORDER, second.id, 20)
    assert not kept.may(ANN.node, ORDER, ANY, 20)


def test_only_from_above_is_anybody_dismissed() -> None:
    to_ann, to_bob = grant(FOUNDER, ANN, ORDER, DELEGATING), grant(FOUNDER, BOB, ORDER, DELEGATING)
    made = Authority(FOUNDER.node, [to_ann, to_bob], [dismiss(BOB, ANN, to_ann)])
    assert made.may(ANN.node, ORDER, ANY, 20)
    itself = Authority(FOUNDER.node, [to_ann], [dismiss(ANN, ANN, to_ann)])
    assert not itself.may(ANN.node, ORDER, ANY, 20), "one may lay it down oneself"


def test_a_new_grant_after_a_dismissal_counts() -> None:
    old, new = grant(FOUNDER, ANN, ORDER), grant(FOUNDER, ANN, ORDER, at=11)
    made = Authority(FOUNDER.node, [old, new], [dismiss(FOUNDER, ANN, old)])
    assert made.may(ANN.node, ORDER, ANY, 20)


def test_circles_and_long_chains_end() -> None:
    circle = [grant(ANN, BOB, ORDER, DELEGATING), grant(BOB, ANN, ORDER, DELEGATING)]
    assert not Authority(FOUNDER.node, circle).may(ANN.node, ORDER, ANY, 20)
    rooted = Authority(FOUNDER.node, [*circle, grant(FOUNDER, ANN, ORDER, DELEGATING)])
    assert rooted.may(BOB.node, ORDER, ANY, 20)
    keys = [FOUNDER, *(signer(n) for n in range(20, 30))]
    chain = [grant(a, b, ORDER, DELEGATING) for a, b in itertools.pairwise(keys)]
    long = Authority(FOUNDER.node, chain)
    assert [long.may(key.node, ORDER, ANY, 20) for key in keys] == [n < MAX_CHAIN for n in range(len(keys))]


def test_the_order_of_statements_does_not_matter() -> None:
    chain = [
        grant(FOUNDER, CAT, ORDER, DELEGATING),
        grant(CAT, BOB, ORDER, DELEGATING),
        grant(BOB, ANN, ORDER),
    ]
    for order in (chain, chain[::-1]):
        assert Authority(FOUNDER.node, order).may(ANN.node, ORDER, ANY, 20)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"key": b"short", "name": "x", "rights": [], "until": None, "hosts": []},
        {"key": bytes(32), "name": "", "rights": [], "until": None, "hosts": []},
        {"key": bytes(32), "name": "x", "rights": ["order", 1], "until": None, "hosts": []},
        {"key": bytes(32), "name": "x", "rights": [], "until": -1, "hosts": []},
        {"key": bytes(32), "name": "x", "rights": [], "until": None, "hosts": [b"short"]},
        {"key": bytes(32), "name": "x", "rights": [], "until": None},
    ],
)
def test_a_malformed_grant_is_a_violation(fields: dict[str, object]) -> None:
    statement: Statement = sign_statement(FOUNDER, "operator", COLONY, 1, fields)
    with pytest.raises(ProtocolViolation):
        read_grant(statement)


def test_rights_of_a_later_version_are_passed_over() -> None:
    assert grant(FOUNDER, ANN, ORDER, "sing").rights == {ORDER}


def test_those_who_appoint_each_other_again_and_again_cost_no_time() -> None:
    hands = [signer(n) for n in range(20, 25)]
    grants = [grant(FOUNDER, hands[0], *RIGHTS)]
    for giver, taker in itertools.permutations(hands, 2):
        grants += [grant(giver, taker, *RIGHTS, at=n) for n in range(20)]
    began = time.process_time()
    made = Authority(FOUNDER.node, grants)
    assert time.process_time() - began < 1
    assert all(made.may(one.node, ORDER, ANY, 20) for one in hands)


def test_who_gives_much_crowds_out_nobody_else_s_grant() -> None:
    grants = [grant(FOUNDER, ANN, DELEGATING, FREEZING), grant(FOUNDER, BOB, DELEGATING, *RIGHTS)]
    grants += [grant(BOB, CAT, ORDER, REVOKING, at=n) for n in range(50)]
    made = Authority(FOUNDER.node, [*grants, grant(ANN, CAT, FREEZING)])
    assert made.may(CAT.node, FREEZING, ANY, 20)
    assert len(made.powers(CAT.node)) == MAX_POWERS


def test_nobody_further_down_takes_or_gives_an_operator_s_name() -> None:
    grants = [
        grant(FOUNDER, ANN, ORDER, name="ann"),
        grant(FOUNDER, BOB, DELEGATING, ORDER, name="bob"),
        grant(BOB, CAT, ORDER, name="ann"),
        grant(BOB, ANN, ORDER, name="clown"),
    ]
    for order in itertools.permutations(grants):
        made = Authority(FOUNDER.node, order)
        assert made.name_of(ANN.node) == "ann"
        assert made.name_of(CAT.node) == f"ann~{short_key(CAT.node)}"


def test_of_two_called_alike_by_the_same_hand_neither_is_mistaken_for_the_other() -> None:
    made = Authority(FOUNDER.node, [grant(FOUNDER, ANN, ORDER), grant(FOUNDER, BOB, ORDER)])
    assert made.name_of(ANN.node) == f"x~{short_key(ANN.node)}"
    assert made.name_of(BOB.node) == f"x~{short_key(BOB.node)}"
    first = grant(FOUNDER, ANN, ORDER)
    gone = Authority(FOUNDER.node, [first, grant(FOUNDER, BOB, ORDER)], [dismiss(FOUNDER, ANN, first)])
    assert gone.name_of(BOB.node) == "x", "the other is none any more"
