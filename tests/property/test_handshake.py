"""Arbitrary bytes and arbitrary frames, in any order: the machines refuse, and never raise."""

from __future__ import annotations

import dataclasses

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.handshake import Dialler, Joining, Listener, Local, Phase, Step
from maw.core.identity import Signer
from maw.core.transcript import Hello, decode, encode
from maw.errors import HandshakeRefused, LinkError, ProtocolViolation
from maw.net.tls import check_certificate

A = Local(Signer(b"a" * 32), b"c" * 32, b"i" * 16, Hello("arthur", ("10.7.0.1:6290",)))
B = Local(Signer(b"b" * 32), b"c" * 32, b"j" * 16, Hello("ford"))

SIZES = st.sampled_from([0, 1, 16, 31, 32, 33, 64])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | SIZES.flatmap(lambda size: st.binary(min_size=size, max_size=size))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9) | st.binary(max_size=9), inner)
    ),
    max_leaves=12,
)
TAGS = st.sampled_from(["open", "answer", "D", "J", "L", "hello", "claimed", "pinned", "paired", "refused"])
FRAMES = st.binary(max_size=200) | st.builds(
    lambda tag, fields: msgpack.packb([tag, *fields]), TAGS, st.lists(VALUES, max_size=9)
)


def fresh() -> tuple[Dialler, Listener]:
    dialler = Dialler(A, B.signer.node, b"x" * 32, b"n" * 32, joining=Joining(b"v" * 16, b"s" * 16))
    dialler.start()
    return dialler, Listener(B, b"x" * 32, b"m" * 32)


def check(step: Step) -> None:
    assert step.established is None
    if step.failure is not None:
        assert isinstance(step.failure, LinkError)
        assert step.failure.message.isprintable()
    for frame in step.send:
        decode(frame)


@given(FRAMES)
def test_any_frame_is_decoded_or_a_violation(raw: bytes) -> None:
    try:
        frame = decode(raw)
    except ProtocolViolation as problem:
        assert problem.message.isprintable()
    else:
        assert decode(encode(frame)) == frame


@given(st.lists(FRAMES, max_size=4))
def test_a_listener_fed_anything(frames: list[bytes]) -> None:
    _, listener = fresh()
    for raw in frames:
        check(listener.receive(raw))


@given(st.lists(FRAMES, max_size=4))
def test_a_dialler_fed_anything(frames: list[bytes]) -> None:
    dialler, _ = fresh()
    for raw in frames:
        check(dialler.receive(raw))


@given(st.integers(0, 2), st.data())
def test_one_flipped_bit_anywhere_ends_the_handshake(where: int, data: st.DataObject) -> None:
    """Frame 0 opening, 1 proof (to the listener), 2 hello: changed on its way."""
    dialler = Dialler(dataclasses.replace(A), B.signer.node, b"x" * 32, b"n" * 32)
    listener = Listener(B, b"x" * 32, b"m" * 32)

    def carried(number: int, raw: bytes) -> bytes:
        if number != where:
            return raw
        at = data.draw(st.integers(0, len(raw) * 8 - 1))
        changed = bytearray(raw)
        changed[at // 8] ^= 1 << (at % 8)
        return bytes(changed)

    step = listener.receive(carried(0, dialler.start().send[0]))
    if step.failure is None:
        proof = dialler.receive(step.send[0])
        if proof.failure is not None:
            return
        step = listener.receive(carried(1, proof.send[0]))
    if step.failure is None:
        assert where == 2, "a handshake with a changed frame was accepted"
        hello = dialler.receive(listener.accept().send[0])
        step = listener.receive(carried(2, hello.send[0]))
    if step.failure is None:
        assert listener.phase is Phase.WELCOME  # Hello is protected by TLS and signs nothing


@given(st.binary(max_size=400) | st.binary(max_size=100).map(lambda tail: b"\x30\x82" + tail))
def test_any_certificate_is_refused_clearly(der: bytes) -> None:
    with pytest.raises(HandshakeRefused):
        check_certificate(der, B.signer.node)
