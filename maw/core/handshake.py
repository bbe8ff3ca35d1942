"""The handshake: two machines without IO that turn a TLS connection into two nodes that know each other.

Laws, as in the chapter "Links" of the protocol:

1. Nobody says who he is before the other's certificate was checked (the dialler's shell does that) and both
   nonces are on the table; the listener says nothing a stranger could not know before step 3 was checked.
2. Both sign role, version, Colony, both keys, both nonces, the certificate, the frames of step 2 and the
   dialler's instance; the listener also its instance and the hash of the signature it answers. So nothing
   can be replayed, reflected, moved to another connection or talked down to an older version.
3. Whoever refuses says so once, with a code and a reason, and is done. A machine never raises on what the
   other side sent: what went wrong is ``Step.failure``, what to send about it ``Step.send``.
4. The listener decides on the link (``welcome`` or ``refuse``) after the dialler's Hello and before its own:
   a dialler that hears Hello is linked, and one that is refused was never linked.

    dialler  start ─▶ open         listener  receive(open)  ─▶ answer
             receive(answer) ─▶ D or J       receive(D)     ─▶ Step.claim: judge, then accept() or refuse()
                                             receive(J)     ─▶ Step.join: find, mac_matches, accept()/refuse()
             receive(L) ─▶ hello             receive(hello) ─▶ Step.established, then welcome() or refuse()
             receive(hello) ─▶ Step.established
"""

from __future__ import annotations

import enum
import hmac
from abc import ABC, abstractmethod
from dataclasses import dataclass

from maw.core.identity import DOMAIN_LINK, NodeId, Signer, key_text, verify
from maw.core.pairing import join_mac
from maw.core.statement import colony_text
from maw.core.transcript import (
    INSTANCE_BYTES,
    NONCE_BYTES,
    ROLE_DIALLER,
    ROLE_JOINER,
    VERSIONS,
    Answer,
    Confirm,
    Frame,
    Hello,
    Opening,
    Proof,
    Refusal,
    Transcript,
    decode,
    encode,
    opening_hash,
)
from maw.errors import HandshakeRefused, InternalError, LinkError, ProtocolViolation


@dataclass(frozen=True, slots=True)
class Local:
    """This node as it is at the moment of a handshake. ``instance``: 16 random bytes of this process."""

    signer: Signer
    colony: bytes
    instance: bytes
    hello: Hello
    versions: tuple[int, ...] = VERSIONS


@dataclass(frozen=True, slots=True)
class Established:
    """Who is at the other end, proved. ``hello`` is None on a joining connection, which has none."""

    peer: NodeId
    instance: bytes
    version: int
    hello: Hello | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody proved to hold ``peer``'s key and wants a link; ``admission`` is opaque and unproved."""

    peer: NodeId
    instance: bytes
    admission: bytes | None


@dataclass(frozen=True, slots=True)
class JoinClaim:
    """Somebody proved to hold ``joiner``'s key and names an invite; its MAC is yet to be checked."""

    joiner: NodeId
    name: str
    invite_id: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one event: frames to send first, then at most one of the others."""

    send: tuple[bytes, ...] = ()
    claim: Claim | None = None
    join: JoinClaim | None = None
    established: Established | None = None
    failure: LinkError | None = None


@dataclass(frozen=True, slots=True)
class Joining:
    """What makes a dialler a joiner: the invite's id and its secret (16 bytes each)."""

    invite_id: bytes
    secret: bytes


class Phase(enum.Enum):
    OPEN = "nothing said"
    PROOF = "nonces exchanged"
    DECIDE = "waiting for our own decision"
    HELLO = "both proved"
    WELCOME = "waiting for our own decision on the link"
    DONE = "established"
    FAILED = "over"


def _unexpected(frame: Frame, phase: Phase) -> ProtocolViolation:
    return ProtocolViolation(f"{type(frame).__name__.lower()} while {phase.value}")


class _Side(ABC):
    """What both sides have in common."""

    __slots__ = ("_me", "phase")

    def __init__(self, me: Local) -> None:
        self._me = me
        self.phase = Phase.OPEN

    def receive(self, raw: bytes) -> Step:
        """One frame of the other side's; see ``Step``."""
        try:
            frame = decode(raw)
        except ProtocolViolation as problem:
            return self._failed(problem)
        if isinstance(frame, Refusal):
            self.phase = Phase.FAILED
            return Step(failure=frame.as_error(self._me.signer.node))
        return self._take(frame, raw) or self._failed(_unexpected(frame, self.phase))

    @abstractmethod
    def _take(self, frame: Frame, raw: bytes) -> Step | None:
        """What follows from a frame that has its place here; None for one that has not."""

    def _failed(self, failure: LinkError) -> Step:
        self.phase = Phase.FAILED
        return Step(send=(encode(Refusal(failure.code, failure.message)),), failure=failure)


