"""Whom this node trusts, and why.

What follows from its parts, who is trusted and who is pending, is worked out in ``members``.

What an operator, a recovery key or whoever stands above has revoked is out, whatever pins, files or admits say;
a key that took another's place by rotation inherits its trust (see ``ruling``).

Statements are kept for ever, so each issuer has a quota, and all pending ones share one: a single peer
cannot fill the book and keep everybody else's statements out. An introducer's guests could together; so the founder's
word and that of a recovery key are taken into a full book, and what those say whom they end leaves room again.

The book is rebuilt from its parts on every change; nothing is derived step by step that could drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from maw.core.authority import STAND_BYTES, Dismissal
from maw.core.identity import NodeId, digest
from maw.core.members import Member, Pin, View, work_out
from maw.core.recovery import believable, disputed
from maw.core.revocation import ROTATE, Cut, Revocation
from maw.core.ruling import READERS, Revoked, Ruling, Spoken, rule
from maw.core.standing import to_stand
from maw.core.statement import ADMIT, FOUND, Admission, Statement, colony_id, read_admission
from maw.errors import ProtocolViolation

MAX_STATEMENTS: Final = 10_000
MAX_BY_ISSUER: Final = 1_000
"""Statements of one issuer; of all pending issuers together."""
MAX_BYTES_BY_ISSUER: Final = 2 * 1024 * 1024
ENDING_RESERVE: Final = 200
"""Beyond that, revocations and dismissals: who has said much can still shut a thief out."""


@dataclass(slots=True)
class Tally:
    """How many statements, of how many bytes, there are by each issuer."""

    count: Counter[NodeId] = field(default_factory=Counter)
    size: Counter[NodeId] = field(default_factory=Counter)

    def add(self, statement: Statement, sign: int = 1) -> None:
        self.count[statement.issuer] += sign
        self.size[statement.issuer] += sign * len(statement.wire)


_NONE: Final = Tally()


class TrustBook:
    """All this node knows of trust. ``trusted`` and ``pending`` never hold the node itself."""

    def __init__(
        self,
        me: NodeId,
        colony: bytes,
        statements: Iterable[Statement] = (),
        pins: Iterable[Pin] = (),
        forgotten: Iterable[NodeId] = (),
        recoveries: Mapping[NodeId, bytes] | None = None,
        heard: Mapping[NodeId, bytes] | None = None,
    ) -> None:
        """``recoveries``: the hash of each node's recovery key as far as it is known; ``heard``: as its log said it
        first (see ``recovery``)."""
        self.me = me
        self.colony = colony
        self._statements: dict[bytes, Statement] = {}
        self._spoken: dict[bytes, Spoken | None] = {}
        self._recoveries = dict(recoveries or {})
        self._heard = dict(heard or {})
        self._issued = Tally()
        self._counted = 0
        self._pins = {pin.key: pin for pin in pins}
        self._by_hand: dict[NodeId, Pin] = {}
        self._forgotten = set(forgotten)
        self._view = View()
        self.generation = 0
        """How often it was worked out: who saw the same number saw the same book."""
        self.add(statements)

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

    @property
    def ruling(self) -> Ruling:
        return self._view.ruling

    @property
    def revoked(self) -> Mapping[NodeId, Revoked]:
        """Keys that have no more say, our own too if it is one."""
        return self._view.ruling.revoked

    @property
    def former(self) -> frozenset[NodeId]:
        """Revoked keys that would be trusted otherwise: their logs are still completed, up to the cut."""
        return self._view.former

    @property
    def cuts(self) -> Mapping[NodeId, Cut]:
        return {key: gone.cut for key, gone in self._view.ruling.revoked.items()}

    @property
    def recoveries(self) -> Mapping[NodeId, bytes]:
        """The hash of each node's recovery key, as far as it is known; what is known does not change."""
        return self._recoveries

    @property
    def disputed_recoveries(self) -> Mapping[NodeId, frozenset[NodeId]]:
        """Nodes of whose recovery key not all say the same, and who says otherwise than is known."""
        return disputed(self._recoveries, self.ruling.named, self._heard)

    def admission_for_me(self, to: NodeId | None = None) -> bytes | None:
        """An admit of this node, to show to a listener that may not have heard of us: by the listener itself,
        else by an introducer of ours (best by one who vouches for the listener too), the latest of those."""
        member = self._view.trusted.get(to) if to is not None else None
        vouchers = member.vouched_by if member else ()

        def weight(admission: Admission) -> tuple[bool, bool, bool, bool, int]:
            issuer = admission.issuer
            ours = issuer in self._view.introducers
            return (
                issuer == to, ours and issuer in vouchers, ours, issuer in self._view.trusted, admission.at_ms,
            )  # fmt: skip

        for identity, said in self._spoken.items():
            if isinstance(said, Revocation) and said.new == self.me and self.revoked.get(said.key):
                return self._statements[identity].wire
        mine = [pair for pair in self._view.ruling.admissions if pair[0].subject == self.me]
        return max(mine, key=lambda pair: weight(pair[0]))[1].wire if mine else None

    def would_trust(self, peer: NodeId, shown: Statement | None) -> bool:
        """Trusted now, or trusted once ``shown`` (an admit that the peer brings along) is believed."""
        if peer in self._view.trusted:
            return True
        if shown is None or shown.colony != self.colony or peer in self._forgotten or peer in self.revoked:
            return False
        if shown.type == ROTATE:
            return self._would_take_place(peer, shown)
        if shown.type != ADMIT:
            return False
        admission = read_admission(shown)
        if admission.subject != peer or admission.issuer in self.revoked:
            return False
        return admission.issuer in self._view.introducers or self.ruling.admits_everywhere(admission, shown)

    def _would_take_place(self, peer: NodeId, rotation: Statement) -> bool:
        """Whether ``rotation``, once believed, makes ``peer`` the successor of somebody trusted."""
        if not self.acceptable(rotation):
            return False
        if not self._is_by_recovery(_read(rotation), rotation.issuer):
            return False  # and no book is made for whoever dials and shows what looks like one
        after = TrustBook(
            self.me, self.colony, [*self._statements.values(), rotation], self._all_pins(), self._forgotten,
            self._recoveries, self._heard,
        )  # fmt: skip
        return peer in after.trusted

    def said_by(self, statement: bytes) -> Spoken | None:
        """What a held statement says; None when it is not held, or says nothing that is read here."""
        return self._spoken.get(statement)

    def to_stand(self, issuers: Collection[NodeId], void: Collection[bytes] = ()) -> list[bytes]:
        """Statements by these that still count when their keys are ended. ``void``: those that are not to stand."""
        said = [(statement, self._spoken.get(one)) for one, statement in self._statements.items()]
        shut = {one.id for gone in self.revoked.values() for one in gone.by}
        return to_stand(said, issuers, shut=shut, recoveries=self._recoveries, void=void)

    def would_count(self, revocation: Statement) -> bool:
        """Whether a revocation, once held, would be one that counts."""
        after = TrustBook(
            self.me, self.colony, [*self._statements.values(), revocation], (), (), self._recoveries,
            self._heard,
        )  # fmt: skip
        return any(one.id == revocation.id for gone in after.revoked.values() for one in gone.by)

    # -- statements ---------------------------------------------------------------------------------

    def statements(self) -> Mapping[bytes, Statement]:
        return self._statements

    def acceptable(self, statement: Statement, coming: Tally = _NONE) -> bool:
        """Of this Colony, well formed, from somebody known who may add it, and not yet held. ``coming``: those that
        were taken and are not in the book yet."""
        if statement.id in self._statements:
            return False
        if statement.type == FOUND:
            return colony_id(statement) == self.colony
        if statement.colony != self.colony:
            return False
        try:
            said = _read(statement)
        except ProtocolViolation:
            return False
        issuer, size = statement.issuer, len(statement.wire)
        most = MAX_BY_ISSUER + (ENDING_RESERVE if isinstance(said, Revocation | Dismissal) else 0)
        of_founder = issuer == self.ruling.authority.founder
        if of_founder or self._is_by_recovery(said, issuer):
            return self._issued.count[issuer] + coming.count[issuer] < most
        if issuer != self.me and self._counted + coming.count.total() >= MAX_STATEMENTS:
            return False
        return (
            self._has_room_for(issuer, most, size, coming)
            or statement.id[:STAND_BYTES] in self.ruling.standing
        )

    def is_full_for(self, statement: Statement) -> bool:
        """Whether all that keeps a statement out, which is not acceptable, is how much there is already."""
        try:
            _read(statement)
        except ProtocolViolation:
            return False
        return statement.colony == self.colony and self._is_known(statement.issuer)

    def _is_by_recovery(self, said: Spoken | None, issuer: NodeId) -> bool:
        return isinstance(said, Revocation) and self._recoveries.get(said.key) == digest(issuer)

    def _is_known(self, issuer: NodeId) -> bool:
        view = self._view
        return (
            issuer == self.me
            or issuer in view.trusted
            or issuer in view.introducers
            or view.ruling.authority.knows(issuer)
        )

    def _has_room_for(self, issuer: NodeId, most: int, size: int, coming: Tally) -> bool:
        """Whether ``issuer`` is known and may add a statement to those held."""
        if issuer == self.me:
            return True
        if self._is_known(issuer):
            group: Collection[NodeId] = (issuer,)
        elif issuer in self._view.pending:
            group, most = self._view.pending.keys(), MAX_BY_ISSUER
        else:
            return False
        count = sum(self._issued.count[key] + coming.count[key] for key in group)
        held = sum(self._issued.size[key] + coming.size[key] for key in group)
        return count < most and held + size <= MAX_BYTES_BY_ISSUER

    def add(self, statements: Iterable[Statement]) -> None:
        """Statements that are durable now. One that says no such thing as it should is kept and passed on, no
        more."""
        for statement in statements:
            if statement.id in self._statements:
                continue
            self._statements[statement.id] = statement
            self._issued.add(statement)
            if statement.type == FOUND and colony_id(statement) != self.colony:
                continue
            if statement.type != FOUND and statement.colony != self.colony:
                continue
            try:
                self._spoken[statement.id] = _read(statement)
            except ProtocolViolation:
                continue
        self._rebuild()

    def learn_recoveries(self, recoveries: Mapping[NodeId, bytes]) -> bool:
        """What logs said first of their recovery keys, by hash. True when we know of any more than before."""
        fresh = {key: value for key, value in recoveries.items() if key not in self._heard}
        known = len(self._recoveries)
        if fresh:
            self._heard |= fresh
            self._rebuild()
        return len(self._recoveries) > known

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

    def _all_pins(self) -> list[Pin]:
        return list({**self._by_hand, **self._pins}.values())

    def _rule(self) -> Ruling:
        """Once more where it tells of a recovery key, which may be what another word was waiting for."""
        pairs = [(self._statements[identity], said) for identity, said in self._spoken.items()]
        own_right = {*self._pins, *self._by_hand, *self._heard}
        while True:
            ruling = rule(pairs, self._recoveries, own_right)
            fresh = ruling.inherited | believable(self.me, self._recoveries, ruling.named, self._heard)
            if not fresh:
                return ruling
            self._recoveries |= fresh

    def _rebuild(self) -> None:
        self.generation += 1
        view = work_out(self.me, self._all_pins(), self._forgotten, self._rule())
        self._view = view
        self._counted = sum(
            count for key, count in self._issued.count.items() if self._is_known(key) or key in view.pending
        )


def _read(statement: Statement) -> Spoken | None:
    """What a statement says; None where its type has no reader here. Raises ProtocolViolation."""
    reader: Callable[[Statement], Spoken] | None = READERS.get(statement.type)
    return reader(statement) if reader else None
