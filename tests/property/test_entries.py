"""Headers and payloads of any kind are taken apart or refused with ProtocolViolation."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.clock import MAX_HLC
from maw.core.entry import MAX_COUNT, Head, decode, hash_payload, make, pack_payload, unpack_payload
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, signer

ONE = signer(1)
counts = st.integers(0, MAX_COUNT - 1)
ids = st.binary(min_size=32, max_size=32)
words = st.text(max_size=50)
contents = st.dictionaries(
    words, words | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=50), max_size=5
)
anything = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=40)
    | st.binary(max_size=40) | ids | st.lists(st.integers(0, 5), max_size=3)
)  # fmt: skip


@given(counts, counts, ids, st.integers(0, MAX_HLC), counts, contents, st.binary(min_size=16, max_size=16))
def test_what_is_made_is_what_is_read(
    epoch: int, seq: int, prev: bytes, hlc: int, kind: int, content: dict[str, object], salt: bytes
) -> None:
    payload = pack_payload(salt, content)
    entry = make(ONE, COLONY, epoch, Head(seq, prev), hlc, kind, payload)
    assert decode(*entry.wire()) == entry
    assert entry.signature_holds()
    assert unpack_payload(payload) == content


@settings(max_examples=300)
@given(
    st.lists(anything, min_size=8, max_size=12), st.binary(max_size=80), st.none() | st.binary(max_size=40)
)
def test_any_header(fields: list[object], signature: bytes, payload: bytes | None) -> None:
    try:
        decode(msgpack.packb(fields), signature, payload)
    except ProtocolViolation:
        return
    raise AssertionError("fields at random made an entry")


@given(st.integers(0, 9), anything)
def test_a_good_header_with_one_field_changed(at: int, value: object) -> None:
    payload = b"p" * 20
    fields: list[object] = [1, COLONY, ONE.node, 5, 7, bytes(32), 9, 5, hash_payload(payload), 20]
    fields[at] = value
    try:
        entry = decode(msgpack.packb(fields), bytes(64), payload)
    except ProtocolViolation:
        return
    assert 0 < entry.seq <= MAX_COUNT
    assert len(entry.prev) == len(entry.colony) == len(entry.author) == 32


@given(st.binary(max_size=200))
def test_payloads_at_random_are_a_map_or_a_value_error(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(unpack_payload(raw), dict)


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_change_of_the_payload_is_noticed(at: int, flip: int) -> None:
    entry = make(ONE, COLONY, 1, Head(0, bytes(32)), 0, 5, pack_payload(bytes(16), {"text": "x" * 200}))
    assert entry.payload is not None
    changed = bytearray(entry.payload)
    changed[at] ^= flip
    with pytest.raises(ProtocolViolation):
        decode(entry.header, entry.signature, bytes(changed))