class Dialler(_Side):
    """The side that connected; with ``joining`` it is a joiner (role J) and there is no Hello.

    ``expected``: the key the certificate (SHA-256 of its DER) was checked against; ``nonce``: 32 new bytes.
    """

    __slots__ = (
        "_admission", "_certificate", "_confirm", "_expected", "_joining", "_nonce",
        "_opening", "_signature", "_transcript",
    )  # fmt: skip

    def __init__(
        self,
        me: Local,
        expected: NodeId,
        certificate: bytes,
        nonce: bytes,
        *,
        admission: bytes | None = None,
        joining: Joining | None = None,
    ) -> None:
        super().__init__(me)
        _check_randomness(me, nonce)
        self._expected = expected
        self._certificate = certificate
        self._nonce = nonce
        self._admission = admission
        self._joining = joining
        self._opening = encode(Opening(me.versions, nonce))
        self._transcript: Transcript | None = None
        self._signature = b""
        self._confirm: Confirm | None = None

    def start(self) -> Step:
        """The first frame. Refuses to dial our own key: whoever has it is us, or a copy of us."""
        if self._expected == self._me.signer.node:
            self.phase = Phase.FAILED
            return Step(failure=HandshakeRefused("you dialled yourself", code="self_dial"))
        return Step(send=(self._opening,))

    def _take(self, frame: Frame, raw: bytes) -> Step | None:
        match frame:
            case Answer() if self.phase is Phase.OPEN:
                return self._prove(frame, raw)
            case Confirm() if self.phase is Phase.PROOF:
                return self._check(frame)
            case Hello() if self.phase is Phase.HELLO:
                return self._finish(frame)
        return None

    def _prove(self, answer: Answer, raw: bytes) -> Step:
        if answer.version not in self._me.versions:
            return self._failed(
                ProtocolViolation(f"the listener chose version {answer.version}, which was not offered")
            )
        self._transcript = Transcript(
            version=answer.version,
            colony=self._me.colony,
            dialler=self._me.signer.node,
            listener=self._expected,
            dialler_nonce=self._nonce,
            listener_nonce=answer.nonce,
            certificate=self._certificate,
            opening=opening_hash(self._opening, raw),
            instance=self._me.instance,
        )
        role = ROLE_JOINER if self._joining else ROLE_DIALLER
        self._signature = self._me.signer.sign(DOMAIN_LINK, self._transcript.claim(role))
        self.phase = Phase.PROOF
        return Step(send=(encode(self._proof(self._transcript, role)),))

    def _proof(self, said: Transcript, role: bytes) -> Proof:
        name, mac, invite_id = "", b"", b""
        if self._joining:
            name, invite_id = self._me.hello.name, self._joining.invite_id
            mac = join_mac(self._joining.secret, said.claim(role), self._signature, name)
        return Proof(
            role=role,
            colony=said.colony,
            dialler=said.dialler,
            listener=said.listener,
            certificate=said.certificate,
            instance=said.instance,
            signature=self._signature,
            admission=self._admission,
            invite_id=invite_id,
            mac=mac,
            name=name,
        )

    def _check(self, confirm: Confirm) -> Step:
        assert self._transcript is not None
        signed = self._transcript.answer(confirm.instance, self._signature)
        if not verify(self._expected, DOMAIN_LINK, signed, confirm.signature):
            return self._failed(
                HandshakeRefused("the listener's signature is not over this handshake", code="bad_signature")
            )
        self._confirm = confirm
        if self._joining:
            return self._finish(None)
        self.phase = Phase.HELLO
        return Step(send=(encode(self._me.hello),))

    def _finish(self, hello: Hello | None) -> Step:
        assert self._transcript is not None
        assert self._confirm is not None
        self.phase = Phase.DONE
        return Step(
            established=Established(self._expected, self._confirm.instance, self._transcript.version, hello)
        )


