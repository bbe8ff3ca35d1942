"""Whom this node trusts, and why.

Trusted are: the pinned (by invite, by hand in peers.toml, accepted here), and whom an introducer of ours
admits. An introducer is the node that invited us, or one that an introducer (or we) admitted with that
right. Everybody else who was admitted by somebody known is *pending* until accepted here. What was
forgotten here stays forgotten, whatever others say, until a new local invite.

The book is rebuilt from its parts on every change; nothing is derived step by step that could drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from maw.core.identity import NodeId
from maw.core.statement import ADMIT, FOUND, Admission, Statement, colony_id, read_admission
from maw.errors import ProtocolViolation

INVITED: Final = "invited"
JOINED: Final = "joined"
BY_HAND: Final = "peers.toml"
ACCEPTED: Final = "accepted"
ADMITTED: Final = "admitted"
MAX_STATEMENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Pin:
    """A peer trusted by a decision taken on this host."""

    key: NodeId
    name: str
    addresses: tuple[str, ...]
    how: str
    introducer: bool = False
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as the book sees it. ``vouched_by``: whose admits name it."""

    key: NodeId
    name: str
    addresses: tuple[str, ...]
    how: str
    vouched_by: tuple[NodeId, ...]
    admission: bytes | None = None
    """The admit (wire bytes) to show when dialling somebody who may not know it yet."""


@dataclass(slots=True)
class _View:
    trusted: dict[NodeId, Member] = field(default_factory=dict)
    pending: dict[NodeId, Member] = field(default_factory=dict)
    introducers: frozenset[NodeId] = frozenset()


class TrustBook:
    """All this node knows of trust. ``trusted`` and ``pending`` never hold the node itself."""

    def __init__(
        self,
        me: NodeId,
        colony: bytes,
        statements: Iterable[Statement] = (),
        pins: Iterable[Pin] = (),
        forgotten: Iterable[NodeId] = (),
    ) -> None:
        self.me = me
        self.colony = colony
        self._statements = {statement.id: statement for statement in statements}
        self._pins = {pin.key: pin for pin in pins}
        self._by_hand: dict[NodeId, Pin] = {}
        self._forgotten = set(forgotten)
        self._view = _View()
        self._rebuild()

    # -- what follows from it -----------------------------------------------------------------------

    @property
    def trusted(self) -> Mapping[NodeId, Member]:
        return self._view.trusted

    @property
    def pending(self) -> Mapping[NodeId, Member]:
        return self._view.pending

    @property
    def pins(self) -> tuple[Pin, ...]:
        """Pins kept in the database; those of peers.toml live there."""
        return tuple(self._pins.values())

    @property
    def forgotten(self) -> frozenset[NodeId]:
        return frozenset(self._forgotten)

    @property
    def introducers(self) -> frozenset[NodeId]:
        return self._view.introducers

    def admission_for_me(self) -> bytes | None:
        """An admit of this node, to show to a listener that may not have heard of us."""
        latest = [a for a in self._admissions() if a[0].subject == self.me]
        return max(latest, key=lambda pair: pair[0].at_ms)[1].wire if latest else None

    def would_trust(self, peer: NodeId, shown: Statement | None) -> bool:
        """Trusted now, or trusted once ``shown`` (an admit that the peer brings along) is believed."""
        if peer in self._view.trusted:
            return True
        if shown is None or shown.type != ADMIT or shown.colony != self.colony or peer in self._forgotten:
            return False
        admission = read_admission(shown)
        return admission.subject == peer and admission.issuer in self._view.introducers

    # -- statements ---------------------------------------------------------------------------------

    def statements(self) -> Mapping[bytes, Statement]:
        return self._statements

    def acceptable(self, statement: Statement) -> bool:
        """Of this Colony, well formed, from somebody known, and not yet held."""
        if statement.id in self._statements or len(self._statements) >= MAX_STATEMENTS:
            return False
        if statement.type == FOUND:
            return colony_id(statement) == self.colony
        if statement.colony != self.colony:
            return False
        if statement.type == ADMIT:
            try:
                read_admission(statement)
            except ProtocolViolation:
                return False
        known = {self.me, *self._view.trusted, *self._view.pending, *self._view.introducers}
        return statement.issuer in known

    def add(self, statements: Iterable[Statement]) -> None:
        """Statements that are durable now."""
        self._statements |= {statement.id: statement for statement in statements}
        self._rebuild()

    # -- decisions taken here -------------------------------------------------------------------------

    def pin(self, pin: Pin) -> None:
        self._pins[pin.key] = pin
        self._forgotten.discard(pin.key)
        self._rebuild()

    def forget(self, peer: NodeId) -> None:
        self._pins.pop(peer, None)
        self._forgotten.add(peer)
        self._rebuild()

    def set_by_hand(self, pins: Iterable[Pin]) -> None:
        """peers.toml as it reads now; what is gone from it is no longer trusted by it."""
        self._by_hand = {pin.key: pin for pin in pins}
        self._rebuild()

    def _admissions(self) -> list[tuple[Admission, Statement]]:
        return [
            (read_admission(s), s)
            for s in self._statements.values()
            if s.type == ADMIT and s.colony == self.colony
        ]

    def _rebuild(self) -> None:
        admissions = self._admissions()
        pins = {**self._by_hand, **self._pins}
        pins = {key: pin for key, pin in pins.items() if key not in self._forgotten and key != self.me}
        introducers = {key for key, pin in pins.items() if pin.introducer or pin.how == JOINED}
        grew = True
        while grew:
            more = {
                a.subject
                for a, _ in admissions
                if a.introducer and a.issuer in introducers | {self.me} and a.subject not in self._forgotten
            }
            grew = not more <= introducers
            introducers |= more
        introducers.discard(self.me)
        view = _View(introducers=frozenset(introducers))
        for admission, statement in sorted(admissions, key=lambda pair: (pair[0].at_ms, pair[1].id)):
            self._enter(view, admission, statement)
        for key, pin in pins.items():
            known = view.trusted.get(key) or view.pending.pop(key, None)
            vouched = known.vouched_by if known else ()
            addresses = tuple(dict.fromkeys((*pin.addresses, *(known.addresses if known else ()))))
            view.trusted[key] = Member(
                key, pin.name or (known.name if known else ""), addresses, pin.how, vouched
            )
        self._view = view

    def _enter(self, view: _View, admission: Admission, statement: Statement) -> None:
        """Later admits of one key override the addresses and name of earlier ones."""
        key = admission.subject
        if key == self.me or key in self._forgotten:
            return
        known = view.trusted.get(key) or view.pending.get(key)
        vouched = tuple(dict.fromkeys((*(known.vouched_by if known else ()), admission.issuer)))
        member = Member(key, admission.name, admission.addresses, ADMITTED, vouched, statement.wire)
        # our own admit stands beside a pin made here; it counts alone too
        if admission.issuer in view.introducers or admission.issuer == self.me or key in view.trusted:
            view.pending.pop(key, None)
            view.trusted[key] = member
        else:
            view.pending[key] = member
