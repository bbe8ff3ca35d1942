"""The two machines against each other, without a network: every refusal, and what may not be replayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from maw.core.handshake import Dialler, Joining, Listener, Local, Phase, Step
from maw.core.identity import Signer, key_text, short_key
from maw.core.pairing import invite_id
from maw.core.statement import colony_text
from maw.core.transcript import Hello, Opening, Proof, Refusal, decode, encode
from maw.errors import HandshakeRefused, InternalError, LinkError, ProtocolViolation

COLONY = b"c" * 32
CERTIFICATE = b"x" * 32
SECRET = b"s" * 16


def local(number: int, name: str, **more: object) -> Local:
    plain = Local(Signer(bytes([number]) * 32), COLONY, bytes([number]) * 16, Hello(name))
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


A = local(1, "arthur")
B = local(2, "ford")


def pair(
    a: Local = A,
    b: Local = B,
    *,
    expected: Local | None = None,
    seen: bytes = CERTIFICATE,
    admission: bytes | None = None,
    joining: Joining | None = None,
    nonces: tuple[bytes, bytes] = (b"n" * 32, b"m" * 32),
) -> tuple[Dialler, Listener]:
    """``a`` dials ``b``."""
    node = (expected or b).signer.node
    dialler = Dialler(a, node, seen, nonces[0], admission=admission, joining=joining)
    return dialler, Listener(b, CERTIFICATE, nonces[1])


def only(step: Step) -> bytes:
    assert step.failure is None, step.failure
    (frame,) = step.send
    return frame


def to_proof(dialler: Dialler, listener: Listener) -> bytes:
    """The dialler's step 3."""
    return only(dialler.receive(only(listener.receive(only(dialler.start())))))


def refused(step: Step, code: str) -> LinkError:
    """One refusal frame and the failure it tells of."""
    assert isinstance(step.failure, LinkError)
    assert step.failure.code == code
    (frame,) = step.send
    said = decode(frame)
    assert isinstance(said, Refusal)
    assert (said.code, said.reason) == (code, step.failure.message)
    return step.failure


def test_who_is_pending_is_told_what_to_say_there_and_by_which_name() -> None:
    dialler, listener = pair()
    listener.receive(only(dialler.receive(only(listener.receive(only(dialler.start()))))))
    step = dialler.receive(encode(Refusal("pending", "p4yf54 is known but not accepted here yet")))
    assert isinstance(step.failure, HandshakeRefused)
    assert step.failure.code == "pending"
    short = short_key(A.signer.node)
    assert step.failure.message == (
        f"this host ({short}) is known there and not accepted yet: say `maw peers accept {short}` there"
    )


def test_both_come_to_know_each_other() -> None:
    dialler, listener = pair(admission=b"my admission")
    step = listener.receive(to_proof(dialler, listener))
    assert step.claim is not None
    assert (step.claim.peer, step.claim.instance, step.claim.admission) == (
        A.signer.node, A.instance, b"my admission",
    )  # fmt: skip
    hello = only(dialler.receive(only(listener.accept())))
    heard = listener.receive(hello).established
    assert heard is not None
    assert (heard.peer, heard.instance, heard.version, heard.hello) == (A.signer.node, A.instance, 1, A.hello)
    answered = dialler.receive(only(listener.welcome())).established
    assert answered is not None
    assert (answered.peer, answered.instance, answered.hello) == (B.signer.node, B.instance, B.hello)
    assert dialler.phase is listener.phase is Phase.DONE


def test_a_joiner_proves_the_invite_and_says_no_hello() -> None:
    dialler, listener = pair(joining=Joining(invite_id(SECRET), SECRET))
    step = listener.receive(to_proof(dialler, listener))
    assert step.claim is None
    assert step.join is not None
    assert (step.join.joiner, step.join.name, step.join.invite_id) == (
        A.signer.node, "arthur", invite_id(SECRET),
    )  # fmt: skip
    assert listener.mac_matches(SECRET)
    assert not listener.mac_matches(b"t" * 16)
    established = dialler.receive(only(listener.accept())).established
    assert established is not None
    assert established.peer == B.signer.node
    assert established.hello is None


def test_the_mac_is_of_this_handshake_and_this_name() -> None:
    dialler, listener = pair(joining=Joining(invite_id(SECRET), SECRET))
    proof = decode(to_proof(dialler, listener))
    assert isinstance(proof, Proof)
    assert listener.receive(encode(dataclasses.replace(proof, name="zaphod"))).join is not None
    assert not listener.mac_matches(SECRET)


def test_nobody_matches_a_mac_that_was_not_shown() -> None:
    dialler, listener = pair()
    assert not listener.mac_matches(SECRET)
    listener.receive(to_proof(dialler, listener))
    assert not listener.mac_matches(SECRET)


def test_the_gatekeepers_no_is_one_clear_frame() -> None:
    dialler, listener = pair()
    listener.receive(to_proof(dialler, listener))
    no = listener.refuse(HandshakeRefused("this key is not known here", code="unknown_key"))
    refused(no, "unknown_key")
    failure = dialler.receive(no.send[0]).failure
    assert isinstance(failure, HandshakeRefused)
    assert failure.code == "unknown_key"
    assert "this key is not known here" in failure.message


def test_another_colony_is_named_on_both_sides() -> None:
    other = dataclasses.replace(A, colony=b"d" * 32)
    dialler, listener = pair(other)
    failure = refused(listener.receive(to_proof(dialler, listener)), "other_colony")
    assert colony_text(b"c" * 32)[:12] in failure.message
    assert colony_text(b"d" * 32)[:12] in failure.message


