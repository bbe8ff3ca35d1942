"""Writes moving.json: one move, as both hosts say it, and what is lent. Run only when the format itself changes:

python -m tests.vectors.make_moving > tests/vectors/moving.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from maw.core.colony import AgentCard
from maw.core.entry import START, Entry, Head, Kind, Position, make, pack_payload
from maw.core.handover import Handover, Mail
from maw.core.identity import Signer
from maw.core.lent import Lent, Loan
from maw.core.moving import MOVED, OFFERED, READY, Moved
from maw.core.sealing import Chances, public_of, seal

COLONY = b"c" * 32
OLD, NEW, AUTHOR = Signer(b"\x01" * 32), Signer(b"\x02" * 32), Signer(b"\x03" * 32)
AGENT, MOVE, SECRET = b"s" * 16, b"m" * 16, b"\x04" * 32
HLC = 1_795_000_000_000 << 16


def _entry(signer: Signer, head: Head, kind: Kind, content: dict[str, Any]) -> Entry:
    return make(signer, COLONY, 7, head, HLC, kind, pack_payload(bytes(16), content))


def entries() -> dict[str, Entry]:
    """By what they say, in each log one after the other."""
    loan = Loan(Position(AUTHOR.node, 7, 3), b"i" * 32, b"k" * 32)
    chances = Chances(b"d" * 16, b"e" * 32, b"f" * 32)
    box = seal(
        Kind.LENT,
        Lent(AGENT, (loan,)).content(),
        COLONY,
        OLD.node,
        AGENT,
        {NEW.node: public_of(SECRET)},
        chances,
    )
    offered = _entry(
        OLD, START, Kind.MOVED, Moved(MOVE, AGENT, NEW.node, OFFERED, "scout", "agent").content()
    )
    moved = _entry(OLD, offered.head, Kind.MOVED, Moved(MOVE, AGENT, NEW.node, MOVED).content())
    ready = _entry(NEW, START, Kind.MOVED, Moved(MOVE, AGENT, OLD.node, READY).content())
    card = AgentCard(AGENT, "scout", "agent", moved=(OLD.node, MOVE))
    return {
        "offered": offered,
        "moved": moved,
        "ready": ready,
        "card": _entry(NEW, ready.head, Kind.AGENT, card.content()),
        "lent": _entry(OLD, moved.head, Kind.LENT, box.content()),
    }


def handover() -> Handover:
    place = Position(AUTHOR.node, 7, 3)
    mail = (Mail(place, "direct", 1_795_000_000_000, "hook", None, None, 1),)
    return Handover(
        (place._replace(seq=9),), mail, (Loan(place, b"i" * 32, b"k" * 32),), (("general", True),), None
    )


def vectors() -> dict[str, Any]:
    return {
        "secret": SECRET.hex(),
        "entries": {
            name: {
                "header": one.header.hex(),
                "signature": one.signature.hex(),
                "payload": (one.payload or b"").hex(),
                "id": one.id.hex(),
            }
            for name, one in entries().items()
        },
        "mailbox": handover().pack().hex(),
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()
