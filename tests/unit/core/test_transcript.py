import msgpack
import pytest

from maw.core.identity import NodeId
from maw.core.transcript import (
    HANDSHAKE_FRAME_BYTES,
    Answer,
    Claimed,
    Confirm,
    Frame,
    Hello,
    Opening,
    Paired,
    Pinned,
    Proof,
    Refusal,
    Transcript,
    decode,
    encode,
    opening_hash,
    plain_words,
)
from maw.errors import InternalError, ProtocolViolation

D = Proof(b"D", b"c" * 32, NodeId(b"d" * 32), NodeId(b"l" * 32), b"x" * 32, b"i" * 16, b"s" * 64, b"admit")
J = Proof(
    b"J", b"c" * 32, NodeId(b"d" * 32), NodeId(b"l" * 32), b"x" * 32, b"i" * 16, b"s" * 64,
    invite_id=b"v" * 16, mac=b"m" * 32, name="ford",
)  # fmt: skip
FRAMES: list[Frame] = [
    Opening((1, 2), b"n" * 32),
    Answer(1, b"n" * 32),
    D,
    J,
    Confirm(b"i" * 16, b"s" * 64),
    Hello("ford", ("10.7.0.2:6290",), frozenset({"seal", "receipts"}), "0.1.0"),
    Claimed(b"welcome"),
    Pinned(b"yes"),
    Paired(),
    Refusal("unknown_key", "this key is not known here"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_is_read_as_it_was_written(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_no_frame_is_read_from_its_beginning_alone(frame: Frame) -> None:
    raw = encode(frame)
    for end in range(len(raw)):
        with pytest.raises(ProtocolViolation):
            decode(raw[:end])


@pytest.mark.parametrize(
    "body",
    [
        None, 7, [], {}, "open", [7], ["nonsense"], ["paired", 1], ["open", [], b"n" * 32],
        ["open", [0], b"n" * 32], ["open", [True], b"n" * 32], ["open", [1.0], b"n" * 32],
        ["open", [65536], b"n" * 32], ["open", [1] * 17, b"n" * 32], ["open", [1], b"n" * 31],
        ["open", [1], "n" * 32], ["answer", 0, b"n" * 32], ["answer", 2**63, b"n" * 32], ["L", b"", b""],
        ["D"], ["D", *[b""] * 7], ["J", *[b""] * 9], ["hello", []], ["hello", {}],
        ["hello", {"name": "\x1b[2J", "addresses": [], "features": [], "version": ""}],
        ["hello", {"name": "a" * 65, "addresses": [], "features": [], "version": ""}],
        ["hello", {"name": "a", "addresses": ["b"] * 17, "features": [], "version": ""}],
        ["hello", {"name": "a", "addresses": [], "features": [7], "version": ""}],
        ["claimed", "text"], ["refused", "code"], ["refused", 1, 2],
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_a_violation(body: object) -> None:
    with pytest.raises(ProtocolViolation):
        decode(msgpack.packb(body))


def test_a_stranger_cannot_make_us_read_much() -> None:
    with pytest.raises(ProtocolViolation, match="bytes"):
        decode(msgpack.packb(["open", [1], b"n" * HANDSHAKE_FRAME_BYTES]))
    assert decode(encode(Claimed(b"w" * HANDSHAKE_FRAME_BYTES))) == Claimed(b"w" * HANDSHAKE_FRAME_BYTES)


def test_hello_from_a_newer_version_may_say_more() -> None:
    said = {"name": "a", "addresses": [], "features": ["x"], "version": "9", "mood": "gloomy"}
    assert decode(msgpack.packb(["hello", said])) == Hello("a", (), frozenset({"x"}), "9")


def test_a_refusal_is_fit_for_a_terminal() -> None:
    raw = msgpack.packb(["refused", "Bad Code!", "a\x1b[2J\u202eb\n" + "c" * 9999])
    refusal = decode(raw)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "refused"
    assert refusal.reason.isprintable()
    assert len(refusal.reason) == 500


def test_our_own_mistakes_are_ours() -> None:
    with pytest.raises(InternalError):
        encode(Opening((1,), b"short"))


def test_the_signed_bytes_have_one_length_and_every_field_matters() -> None:
    fields: dict[str, object] = {
        "version": 1, "colony": b"c" * 32, "dialler": NodeId(b"d" * 32), "listener": NodeId(b"l" * 32),
        "dialler_nonce": b"n" * 32, "listener_nonce": b"m" * 32, "certificate": b"x" * 32,
        "opening": b"o" * 32, "instance": b"i" * 16,
    }  # fmt: skip
    plain = Transcript(**fields)  # type: ignore[arg-type]
    assert len(plain.claim(b"D")) == 243
    assert plain.claim(b"D") != plain.claim(b"J")
    assert plain.answer(b"j" * 16, b"s" * 64) != plain.answer(b"j" * 16, b"t" * 64)
    for name, value in fields.items():
        other = 2 if isinstance(value, int) else b"?" * len(value)  # type: ignore[arg-type]
        assert Transcript(**{**fields, name: other}).claim(b"D") != plain.claim(b"D")  # type: ignore[arg-type]


def test_the_opening_hash_knows_where_one_frame_ends() -> None:
    assert opening_hash(b"ab", b"c") != opening_hash(b"a", b"bc")


def test_plain_words_hide_nothing() -> None:
    assert plain_words("a\u200bb\rc") == "a\ufffdb\ufffdc"
