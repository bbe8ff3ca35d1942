"""Statements at random, and trust that does not depend on the order in which words arrive."""

from __future__ import annotations

import contextlib

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.identity import DOMAIN_STATEMENT
from maw.core.members import INVITED, JOINED, Pin
from maw.core.statement import admit, read_admission, read_statement, sign_statement
from maw.core.trust import TrustBook
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, signer

NODES = [signer(n) for n in range(1, 7)]
ME = NODES[0]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
words = st.builds(
    lambda issuer, subject, introducer, at: admit(
        NODES[issuer], COLONY, NODES[subject].node, f"n{subject}", (f"a{at}",), introducer, at
    ),
    st.integers(0, 5), st.integers(0, 5), st.booleans(), st.integers(0, 4),
)  # fmt: skip


@given(st.binary(max_size=300))
def test_bytes_at_random(raw: bytes) -> None:
    try:
        read_statement(raw)
    except ProtocolViolation:
        return
    raise AssertionError("bytes at random made a statement")


@settings(max_examples=200)
@given(st.lists(anything, max_size=7) | anything)
def test_any_body_rightly_signed(body: object) -> None:
    raw = msgpack.packb(body)
    with contextlib.suppress(ProtocolViolation):
        read_statement(msgpack.packb([raw, ME.sign(DOMAIN_STATEMENT, raw)]))


@given(
    st.dictionaries(st.sampled_from(["key", "name", "addresses", "introducer", "x"]), anything, max_size=5)
)
def test_any_fields_of_an_admit(fields: dict[str, object]) -> None:
    with contextlib.suppress(ProtocolViolation):
        read_admission(read_statement(sign_statement(ME, "admit", COLONY, 5, fields).wire))


@settings(max_examples=100)
@given(
    st.lists(words, max_size=12), st.randoms(use_true_random=False), st.sets(st.integers(1, 5), max_size=2)
)
def test_trust_does_not_depend_on_the_order_of_arrival(said: list, rng, forgotten: set[int]) -> None:  # type: ignore[no-untyped-def, type-arg]
    pins = (Pin(NODES[1].node, "one", (), JOINED), Pin(NODES[2].node, "two", (), INVITED))
    gone = {NODES[n].node for n in forgotten}
    at_once = TrustBook(ME.node, COLONY, said, pins, gone)
    one_by_one = TrustBook(ME.node, COLONY, (), pins, gone)
    shuffled = list(said)
    rng.shuffle(shuffled)
    for statement in shuffled:
        one_by_one.add([statement])
    assert one_by_one.trusted.keys() == at_once.trusted.keys()
    assert one_by_one.pending.keys() == at_once.pending.keys()
    assert one_by_one.introducers == at_once.introducers
    assert not gone & {*at_once.trusted, *at_once.pending}
    assert not at_once.trusted.keys() & at_once.pending.keys()
    assert ME.node not in at_once.trusted
