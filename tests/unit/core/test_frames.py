from __future__ import annotations

import msgpack
import pytest

from maw.core.entry import MAX_COUNT, START, Head, Position, decode
from maw.core.frames import (
    MAX_ASKED,
    MAX_FRAME,
    MAX_ITEMS,
    Ask,
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
    Mend,
    StatementDigest,
    StatementIds,
    Statements,
    Unfollow,
    Unknown,
    UpToDate,
    decode_frame,
    encode,
)
from maw.errors import ProtocolViolation
from tests.unit.core.builders import chain, signer

ONE = signer(1).node
LOG = chain(signer(1), 3)
H = b"h" * 32
FRAMES: tuple[Frame, ...] = (
    StatementDigest(H),
    StatementIds(()),
    StatementIds((H, H)),
    Statements((b"statement",)),
    Have((), (), ()),
    Have((LogName(0, ONE, 5),), (Held(0, Head(7, H), True), Held(0, START, False)), (Closed(ONE, 5, H),)),
    Follow(ONE, 9, ()),
    Follow(ONE, 9, ((1, Head(MAX_COUNT, H)), (2, START))),
    Following(ONE, 9),
    CannotFollow(ONE, 9, "no"),
    UpToDate(ONE, 9),
    Unfollow(ONE),
    Entries(()),
    Entries(tuple(LOG)),
    Credit(MAX_COUNT),
    Fork(ONE, 1, tuple(LOG)),
    Ask(()),
    Ask((Position(ONE, 5, 7), Position(ONE, 5, 6))),
    Mend((), ()),
    Mend((LOG[0], decode(LOG[1].header, LOG[1].signature)), (Position(ONE, 5, 7),)),
)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_reads_back_as_it_was_sent(frame: Frame) -> None:
    assert decode_frame(encode(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_cut_anywhere_is_a_violation_and_nothing_worse(frame: Frame) -> None:
    raw = encode(frame)
    for cut in range(len(raw)):
        with pytest.raises(ProtocolViolation):
            decode_frame(raw[:cut])


def test_frames_of_a_later_version_are_passed_over_and_more_fields_do_not_hurt() -> None:
    assert decode_frame(msgpack.packb([99, "anything"])) == Unknown(99)
    assert decode_frame(msgpack.packb([11, 5, "new field"])) == Credit(5)


@pytest.mark.parametrize(
    "items",
    [
        [],
        7,
        None,
        "credit",
        {},
        {1: 2},
        ["credit", 5],
        [True, H],
        [1],
        [1, b"short"],
        [1, "h" * 32],
        [2, H],
        [2, [b"short"]],
        [2, {}],
        [3, [b""]],
        [3, [b"s" * 16385]],
        [3, ["s"]],
        [4, [], []],
        [4, [[0, ONE]], [], []],
        [4, [[0, b"k", 1]], [], []],
        [4, [[-1, ONE, 1]], [], []],
        [4, [], [[0, 2**63, H, True]], []],
        [4, [], [[0, 1, H]], []],
        [4, [], [], [[ONE, 1, b"d"]]],
        [5, ONE, 1, [[1, 2]]],
        [5, ONE, 1, [[1, -1, H]]],
        [5, ONE, 1.5, []],
        [6, ONE],
        [7, ONE, 1, "r" * 201],
        [7, ONE, 1, b"reason"],
        [8, ONE, None],
        [9, "k" * 32],
        [10, [[b"header", b"signature"]]],
        [10, [b"entry"]],
        [10, "entries"],
        [11, -1],
        [11, True],
        [11, 2**63],
        [11, 1e3],
        [12, ONE, 1],
        [12, ONE, 1, [LOG[0].header]],
    ],
    ids=repr,
)
def test_a_malformed_frame_is_a_violation(items: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode_frame(msgpack.packb(items))


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\x91", b"\xdc\xff\xff", b"\x92\x0b\x05\x00", b"\x91" * 2000, b"\xa1\xff"]
)
def test_garbage_is_a_violation(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_frame(raw)


def test_limits_hold() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        decode_frame(bytes(MAX_FRAME + 1))
    assert caught.value.code == "frame_too_big"
    with pytest.raises(ProtocolViolation):
        decode_frame(msgpack.packb([2, [H] * (MAX_ITEMS + 1)]))


def test_a_payload_of_another_hash_is_found_while_decoding() -> None:
    header, signature, payload = LOG[0].wire()
    assert payload
    with pytest.raises(ProtocolViolation) as caught:
        decode_frame(msgpack.packb([10, [[header, signature, payload[:-1] + b"?"]]]))
    assert caught.value.code == "wrong_hash"


def test_an_ask_names_a_bounded_number_of_places() -> None:
    place = [ONE, 5, 7]
    assert decode_frame(msgpack.packb([13, [place] * MAX_ASKED]))
    for frame in (
        [13, [place] * (MAX_ASKED + 1)],
        [14, [], [place] * (MAX_ASKED + 1)],
        [13, [[ONE, 5]]],
        [13, 5],
    ):
        with pytest.raises(ProtocolViolation):
            decode_frame(msgpack.packb(frame))