def test_versions_without_an_overlap_are_both_named() -> None:
    dialler, listener = pair(dataclasses.replace(A, versions=(2, 3)))
    failure = refused(listener.receive(only(dialler.start())), "version_mismatch")
    assert "speaks 1" in failure.message
    assert "2, 3" in failure.message


def test_the_highest_common_version_is_taken() -> None:
    dialler, listener = pair(
        dataclasses.replace(A, versions=(1, 2, 5)), dataclasses.replace(B, versions=(2, 1, 4))
    )
    listener.receive(to_proof(dialler, listener))
    hello = only(dialler.receive(only(listener.accept())))
    established = listener.receive(hello).established
    assert established is not None
    assert established.version == 2


def test_a_version_that_was_not_offered_is_a_violation() -> None:
    dialler, _ = pair()
    _, other = pair(dataclasses.replace(A, versions=(2,)), dataclasses.replace(B, versions=(2,)))
    answer = only(other.receive(encode(Opening((2,), b"n" * 32))))
    dialler.start()
    refused(dialler.receive(answer), "protocol_violation")


def test_dialling_our_own_key_is_seen_by_the_dialler() -> None:
    dialler, _ = pair(A, A)
    step = dialler.start()
    assert step.send == ()
    assert isinstance(step.failure, HandshakeRefused)
    assert step.failure.code == "self_dial"


@pytest.mark.parametrize(
    ("instance", "code"), [(A.instance, "self_dial"), (b"other instance!!", "copied_host")]
)
def test_our_own_key_at_the_door_is_us_or_a_copy(instance: bytes, code: str) -> None:
    # The listener must not rely on the dialler's own check: B's key is expected, A answers.
    dialler, listener = pair(dataclasses.replace(A, instance=instance), A, expected=B)
    refused(listener.receive(to_proof(dialler, listener)), code)


def test_who_wanted_another_key_is_told_which_is_here() -> None:
    zaphod = local(3, "zaphod")
    dialler, listener = pair(expected=zaphod)
    failure = refused(listener.receive(to_proof(dialler, listener)), "wrong_key")
    assert key_text(B.signer.node) in failure.message
    assert key_text(zaphod.signer.node) in failure.message


def test_who_saw_another_certificate_is_told_of_somebody_between() -> None:
    dialler, listener = pair(seen=b"y" * 32)
    refused(listener.receive(to_proof(dialler, listener)), "wrong_certificate")


def test_a_recorded_handshake_is_worth_nothing_on_a_new_connection() -> None:
    dialler, listener = pair()
    opening = only(dialler.start())
    proof = only(dialler.receive(only(listener.receive(opening))))
    assert listener.receive(proof).claim is not None
    again = Listener(B, CERTIFICATE, b"another nonce, as for every link")
    only(again.receive(opening))
    refused(again.receive(proof), "bad_signature")


def test_a_recorded_answer_is_worth_nothing_either() -> None:
    dialler, listener = pair()
    answer = only(listener.receive(only(dialler.start())))
    listener.receive(only(dialler.receive(answer)))
    confirm = only(listener.accept())
    victim, _ = pair(nonces=(b"v" * 32, b"m" * 32))
    victim.start()
    victim.receive(answer)
    refused(victim.receive(confirm), "bad_signature")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: dataclasses.replace(p, role=b"J", invite_id=b"v" * 16, mac=b"m" * 32, name="x"),
        lambda p: dataclasses.replace(p, colony=b"z" * 32),
        lambda p: dataclasses.replace(p, dialler=local(3, "z").signer.node),
        lambda p: dataclasses.replace(p, listener=local(3, "z").signer.node),
        lambda p: dataclasses.replace(p, certificate=b"z" * 32),
        lambda p: dataclasses.replace(p, instance=b"z" * 16),
        lambda p: dataclasses.replace(p, signature=b"z" * 64),
    ],
)
def test_nothing_in_a_proof_can_be_changed(change: Callable[[Proof], Proof]) -> None:
    dialler, listener = pair()
    proof = decode(to_proof(dialler, listener))
    assert isinstance(proof, Proof)
    refused(listener.receive(encode(change(proof))), "bad_signature")


def test_offered_versions_cannot_be_thinned_out_on_the_way() -> None:
    both = (1, 2)
    dialler, listener = pair(dataclasses.replace(A, versions=both), dataclasses.replace(B, versions=both))
    opening = decode(only(dialler.start()))
    assert isinstance(opening, Opening)
    answer = only(listener.receive(encode(dataclasses.replace(opening, versions=(1,)))))
    refused(listener.receive(only(dialler.receive(answer))), "bad_signature")


def test_frames_out_of_turn_are_violations_and_the_machine_stays_dead() -> None:
    dialler, listener = pair()
    opening = only(dialler.start())
    refused(listener.receive(encode(A.hello)), "protocol_violation")
    refused(listener.receive(opening), "protocol_violation")
    assert listener.phase is Phase.FAILED
    refused(dialler.receive(opening), "protocol_violation")
    assert dialler.phase is Phase.FAILED


def test_nobody_is_answered_before_we_decided() -> None:
    dialler, listener = pair()
    for act in (listener.accept, listener.welcome):
        with pytest.raises(InternalError):
            act()
    listener.receive(to_proof(dialler, listener))
    with pytest.raises(InternalError):
        listener.welcome()
    # Hello before our answer is out of turn, however true.
    assert isinstance(listener.receive(encode(A.hello)).failure, ProtocolViolation)


def test_a_nonce_of_the_wrong_size_is_our_own_bug() -> None:
    with pytest.raises(InternalError):
        Listener(B, CERTIFICATE, b"short")
