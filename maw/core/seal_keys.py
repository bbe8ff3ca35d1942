"""A host's sealing keys: what it says of them in its log, when one takes the place of another, when one is deleted.

    SEAL_KEY  {"key": 32 bytes (X25519), "since": ms}        kind 13; the latest by (epoch, seq) of a log counts

Private halves live in a file beside the node's key, one a line, oldest first:

    maw-seal-keys-1
    BASE64 MADE_MS REPLACED_MS          the last has no third word: it is the one in use

Not in the database: one that was lost or put back must open what comes back from peers, and of a deleted key no copy
may lie in free pages or backups.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from maw.core.content import Content, read_bytes
from maw.core.entry import MAX_COUNT
from maw.core.identity import KEY_BYTES
from maw.core.sealing import check_public, key_id, public_of

ROTATE_MS: Final = 7 * 86_400_000
KEEP_MS: Final = 30 * 86_400_000
_FIRST_LINE: Final = "maw-seal-keys-1"


@dataclass(frozen=True, slots=True)
class SealKey:
    """What a node says: seal for this key from now on."""

    key: bytes
    since: int

    def content(self) -> dict[str, Any]:
        return {"key": self.key, "since": self.since}

    @classmethod
    def read(cls, content: Content) -> SealKey:
        """Raises ValueError on anything malformed."""
        key, since = read_bytes(content, "key", KEY_BYTES), content.get("since")
        if type(since) is not int or not 0 <= since <= MAX_COUNT:
            raise ValueError("since is no time")
        check_public(key)
        return cls(key, since)


class Pair(NamedTuple):
    """A private key, when it was made, and when another took its place (None: it is in use)."""

    secret: bytes
    made_ms: int
    replaced_ms: int | None = None


Ring = tuple[Pair, ...]
"""Oldest first; the last is in use. Empty before the first start."""


def public(ring: Ring) -> bytes | None:
    """The key in use, as others know it."""
    return public_of(ring[-1].secret) if ring else None


def halves(ring: Ring) -> dict[bytes, tuple[bytes, bytes]]:
    """Private and public keys, by the id under which content keys are wrapped for them."""
    both = [(pair.secret, public_of(pair.secret)) for pair in ring]
    return {key_id(shown): (secret, shown) for secret, shown in both}


def is_due(ring: Ring, said: bytes | None, now_ms: int) -> bool:
    """Whether a new key is to be made: there is none, it is a week old, it comes from a clock that was ahead, or it is
    not the one that this node's log names last: a key that was put back, or a log."""
    if not ring or public(ring) != said:
        return True
    return not 0 <= now_ms - ring[-1].made_ms < ROTATE_MS


def renewed(ring: Ring, secret: bytes, now_ms: int) -> Ring:
    """With a new key in use."""
    if ring:
        ring = (*ring[:-1], ring[-1]._replace(replaced_ms=now_ms))
    return (*ring, Pair(secret, now_ms))


def pruned(ring: Ring, now_ms: int) -> Ring:
    """Without what was replaced more than 30 days ago."""
    return tuple(p for p in ring if p.replaced_ms is None or now_ms - p.replaced_ms < KEEP_MS)


def pack(ring: Ring) -> bytes:
    lines = [_FIRST_LINE]
    for pair in ring:
        times = [pair.made_ms] if pair.replaced_ms is None else [pair.made_ms, pair.replaced_ms]
        lines.append(" ".join([base64.b64encode(pair.secret).decode("ascii"), *map(str, times)]))
    return ("\n".join(lines) + "\n").encode("ascii")


def unpack(data: bytes) -> Ring:
    """Raises ValueError for what ``pack`` never wrote."""
    first, *lines = data.decode("ascii").splitlines()
    if first != _FIRST_LINE:
        raise ValueError("it does not begin as such a file does")
    ring = tuple(_pair(line.split(" ")) for line in lines)
    if any(pair.replaced_ms is None for pair in ring[:-1]) or (ring and ring[-1].replaced_ms is not None):
        raise ValueError("not the last key alone is in use")
    return ring


def _pair(words: Sequence[str]) -> Pair:
    secret = base64.b64decode(words[0], validate=True)
    if (
        len(secret) != KEY_BYTES
        or not 2 <= len(words) <= 3
        or not all(word.isdecimal() for word in words[1:])
    ):
        raise ValueError("a line is no key")
    return Pair(secret, *map(int, words[1:]))
