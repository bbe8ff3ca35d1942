"""What two nodes say to each other before a link is up: the frames, and the bytes they sign.

Every frame is a msgpack array whose first field is its tag; all key material has a fixed length, so the
signed transcript needs no lengths and can be read in one way only. Everything here is pure.

    tag         fields                                                              said by
    open        [versions], nonce                                                   dialler
    answer      version, nonce                                                      listener
    D           colony, dialler, listener, certificate, instance, signature, admission|nil     dialler
    J           colony, dialler, listener, certificate, instance, signature, invite, mac, name joiner
    L           instance, signature                                                 listener
    hello       {features, name, addresses, version}                                both
    claimed     welcome                                                             listener, to a joiner
    pinned      acceptance                                                          joiner
    paired                                                                          listener, to a joiner
    refused     code, reason                                                        either, then it closes
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final

import msgpack

from maw.core.identity import ID_BYTES, KEY_BYTES, SIGNATURE_BYTES, NodeId, digest, short_key
from maw.errors import HandshakeRefused, InternalError, ProtocolViolation

VERSIONS: Final = (1,)
NONCE_BYTES: Final = 32
INSTANCE_BYTES: Final = 16
COLONY_BYTES: Final = ID_BYTES
CERTIFICATE_BYTES: Final = 32
INVITE_ID_BYTES: Final = 16
MAC_BYTES: Final = 32

HANDSHAKE_FRAME_BYTES: Final = 64 * 1024
"""The longest frame of steps 1 to 4 and of Hello; joining frames may be as long as any other."""
JOINING_FRAME_BYTES: Final = 1024 * 1024
_MAX_ADDRESSES: Final = 16
_MAX_FEATURES: Final = 64
_MAX_WORD: Final = 255
_MAX_NAME: Final = 64
_MAX_REASON: Final = 500
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")

ROLE_DIALLER: Final = b"D"
ROLE_JOINER: Final = b"J"
ROLE_LISTENER: Final = b"L"


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that both sides have seen, in fixed lengths; ``version`` is signed as two bytes, big-endian."""

    version: int
    colony: bytes
    dialler: NodeId
    listener: NodeId
    dialler_nonce: bytes
    listener_nonce: bytes
    certificate: bytes
    opening: bytes
    instance: bytes

    def claim(self, role: bytes) -> bytes:
        """What the dialler signs (role D or J): 243 bytes."""
        return b"".join(
            (
                role,
                struct.pack(">H", self.version),
                self.colony,
                self.dialler,
                self.listener,
                self.dialler_nonce,
                self.listener_nonce,
                self.certificate,
                self.opening,
                self.instance,
            )
        )

    def answer(self, instance: bytes, claim_signature: bytes) -> bytes:
        """What the listener signs: the same under role L, its own instance, and whom it answers."""
        return self.claim(ROLE_LISTENER) + instance + digest(claim_signature)


def opening_hash(opening: bytes, answer: bytes) -> bytes:
    """The hash of both frames of step 2 as they were on the wire: offered versions cannot be thinned out."""
    return digest(struct.pack(">I", len(opening)), opening, struct.pack(">I", len(answer)), answer)


@dataclass(frozen=True, slots=True)
class Opening:
    versions: tuple[int, ...]
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    version: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """The dialler's or joiner's step 3; ``admission`` only in role D, the last three only in role J."""

    role: bytes
    colony: bytes
    dialler: NodeId
    listener: NodeId
    certificate: bytes
    instance: bytes
    signature: bytes
    admission: bytes | None = None
    invite_id: bytes = b""
    mac: bytes = b""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    instance: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says of itself once both have proved who they are. ``name`` is self-asserted."""

    name: str
    addresses: tuple[str, ...] = ()
    features: frozenset[str] = field(default_factory=frozenset)
    version: str = ""
    clock_ms: int = 0
    """Its wall clock when it said so, ms since 1970: shown to people, never obeyed. 0: not said."""


@dataclass(frozen=True, slots=True)
class Claimed:
    welcome: bytes


@dataclass(frozen=True, slots=True)
class Pinned:
    acceptance: bytes


@dataclass(frozen=True, slots=True)
class Paired:
    pass


PENDING: Final = "pending"
"""The code by which a node is refused that is known and that nobody has accepted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    reason: str

    def as_error(self, me: NodeId | None = None) -> HandshakeRefused:
        """The refusal as it is met by who was refused, ``me``."""
        if self.code == PENDING and me is not None:  # their words are said of their side
            short = short_key(me)
            there = f"this host ({short}) is known there and not accepted yet: say `maw peers accept {short}` there"
            return HandshakeRefused(there, code=self.code)
        return HandshakeRefused(f"refused by the other side: {self.reason}", code=self.code)


Frame = Opening | Answer | Proof | Confirm | Hello | Claimed | Pinned | Paired | Refusal


