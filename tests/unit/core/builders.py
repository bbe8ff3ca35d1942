"""Signers, chains and effects for tests of the core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from maw.core.effects import Effect, Link, Send
from maw.core.entry import START, Entry, Head, Kind, decode, make, pack_payload
from maw.core.frames import Frame, Have, Held, LogName
from maw.core.identity import NodeId, Signer, digest

COLONY = digest(b"a colony for tests")
E = TypeVar("E")
F = TypeVar("F")


def signer(number: int) -> Signer:
    return Signer(bytes([number]) * 32)


def chain(
    author: Signer, count: int, *, epoch: int = 1, after: Head = START, text: str = "", colony: bytes = COLONY
) -> list[Entry]:
    """``count`` entries that follow ``after``; another ``text`` makes another branch."""
    made: list[Entry] = []
    head = after
    for number in range(count):
        payload = pack_payload(bytes(16), {"n": number, "text": text})
        entry = make(author, colony, epoch, head, (head.seq + 1) << 16, Kind.POST, payload)
        made.append(entry)
        head = entry.head
    return made


def forged(entry: Entry) -> Entry:
    """The same header under a signature that is not its author's."""
    return decode(entry.header, bytes(64), entry.payload)


def have(heads: Iterable[tuple[NodeId, int, Head]], *, complete: bool = True) -> Have:
    """All named anew, numbered from 0."""
    told = list(heads)
    return Have(
        tuple(LogName(number, author, epoch) for number, (author, epoch, _) in enumerate(told)),
        tuple(Held(number, head, complete) for number, (_, _, head) in enumerate(told)),
        (),
    )


def of(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Sequence[Effect], kind: type[F], link: Link | None = None) -> list[F]:
    """The frames of one kind that are sent (over ``link``)."""
    frames: list[Frame] = [e.frame for e in of(effects, Send) if link is None or e.link == link]
    return [frame for frame in frames if isinstance(frame, kind)]