class Listener(_Side):
    """The side that was connected to; it learns from step 3 whether a peer or a joiner is there.

    ``certificate``: SHA-256 of the DER of the certificate this connection was served with.
    """

    __slots__ = (
        "_answer", "_certificate", "_nonce", "_opening", "_proof", "_transcript", "_version",
    )  # fmt: skip

    def __init__(self, me: Local, certificate: bytes, nonce: bytes) -> None:
        super().__init__(me)
        _check_randomness(me, nonce)
        self._certificate = certificate
        self._nonce = nonce
        self._version = 0
        self._opening: tuple[Opening, bytes] | None = None
        self._answer = b""
        self._proof: Proof | None = None
        self._transcript: Transcript | None = None

    def _take(self, frame: Frame, raw: bytes) -> Step | None:
        match frame:
            case Opening() if self.phase is Phase.OPEN:
                return self._answer_opening(frame, raw)
            case Proof() if self.phase is Phase.PROOF:
                return self._check(frame)
            case Hello() if self.phase is Phase.HELLO and self._proof is not None:
                self.phase = Phase.WELCOME
                proof = self._proof
                return Step(established=Established(proof.dialler, proof.instance, self._version, frame))
        return None

    def accept(self) -> Step:
        """Our gatekeeper (or the invite) lets the one who asked in: proves who we are in turn."""
        if self.phase is not Phase.DECIDE:
            raise InternalError(f"accept() while {self.phase.value}")
        assert self._transcript is not None
        assert self._proof is not None
        signed = self._transcript.answer(self._me.instance, self._proof.signature)
        confirm = Confirm(self._me.instance, self._me.signer.sign(DOMAIN_LINK, signed))
        self.phase = Phase.HELLO if self._proof.role == ROLE_DIALLER else Phase.DONE
        return Step(send=(encode(confirm),))

    def mac_matches(self, secret: bytes) -> bool:
        """Whether the joiner knows ``secret``, an invite's."""
        proof = self._proof
        if self._transcript is None or proof is None or proof.role != ROLE_JOINER:
            return False
        expected = join_mac(secret, self._transcript.claim(ROLE_JOINER), proof.signature, proof.name)
        return hmac.compare_digest(expected, proof.mac)

    def welcome(self) -> Step:
        """The link was admitted: our Hello, which tells the dialler that it is linked."""
        if self.phase is not Phase.WELCOME:
            raise InternalError(f"welcome() while {self.phase.value}")
        self.phase = Phase.DONE
        return Step(send=(encode(self._me.hello),))

    def refuse(self, why: LinkError) -> Step:
        """Our own no, as the last frame."""
        return self._failed(why)

    def _answer_opening(self, opening: Opening, raw: bytes) -> Step:
        common = set(opening.versions) & set(self._me.versions)
        if not common:
            ours, theirs = (", ".join(map(str, sorted(v))) for v in (self._me.versions, opening.versions))
            return self._failed(
                HandshakeRefused(
                    f"no protocol version in common: the listener speaks {ours}, the dialler {theirs}",
                    code="version_mismatch",
                    hint="update maw on the older of the two hosts",
                )
            )
        self._version = max(common)
        self._opening = (opening, raw)
        self._answer = encode(Answer(self._version, self._nonce))
        self.phase = Phase.PROOF
        return Step(send=(self._answer,))

    def _check(self, proof: Proof) -> Step:
        assert self._opening is not None
        opening, raw_opening = self._opening
        self._transcript = Transcript(
            version=self._version,
            colony=proof.colony,
            dialler=proof.dialler,
            listener=proof.listener,
            dialler_nonce=opening.nonce,
            listener_nonce=self._nonce,
            certificate=proof.certificate,
            opening=opening_hash(raw_opening, self._answer),
            instance=proof.instance,
        )
        if not verify(proof.dialler, DOMAIN_LINK, self._transcript.claim(proof.role), proof.signature):
            return self._failed(
                HandshakeRefused("the dialler's signature is not over this handshake", code="bad_signature")
            )
        if (problem := self._objection(proof)) is not None:
            return self._failed(problem)
        self._proof = proof
        self.phase = Phase.DECIDE
        if proof.role == ROLE_JOINER:
            return Step(join=JoinClaim(proof.dialler, proof.name, proof.invite_id))
        return Step(claim=Claim(proof.dialler, proof.instance, proof.admission))

    def _objection(self, proof: Proof) -> HandshakeRefused | None:
        """What is wrong with a genuine proof."""
        me = self._me.signer.node
        if proof.dialler == me:
            if proof.instance == self._me.instance:
                return HandshakeRefused("you dialled yourself", code="self_dial")
            return HandshakeRefused(
                "the dialler has this node's own key: one of the two is a copied host", code="copied_host"
            )
        if proof.listener != me:
            found, wanted = key_text(me), key_text(proof.listener)
            return HandshakeRefused(f"wrong key at this address: {found}, not {wanted}", code="wrong_key")
        if proof.certificate != self._certificate:
            return HandshakeRefused(
                "the dialler saw another certificate than this node presented: somebody is between the two",
                code="wrong_certificate",
            )
        if proof.colony != self._me.colony:
            ours, theirs = (colony_text(colony)[:12] for colony in (self._me.colony, proof.colony))
            return HandshakeRefused(
                f"another Colony: this node is of {ours}, the dialler of {theirs}", code="other_colony"
            )
        return None


def _check_randomness(me: Local, nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES or len(me.instance) != INSTANCE_BYTES:
        raise InternalError("a handshake needs a nonce of 32 bytes and an instance of 16")
