"""Statements spread by set digest, before any log, on every link; new ones are passed on at once.

Both sides show a digest; where they differ both send their ids, and each sends what the other lacks.
What a link brought and we could not accept (its issuer was not known yet) is not kept: when trust has grown,
the link is shown our ids once more. So every such question follows a change of ours, and there is no loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from maw.core.effects import AppendStatements, Effect, Hangup, Link, Send
from maw.core.frames import MAX_FRAME, StatementDigest, StatementIds, Statements
from maw.core.identity import digest
from maw.core.statement import Statement, read_statement
from maw.core.trust import Tally, TrustBook
from maw.errors import ProtocolViolation

BOOKS_AT_ONCE: Final = 3
ROUND_S: Final = 60.0
"""So many times a link may be given all statements, in so many seconds. Who asks honestly needs it once."""
_ROOM = MAX_FRAME // 2


@dataclass(slots=True)
class _Answered:
    """How many statements a link was given because it asked; and what it asked since it has to wait."""

    count: int = 0
    waiting: StatementIds | None = None


class Gossip:
    """The statement machine of one node."""

    def __init__(self, book: TrustBook) -> None:
        self._book = book
        self._links: set[Link] = set()
        self._in_flight: dict[bytes, Statement] = {}
        self._coming = Tally()
        self._passed_over: dict[Link, None] = {}
        self._refused = False
        self._answered: dict[Link, _Answered] = {}
        self._next_round = float("-inf")

    def digest(self) -> bytes:
        return digest(*sorted(self._book.statements()))

    def link_up(self, link: Link) -> list[Effect]:
        self._links.add(link)
        return [Send(link, StatementDigest(self.digest()))]

    def link_down(self, link: Link) -> None:
        self._links.discard(link)
        self._passed_over.pop(link, None)
        self._answered.pop(link, None)

    def digest_shown(self, link: Link, frame: StatementDigest) -> list[Effect]:
        if frame.digest == self.digest():
            return []
        return [self._show_ids(link)]

    def _show_ids(self, link: Link) -> Effect:
        return Send(link, StatementIds(tuple(sorted(self._book.statements()))))

    def ids_shown(self, link: Link, frame: StatementIds) -> list[Effect]:
        """What the link lacks. One that was given the whole book several times asks for nothing it needs: it waits
        for the next round, and only its last question counts then."""
        answered = self._answered.setdefault(link, _Answered())
        if answered.count > BOOKS_AT_ONCE * (len(self._book.statements()) + 10):
            answered.waiting = frame
            return []
        return self._answer(link, frame)

    def _answer(self, link: Link, frame: StatementIds) -> list[Effect]:
        theirs = set(frame.ids)
        lacking = [s.wire for s in self._book.statements().values() if s.id not in theirs]
        self._answered.setdefault(link, _Answered()).count += len(lacking)
        return [Send(link, part) for part in _parts(lacking)]

    def received(self, link: Link, frame: Statements) -> list[Effect]:
        """Keep what is good and new. One forged statement ends the link: its peer should have checked it."""
        try:
            # what is held already need not be checked again: a signature costs forty times a look at its id
            read = [
                read_statement(wire) for wire in frame.items if digest(wire) not in self._book.statements()
            ]
        except ProtocolViolation as error:
            return [Hangup(link, error.code, error.message)]
        new = [s for s in read if s.id not in self._in_flight and s.id not in self._book.statements()]
        fresh = [s for s in new if self._take(s)]
        if len(fresh) < len(new):
            self._passed_over[link] = None
        if not fresh:
            return []
        return [AppendStatements(link, tuple(s.wire for s in fresh))]

    def _take(self, statement: Statement) -> bool:
        """Whether it is taken; those under way count like those held."""
        if statement.id in self._in_flight or not self._book.acceptable(statement, self._coming):
            return False
        self._in_flight[statement.id] = statement
        self._coming.add(statement)
        return True

    def _arrived(self, identities: Iterable[bytes]) -> None:
        for identity in identities:
            if (statement := self._in_flight.pop(identity, None)) is not None:
                self._coming.add(statement, -1)

    def committed(self, statements: Sequence[Statement], source: Link | None) -> list[Effect]:
        """These are durable and in the book: pass them on to all but where they came from."""
        self._arrived(s.id for s in statements)
        parts = _parts([s.wire for s in statements])
        effects: list[Effect] = [
            Send(link, part) for link in sorted(self._links) if link != source for part in parts
        ]
        return effects + self.trust_changed()

    def trust_changed(self) -> list[Effect]:
        """The book may accept now what it passed over before: its bearers are asked again."""
        asked, self._passed_over = self._passed_over, {}
        return [self._show_ids(link) for link in asked]

    def discarded(self, wires: Iterable[bytes]) -> None:
        """These did not reach the disk; the next tick asks for them again."""
        self._arrived(digest(wire) for wire in wires)
        self._refused = True

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if now >= self._next_round:
            self._next_round = now + ROUND_S
            effects += self._next_answers()
        if self._refused:
            self._refused = False
            effects += [self._show_ids(link) for link in sorted(self._links)]
        return effects

    def _next_answers(self) -> list[Effect]:
        waiting = {link: answered.waiting for link, answered in self._answered.items() if answered.waiting}
        self._answered.clear()
        return [effect for link, frame in waiting.items() for effect in self._answer(link, frame)]


def _parts(wires: Sequence[bytes]) -> list[Statements]:
    parts: list[Statements] = []
    part: list[bytes] = []
    size = 0
    for wire in wires:
        if size + len(wire) > _ROOM:
            parts.append(Statements(tuple(part)))
            part, size = [], 0
        part.append(wire)
        size += len(wire) + 4
    return [*parts, Statements(tuple(part))] if part else parts
