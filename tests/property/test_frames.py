"""Whatever comes over a link is a frame or a ProtocolViolation, and what we send is read as it was meant."""

from __future__ import annotations

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maw.core.entry import MAX_COUNT, Head
from maw.core.frames import (
    CannotFollow,
    Closed,
    Credit,
    Entries,
    Follow,
    Following,
    Fork,
    Frame,
    Have,
    Held,
    LogName,
    StatementDigest,
    StatementIds,
    Statements,
    Unfollow,
    UpToDate,
    decode_frame,
    encode,
)
from maw.core.identity import NodeId
from maw.errors import ProtocolViolation
from tests.unit.core.builders import chain, signer

LOG = chain(signer(1), 5)

counts = st.integers(0, MAX_COUNT)
ids = st.binary(min_size=32, max_size=32)
keys = ids.map(NodeId)
heads = st.builds(Head, counts, ids)
some = st.integers(0, 5).map(lambda n: tuple(LOG[:n]))
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(StatementDigest, ids),
    st.builds(StatementIds, st.lists(ids, max_size=5).map(tuple)),
    st.builds(Statements, st.lists(st.binary(min_size=1, max_size=4096), max_size=3).map(tuple)),
    st.builds(
        Have,
        st.lists(st.builds(LogName, counts, keys, counts), max_size=4).map(tuple),
        st.lists(st.builds(Held, counts, heads, st.booleans()), max_size=4).map(tuple),
        st.lists(st.builds(Closed, keys, counts, ids), max_size=4).map(tuple),
    ),
    st.builds(Follow, keys, counts, st.lists(st.tuples(counts, heads), max_size=4).map(tuple)),
    st.builds(Following, keys, counts),
    st.builds(CannotFollow, keys, counts, st.text(max_size=200)),
    st.builds(UpToDate, keys, counts),
    st.builds(Unfollow, keys),
    st.builds(Entries, some),
    st.builds(Credit, counts),
    st.builds(Fork, keys, counts, some),
)
wild = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6)
    | st.dictionaries(st.text(max_size=5) | st.binary(max_size=5), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


def reads_or_violates(raw: bytes) -> None:
    try:
        decode_frame(raw)
    except ProtocolViolation as violation:
        assert violation.message


@given(frames)
def test_what_is_sent_is_what_is_read(frame: Frame) -> None:
    assert decode_frame(encode(frame)) == frame


@given(st.binary(max_size=300))
@example(b"\xc7\x0c\xff" + bytes(12))
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x81\x91\x01\x02")
def test_bytes_at_random(raw: bytes) -> None:
    reads_or_violates(raw)


@settings(max_examples=300)
@given(st.integers(-1, 14), st.lists(wild, max_size=5))
def test_any_fields_under_any_number(number: int, fields: list[object]) -> None:
    reads_or_violates(msgpack.packb([number, *fields]))


@settings(max_examples=300)
@given(frames, st.data())
def test_a_good_frame_with_bytes_changed(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    reads_or_violates(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
