from __future__ import annotations

import msgpack
import pytest

from maw.core.entry import (
    MAX_COUNT,
    MAX_PAYLOAD,
    START,
    Head,
    Kind,
    decode,
    hash_payload,
    make,
    pack_payload,
    unpack_payload,
)
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, chain, forged, signer

ONE = signer(1)
FIELDS = (
    "version",
    "colony",
    "author",
    "epoch",
    "seq",
    "prev",
    "hlc",
    "kind",
    "payload_hash",
    "payload_size",
)


def header(**changed: object) -> bytes:
    payload = b"x" * 20
    fields = dict(
        zip(
            FIELDS,
            (1, COLONY, ONE.node, 1, 1, bytes(32), 0, 5, hash_payload(payload), len(payload)),
            strict=True,
        )
    )
    packed: bytes = msgpack.packb(tuple((fields | changed).values()))
    return packed


def test_what_was_made_decodes_to_the_same_and_its_signature_holds() -> None:
    entry = make(ONE, COLONY, 3, Head(7, b"p" * 32), 99, Kind.POST, pack_payload(bytes(16), {"a": 1}))
    assert decode(*entry.wire()) == entry
    assert (entry.epoch, entry.seq, entry.prev) == (3, 8, b"p" * 32)
    assert entry.signature_holds()
    assert not forged(entry).signature_holds()


def test_the_id_covers_the_signature() -> None:
    entry = chain(ONE, 1)[0]
    assert forged(entry).id != entry.id


def test_an_entry_without_its_payload_decodes_and_keeps_its_id() -> None:
    entry = chain(ONE, 1)[0]
    bare = decode(entry.header, entry.signature)
    assert bare.payload is None
    assert bare.id == entry.id


def test_a_payload_is_salt_and_map() -> None:
    payload = pack_payload(b"s" * 16, {"text": "hej"})
    assert payload[:16] == b"s" * 16
    assert unpack_payload(payload) == {"text": "hej"}
    for broken in (b"", b"s" * 16, b"s" * 16 + b"\x01", b"s" * 16 + b"\xc1", b"s" * 15):
        with pytest.raises(ValueError):
            unpack_payload(broken)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"version": "1"},
        {"colony": b"short"},
        {"author": b"k" * 31},
        {"author": "k" * 32},
        {"epoch": -1},
        {"epoch": True},
        {"epoch": MAX_COUNT + 1},
        {"seq": 0},
        {"seq": 2**63},
        {"seq": 2**64 - 1},
        {"seq": 1.0},
        {"prev": b""},
        {"hlc": -5},
        {"hlc": None},
        {"kind": "post"},
        {"payload_hash": b"h" * 31},
        {"payload_size": MAX_PAYLOAD + 1},
        {"payload_size": None},
    ],
    ids=str,
)
def test_a_header_out_of_range_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        decode(header(**changed), bytes(64))
    assert caught.value.code == "bad_entry"


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x90", b"\x01", b"\xff" * 300, "text", None, 5])
def test_what_is_no_header_is_refused(raw: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode(raw, bytes(64))


def test_unknown_kinds_are_kept_and_a_time_in_2100_is_no_reason_to_refuse() -> None:
    entry = decode(header(kind=1000, hlc=4_102_444_800_000 << 16), bytes(64), b"x" * 20)
    assert entry.kind == 1000


def test_a_signature_of_another_length_is_refused() -> None:
    with pytest.raises(ProtocolViolation):
        decode(header(), bytes(63))


@pytest.mark.parametrize("payload", [b"y" * 20, b"x" * 19, b"", "x" * 20, 7])
def test_a_payload_that_is_not_the_one_hashed_is_refused(payload: object) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        decode(header(), bytes(64), payload)
    assert caught.value.code == "wrong_hash"


def test_a_log_begins_at_one_after_nothing() -> None:
    first, second = chain(ONE, 2)
    assert (first.seq, first.prev) == (1, START.id)
    assert (second.seq, second.prev) == (2, first.id)
