"""Pairing two hosts with one line: the invite, its proof, and who may use it. Pure.

The line is ``maw-invite-1:`` and base64url, without padding, of a msgpack array
``[colony, node key, name, addresses, secret, expiry]`` followed by four bytes of checksum. The secret never
travels again: the joiner shows the invite's id (a hash of the secret) and a MAC over the handshake.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgpack

from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId, digest, key_text
from maw.errors import BadInput, Refused

SECRET_BYTES: Final = 16
INVITE_ID_BYTES: Final = 16
NAME_DIGITS: Final = 8
RETRY_SECONDS: Final = 24 * 3600
"""How long the key that used an invite may use it again: an answer may have been lost on the way."""

_PREFIX: Final = "maw-invite-1:"
_ANY_VERSION: Final = re.compile(r"maw-invite-(\d{1,6}):")
_CHECK_BYTES: Final = 4
_MAX_LINE: Final = 8192
_MAX_ADDRESSES: Final = 16
_MAX_ADDRESS: Final = 280
_MAX_NAME: Final = 64
_LAST_SECOND: Final = 253402300799  # 9999-12-31, the last that can be shown as a date
_AGAIN: Final = "`maw invite` on the other host prints a new line"


@dataclass(frozen=True, slots=True)
class InviteLine:
    """What the line says: join ``colony`` at ``node`` (called ``name``) under one of ``addresses``.

    ``secret``: 16 bytes, one use. ``expires_at``: unix seconds.
    """

    colony: bytes
    node: NodeId
    name: str
    addresses: tuple[str, ...]
    secret: bytes
    expires_at: int

    @property
    def invite_id(self) -> bytes:
        return invite_id(self.secret)

    def __repr__(self) -> str:
        return f"InviteLine(to {self.name!r}, {key_text(self.node)})"  # never the secret: logs show reprs


@dataclass(frozen=True, slots=True)
class Use:
    """Who claimed an invite, and when (unix seconds)."""

    joiner: NodeId
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Invite:
    """An invite as the host that made it remembers it.

    ``only_for``: the one key that may use it, or None. ``confirm``: the owner must confirm who asks;
    ``confirmed``: whom he did. ``introducer``: the newcomer may admit others in turn.
    """

    secret: bytes
    expires_at: float
    uses: int = 1
    used: tuple[Use, ...] = ()
    only_for: NodeId | None = None
    confirm: bool = False
    confirmed: tuple[NodeId, ...] = ()
    introducer: bool = False

    @property
    def invite_id(self) -> bytes:
        return invite_id(self.secret)

    @property
    def name(self) -> str:
        """What its owner calls it by: a piece of its id, which says nothing of the secret."""
        return self.invite_id.hex()[:NAME_DIGITS]

    def __repr__(self) -> str:
        return f"Invite({self.name}, {len(self.used)} of {self.uses} used)"


@dataclass(frozen=True, slots=True)
class Accept:
    """The joiner may claim the invite."""


@dataclass(frozen=True, slots=True)
class Idempotent:
    """The joiner has claimed it already; the answer is the same as then."""


@dataclass(frozen=True, slots=True)
class Denied:
    """``code``: unknown, used, expired, not_for_you or unconfirmed; ``reason``: a sentence for the joiner."""

    code: str
    reason: str


Verdict = Accept | Idempotent | Denied


def judge(invite: Invite | None, joiner: NodeId, now: float) -> Verdict:
    """Whether ``joiner`` may use ``invite`` at ``now`` (unix seconds)."""
    if invite is None:
        return Denied("unknown", f"this host knows no such invite; {_AGAIN}")
    own = next((use for use in invite.used if use.joiner == joiner), None)
    if own is not None and now < own.at + RETRY_SECONDS:
        return Idempotent()
    if own is not None:
        return Denied("used", f"you used this invite yourself at {_when(own.at)}; {_AGAIN}")
    if invite.only_for is not None and invite.only_for != joiner:
        return Denied("not_for_you", f"this invite is for another key, not for {key_text(joiner)}")
    if len(invite.used) >= invite.uses:
        return Denied("used", f"this invite was used by {_users(invite.used)}; {_AGAIN}")
    if now >= invite.expires_at:
        return Denied("expired", f"this invite expired at {_when(invite.expires_at)}; {_AGAIN}")
    if invite.confirm and joiner not in invite.confirmed:
        return Denied(
            "unconfirmed",
            f"the owner has to confirm {key_text(joiner)} with `maw peers accept` first; then join again",
        )
    return Accept()


def check_line(line: InviteLine, me: NodeId, now: float) -> None:
    """The joiner's own checks before anything is dialled. Raises Refused with what to do instead."""
    if line.node == me:
        raise Refused(
            "this is this host's own invite", code="own_invite", hint="run `maw join` on the other host"
        )
    if now >= line.expires_at:
        raise Refused(
            f"this invite expired at {_when(line.expires_at)}",
            code="expired",
            hint=f"{_AGAIN}; if it is fresh, compare the two hosts' clocks",
        )
    if not line.addresses:
        raise Refused(
            "this invite names no address",
            code="no_address",
            hint="give the other host's mesh an address to listen on, then invite again",
        )