def plain_words(text: str, limit: int = _MAX_REASON) -> str:
    """``text`` of a stranger fit for a terminal and a log: one line, nothing invisible, at most ``limit``."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])


def encode(frame: Frame) -> bytes:
    """The bytes of one frame. Raises InternalError when our own fields are out of bounds."""
    body: list[object]
    match frame:
        case Opening(versions, nonce):
            body = ["open", list(versions), nonce]
        case Answer(version, nonce):
            body = ["answer", version, nonce]
        case Proof():
            body = _proof_fields(frame)
        case Confirm(instance, signature):
            body = ["L", instance, signature]
        case Hello():
            body = ["hello", _hello_map(frame)]
        case Claimed(welcome):
            body = ["claimed", welcome]
        case Pinned(acceptance):
            body = ["pinned", acceptance]
        case Paired():
            body = ["paired"]
        case Refusal(code, reason):
            body = ["refused", code, plain_words(reason)]
    raw: bytes = msgpack.packb(body, use_bin_type=True)
    try:
        decode(raw)
    except ProtocolViolation as problem:
        raise InternalError(f"maw would send a frame it would not accept: {problem.message}") from problem
    return raw


def decode(frame: bytes) -> Frame:
    """The frame in these bytes. Raises ProtocolViolation saying what is wrong; nothing else."""
    if len(frame) > JOINING_FRAME_BYTES:
        raise ProtocolViolation(f"a handshake frame of {len(frame)} bytes")
    try:
        body = msgpack.unpackb(frame, raw=False, strict_map_key=True, max_ext_len=0)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise ProtocolViolation("a handshake frame that is no msgpack") from None
    if not isinstance(body, list) or not body or not isinstance(body[0], str):
        raise ProtocolViolation("a handshake frame that is no tagged array")
    tag, fields = body[0], body[1:]
    if tag not in ("claimed", "pinned") and len(frame) > HANDSHAKE_FRAME_BYTES:
        raise ProtocolViolation(f"a handshake frame of {len(frame)} bytes")
    return _decode_tagged(tag, fields)


def _decode_tagged(tag: str, fields: list[object]) -> Frame:
    match tag, fields:
        case "open", [list() as versions, nonce]:
            return Opening(_versions(versions), _exactly(nonce, NONCE_BYTES, "nonce"))
        case "answer", [int() as version, nonce]:
            return Answer(_versions([version])[0], _exactly(nonce, NONCE_BYTES, "nonce"))
        case "D" | "J", [*_]:
            return _proof(tag, fields)
        case "L", [instance, signature]:
            return Confirm(
                _exactly(instance, INSTANCE_BYTES, "instance"),
                _exactly(signature, SIGNATURE_BYTES, "signature"),
            )
        case "hello", [dict() as said]:
            return _hello(said)
        case "claimed", [bytes() as welcome]:
            return Claimed(welcome)
        case "pinned", [bytes() as acceptance]:
            return Pinned(acceptance)
        case "paired", []:
            return Paired()
        case "refused", [str() as code, str() as reason]:
            return Refusal(code if _CODE.fullmatch(code) else "refused", plain_words(reason))
        case _:
            raise ProtocolViolation(f"an unknown handshake frame {plain_words(tag, 16)!r}")


def _proof_fields(proof: Proof) -> list[object]:
    common: list[object] = [
        proof.role.decode(),
        proof.colony,
        proof.dialler,
        proof.listener,
        proof.certificate,
        proof.instance,
        proof.signature,
    ]
    if proof.role == ROLE_DIALLER:
        return [*common, proof.admission]
    return [*common, proof.invite_id, proof.mac, proof.name]


def _proof(tag: str, fields: list[object]) -> Proof:
    if len(fields) != (7 if tag == "D" else 9):
        raise ProtocolViolation("a proof with the wrong number of fields")
    colony = _exactly(fields[0], COLONY_BYTES, "Colony")
    dialler = NodeId(_exactly(fields[1], KEY_BYTES, "key"))
    listener = NodeId(_exactly(fields[2], KEY_BYTES, "key"))
    certificate = _exactly(fields[3], CERTIFICATE_BYTES, "certificate hash")
    instance = _exactly(fields[4], INSTANCE_BYTES, "instance")
    signature = _exactly(fields[5], SIGNATURE_BYTES, "signature")
    if tag == "J":
        return Proof(
            ROLE_JOINER, colony, dialler, listener, certificate, instance, signature,
            invite_id=_exactly(fields[6], INVITE_ID_BYTES, "invite"),
            mac=_exactly(fields[7], MAC_BYTES, "MAC"),
            name=_word(fields[8], _MAX_NAME, "name"),
        )  # fmt: skip
    admission = fields[6]
    if admission is not None and not isinstance(admission, bytes):
        raise ProtocolViolation("an admission that is no bytes")
    return Proof(ROLE_DIALLER, colony, dialler, listener, certificate, instance, signature, admission)


def _hello_map(hello: Hello) -> dict[str, object]:
    return {
        "features": sorted(hello.features),
        "name": hello.name,
        "addresses": list(hello.addresses),
        "version": hello.version,
        **({"clock": hello.clock_ms} if hello.clock_ms else {}),
    }


def _hello(said: dict[object, object]) -> Hello:
    """Keys we do not know are a newer version's, and are passed over."""
    return Hello(
        name=_word(said.get("name"), _MAX_NAME, "name"),
        addresses=_words(said.get("addresses"), _MAX_ADDRESSES, "addresses"),
        features=frozenset(_words(said.get("features"), _MAX_FEATURES, "features")),
        version=_word(said.get("version"), _MAX_NAME, "version", empty=True),
        clock_ms=_clock(said.get("clock")),
    )


def _clock(value: object) -> int:
    return value if type(value) is int and 0 < value < 1 << 53 else 0


def _versions(versions: list[object]) -> tuple[int, ...]:
    good = tuple(v for v in versions if type(v) is int and 1 <= v <= 0xFFFF)
    if not good or len(good) != len(versions) or len(good) > 16:
        raise ProtocolViolation("a list of versions that is none")
    return good


def _exactly(value: object, size: int, what: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise ProtocolViolation(f"a {what} that is not {size} bytes")
    return value


def _word(value: object, limit: int, what: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > limit or not value.isprintable() or not (value or empty):
        raise ProtocolViolation(f"a {what} that is no word of at most {limit} printable characters")
    return value


def _words(value: object, limit: int, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > limit:
        raise ProtocolViolation(f"{what} that are no list of at most {limit}")
    return tuple(_word(word, _MAX_WORD, what) for word in value)
