"""A request that is made again under its Idempotency-Key is answered as the first time: by what it is known again.

A message that was posted with a key carries a *mark*, a keyed hash of the key, that only its own host can make. So the
message itself knows its request: a host that lost its database finds the mark in its own log when the peers give that
back, and the request that is made again finds its message.

    secret  BLAKE2b of 32 bytes over the node's private key, personalised "maw-once-secret"
    mark    BLAKE2b of 16 bytes over agent id ‖ key, keyed with the secret, personalised "maw-once"

What was asked for under the key is not in the mark: it is in the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from maw.core.colony import Said
from maw.core.identity import Signer
from maw.core.intents import CHAT
from maw.core.wishes import NOTHING

MARK_BYTES: Final = 16
REQUEST_BYTES: Final = 16
KEYS_KEPT_MS: Final = 86_400_000
"""How long a key is remembered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is known by. ``former``: its key and the agent's number, as versions before the mark kept them."""

    mark: bytes
    request: bytes
    former: tuple[str, int]


class Marks:
    """Makes the marks of one node."""

    __slots__ = ("_secret",)

    def __init__(self, signer: Signer) -> None:
        self._secret = blake2b(signer.seed, digest_size=32, person=b"maw-once-secret").digest()

    def mark(self, agent: bytes, key: str) -> bytes:
        """``agent``: the stable id of who asks; each has keys of his own."""
        mine = agent + key.encode()
        return blake2b(mine, digest_size=MARK_BYTES, key=self._secret, person=b"maw-once").digest()


def request_of(kind: int, said: Said) -> bytes:
    """What is asked for, and must be the same under one key."""
    # what versions before these kept is known again; the times may have been given as "in two hours"
    more: tuple[object, ...] = () if said.intent == CHAT else (said.intent,)
    if said.wishes() != NOTHING:
        more = (said.intent, said.prio, said.expires is None, said.due is None, *said.groups)
    if said.files:
        more = (*more, *said.files)
    what = repr((int(kind), said.channel, said.to, said.text, said.reply_to, said.word, *more))
    return blake2b(what.encode(), digest_size=REQUEST_BYTES).digest()