def invite_id(secret: bytes) -> bytes:
    """What an invite is called in the open: 16 bytes that say nothing about the secret."""
    return digest(secret)[:INVITE_ID_BYTES]


def join_mac(secret: bytes, transcript: bytes, signature: bytes, name: str) -> bytes:
    """32 bytes that prove knowledge of ``secret`` in this very handshake, and cover the joiner's name."""
    said = transcript + signature + name.encode()
    return hashlib.blake2b(said, key=secret, person=b"maw-join-v1", digest_size=32).digest()


def encode_line(line: InviteLine) -> str:
    """The one line that people copy."""
    raw: bytes = msgpack.packb(
        [line.colony, line.node, line.name, list(line.addresses), line.secret, line.expires_at]
    )
    return _PREFIX + base64.urlsafe_b64encode(raw + _checksum(raw)).decode("ascii").rstrip("=")


def parse_line(text: str) -> InviteLine:
    """The invite in a pasted line; white space and quotes around and within do not matter.

    Raises BadInput with a code of its own for each: not_an_invite, invite_version, invite_truncated,
    invite_mistyped, invite_malformed.
    """
    word = "".join(text[: _MAX_LINE + 1].split()).strip("\"'`“”‘’<>")
    if len(text) > _MAX_LINE:
        raise BadInput("this is too long for an invite", code="not_an_invite", hint=_AGAIN)
    version = _ANY_VERSION.match(word)
    if version is None:
        raise BadInput(f"not an invite: it does not begin with {_PREFIX}", code="not_an_invite", hint=_AGAIN)
    if not word.startswith(_PREFIX):
        raise BadInput(
            f"this invite is of version {version[1]}; this maw reads version 1",
            code="invite_version",
            hint="update maw on the older of the two hosts",
        )
    raw, exact = _bytes(word[len(_PREFIX) :])
    body = _checked(raw)
    if not exact:
        raise _mistyped("its last character is another")
    return _fields(body)


def _bytes(text: str) -> tuple[bytes, bool]:
    if not re.fullmatch(r"[A-Za-z0-9_-]*=*", text):
        raise _mistyped("it holds characters that no invite has")
    body = text.rstrip("=")
    if len(body) % 4 == 1:
        raise _truncated()
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        raise _mistyped("it is not what was printed") from None
    exact = base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=") == body
    return raw, exact  # not exact: the last character differs in bits that no byte uses


def _checked(raw: bytes) -> list[object]:
    """The array before the checksum. What ends early is truncated, what does not match is mistyped."""
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=True, max_buffer_size=_MAX_LINE, max_array_len=_MAX_ADDRESSES, max_ext_len=0
    )
    unpacker.feed(raw)
    try:
        body = unpacker.unpack()
    except msgpack.OutOfData:
        raise _truncated() from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _mistyped("its checksum does not match") from None
    end = unpacker.tell()
    check = raw[end:]
    if len(check) < _CHECK_BYTES and _checksum(raw[:end]).startswith(check):
        raise _truncated()
    if check != _checksum(raw[:end]):
        raise _mistyped("its checksum does not match")
    if not isinstance(body, list):
        raise _malformed()
    return body


def _fields(body: list[object]) -> InviteLine:
    """Checksum and all, it may still be of our own mistaken making: nothing is taken on trust."""
    match body:
        case [
            bytes() as colony,
            bytes() as node,
            str() as name,
            list() as addresses,
            bytes() as secret,
            int() as expires_at,
        ] if (
            len(colony) == ID_BYTES
            and len(node) == KEY_BYTES
            and len(secret) == SECRET_BYTES
            and _is_word(name, _MAX_NAME)
            and all(_is_word(a, _MAX_ADDRESS) for a in addresses)
            and type(expires_at) is int
            and 0 <= expires_at <= _LAST_SECOND
        ):
            return InviteLine(colony, NodeId(node), name, tuple(addresses), secret, expires_at)
        case _:
            raise _malformed()


def _is_word(value: object, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()


def _checksum(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=_CHECK_BYTES, person=b"maw-invite").digest()


def _truncated() -> BadInput:
    return BadInput(
        "the invite is cut off: its end is missing", code="invite_truncated", hint="copy all of it"
    )


def _mistyped(how: str) -> BadInput:
    return BadInput(
        f"the invite is mistyped: {how}", code="invite_mistyped", hint="copy the line again, all of it"
    )


def _malformed() -> BadInput:
    return BadInput("the invite holds something else than an invite", code="invite_malformed", hint=_AGAIN)


def _users(used: tuple[Use, ...]) -> str:
    return ", ".join(f"{use.name} ({key_text(use.joiner)}) at {_when(use.at)}" for use in used[-3:])


def _when(at: float) -> str:
    at = min(max(at, 0.0), float(_LAST_SECOND))
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
