"""What all statements together say: who operates, who is revoked and by whom replaced, what is frozen.

Worked out anew from the whole set whenever it changes, in this order, each step using those before it:
operators; revocations from above (operators, recovery keys, whoever invited); freezes and thaws; admissions,
without those that a revoked node had no more right to make.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from maw.core.authority import (
    ADMITTING,
    DISMISS,
    FREEZING,
    OPERATOR,
    ORDER,
    REDACTING,
    REVOKING,
    STAND_BYTES,
    Authority,
    Dismissal,
    Grant,
    read_dismissal,
    read_grant,
)
from maw.core.capping import CAP, ColonyCap, in_force, read_cap
from maw.core.freezing import FREEZE, THAW, Freeze, Freezes, Thaw, read_freeze, read_thaw
from maw.core.identity import NodeId, digest
from maw.core.policy import POLICY, Policy, in_order, read_policy
from maw.core.recovery import Named
from maw.core.redaction import REDACT, StatedRedaction, read_redaction
from maw.core.revocation import REVOKE, ROTATE, Cut, Revocation, combine, read_revocation
from maw.core.statement import (
    ADMIT,
    FOUND,
    Admission,
    Statement,
    founding_node,
    founding_recovery,
    read_admission,
)

Spoken = Admission | Grant | Dismissal | Revocation | Freeze | Thaw | StatedRedaction | Policy | ColonyCap
READERS: Final[Mapping[str, Callable[[Statement], Spoken]]] = {
    ADMIT: read_admission,
    OPERATOR: read_grant,
    DISMISS: read_dismissal,
    REVOKE: read_revocation,
    ROTATE: read_revocation,
    FREEZE: read_freeze,
    THAW: read_thaw,
    REDACT: read_redaction,
    POLICY: read_policy,
    CAP: read_cap,
}
"""How the fields of each type are read; each raises ProtocolViolation."""
IN_FORCE_IS_TOLD: Final = (OPERATOR, DISMISS, REVOKE, ROTATE, FREEZE, THAW, REDACT, POLICY, CAP)
"""Types of which every node says in its log that it keeps to them."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A key that has no more say. ``cut``: what of its logs counts."""

    key: NodeId
    cut: Cut
    by: tuple[Revocation, ...]
    new: NodeId | None


@dataclass(slots=True)
class Ruling:
    """``admissions``: those that stand, with their statements, in the order in which they came."""

    authority: Authority = field(default_factory=lambda: Authority(None))
    revoked: dict[NodeId, Revoked] = field(default_factory=dict)
    freezes: Freezes = field(default_factory=Freezes)
    admissions: list[tuple[Admission, Statement]] = field(default_factory=list)
    standing: frozenset[bytes] = frozenset()
    """First bytes of statements that some revocation or dismissal lets stand."""
    redactions: tuple[StatedRedaction, ...] = ()
    """By operators with that right, the earliest first."""
    policies: tuple[Policy, ...] = ()
    """By operators who may order everybody, the one in force first."""
    caps: tuple[ColonyCap, ...] = ()
    """By operators who may freeze everybody, those in force."""
    inherited: dict[NodeId, bytes] = field(default_factory=dict)
    """Of keys that took another's place: the hash of the recovery key, where nothing was known of it."""
    named: dict[NodeId, Named] = field(default_factory=dict)
    """What is said of nodes' recovery keys."""

    def successor(self, key: NodeId) -> NodeId:
        """The key that has taken this one's place, through any number of rotations; itself when none has."""
        seen = {key}
        while (gone := self.revoked.get(key)) and gone.new is not None and gone.new not in seen:
            key = gone.new
            seen.add(key)
        return key

    def counts(self, statement: Statement, said: Spoken | None) -> bool:
        """Whether a statement (with what it says) does anything; of a grant, whatever the date."""
        match said:
            case Freeze():
                return any(one.id == statement.id for one in self.freezes.active)
            case Revocation(key=key):
                return key in self.revoked and any(one.id == statement.id for one in self.revoked[key].by)
            case StatedRedaction():
                return any(one.id == statement.id for one in self.redactions)
            case Policy():
                return any(one.id == statement.id for one in self.policies)
            case ColonyCap():
                return any(one.id == statement.id for one in self.caps)
            case Grant(key=key):
                return any(
                    power.grants[-1] == statement.id and not power.ended
                    for power in self.authority.powers(key)
                )
        return self.authority.knows(statement.issuer)

    def admits_everywhere(self, admission: Admission, statement: Statement) -> bool:
        """An operator let it in: no node need be asked."""
        return self.authority.may(
            admission.issuer, ADMITTING, statement.id, admission.at_ms, admission.subject
        )


def rule(
    statements: Iterable[tuple[Statement, Spoken | None]],
    recoveries: Mapping[NodeId, bytes],
    own_right: Collection[NodeId] = (),
) -> Ruling:
    """``statements`` with what they say (None: of a type without a reader); ``recoveries``: the hash of each
    node's recovery key, as far as it is known; ``own_right``: who is trusted or heard of beside the statements, and
    so is no heir that nobody knows otherwise."""
    return _Court(statements, recoveries, own_right).decide()


class _Court:
    def __init__(
        self,
        statements: Iterable[tuple[Statement, Spoken | None]],
        recoveries: Mapping[NodeId, bytes],
        own_right: Collection[NodeId],
    ) -> None:
        self._recoveries = dict(recoveries)
        self._inherited: dict[NodeId, bytes] = {}
        self._named: dict[NodeId, Named] = {}
        self._admissions: list[tuple[Admission, Statement]] = []
        self._against: dict[NodeId, list[Revocation]] = {}
        self._freezes: list[Freeze] = []
        self._thaws: list[Thaw] = []
        self._redactions: list[StatedRedaction] = []
        self._policies: list[Policy] = []
        self._caps: list[ColonyCap] = []
        grants: list[Grant] = []
        dismissals: list[Dismissal] = []
        founder: NodeId | None = None
        root: NodeId | None = None
        for statement, said in statements:
            match said:
                case Admission():
                    self._admissions.append((said, statement))
                case Revocation():
                    self._against.setdefault(said.key, []).append(said)
                case Freeze():
                    self._freezes.append(said)
                case Thaw():
                    self._thaws.append(said)
                case StatedRedaction():
                    self._redactions.append(said)
                case Policy():
                    self._policies.append(said)
                case ColonyCap():
                    self._caps.append(said)
                case Grant():
                    grants.append(said)
                case Dismissal():
                    dismissals.append(said)
                case None:
                    if statement.type == FOUND:
                        founder, root = statement.issuer, founding_node(statement)
                        if root is not None and (hashed := founding_recovery(statement)) is not None:
                            self._named.setdefault(root, Named()).add(hashed, founder, binds=True)
        self._own_right = {*own_right, *(one.subject for one, _ in self._admissions if not one.back)}
        self._authority = Authority(founder, grants, dismissals)
        self._decided: dict[NodeId, tuple[Revocation, ...]] = {}
        self._above: dict[NodeId, frozenset[NodeId]] = {}
        self._heirs = self._find_heirs()
        self._root = None if root is None else self._heir(root)
        self._inviters = self._find_inviters()
        self._depths = self._find_depths(self._root)
        self._hosts = {one.id: one.target.node for one in self._freezes}
        ending: list[Dismissal | Revocation] = [
            *dismissals,
            *(one for group in self._against.values() for one in group),
        ]
        self._stands = frozenset(item for one in ending for item in one.stands)

    def _find_heirs(self) -> dict[NodeId, NodeId]:
        """Who took whose place. The recovery key of who was replaced is that of who replaces him, unless that one
        came here by himself: his thief would have him replace a node of the thief's."""
        waiting = sorted(
            (one for group in self._against.values() for one in group if one.new is not None),
            key=lambda one: (one.at_ms, one.id),
        )
        counting: dict[NodeId, list[Revocation]] = {}
        while due := [one for one in waiting if self._by_recovery(one)]:
            waiting = [one for one in waiting if one not in due]
            for one in due:
                counting.setdefault(one.key, []).append(one)
                if one.new is not None and one.new not in self._recoveries and one.new not in self._own_right:
                    self._recoveries[one.new] = self._inherited[one.new] = digest(one.issuer)
        return {key: new for key, group in counting.items() if (new := _new_key(group)) is not None}

    def _heir(self, key: NodeId) -> NodeId:
        seen = {key}
        while (new := self._heirs.get(key)) is not None and new not in seen:
            key = new
            seen.add(key)
        return key

    def _find_inviters(self) -> dict[NodeId, set[NodeId]]:
        """Who let whom in: who said so and was named by the other as the one who did. Of who named nobody (such as
        a thief's), whoever had the right to introduce. Anybody can admit anybody, and would stand above him."""
        said: dict[NodeId, set[NodeId]] = {}
        named: dict[NodeId, set[NodeId]] = {}
        given: dict[NodeId, set[NodeId]] = {}
        for admission, _ in self._admissions:
            issuer, subject = self._heir(admission.issuer), self._heir(admission.subject)
            if admission.back:
                named.setdefault(issuer, set()).add(subject)
            elif issuer != subject:
                said.setdefault(subject, set()).add(issuer)
                if admission.introducer:
                    given.setdefault(issuer, set()).add(subject)
        introducers: set[NodeId] = set()
        todo = set() if self._root is None else {self._root}
        while todo:
            one = todo.pop()
            introducers.add(one)
            todo |= given.get(one, set()) - introducers
        return {key: (by & named.get(key, set())) or (by & introducers) for key, by in said.items()}

    def decide(self) -> Ruling:
        revoked: dict[NodeId, Revoked] = {}
        for key in self._against:
            if against := self._counting(key):
                revoked[key] = Revoked(key, combine(against), against, _new_key(against))
        standing = [pair for pair in self._admissions if self._lets_stand(pair[0].issuer, pair[1].id)]
        self._name(admission for admission, _ in standing)
        return Ruling(
            self._authority,
            revoked,
            self._in_force(),
            standing,
            self._stands,
            self._redacted(),
            self._spoken_policies(),
            in_force(self._caps, lambda cap: self._authority.may(cap.issuer, FREEZING, cap.id, cap.at_ms)),
            self._inherited,
            self._named,
        )

    def _name(self, admissions: Iterable[Admission]) -> None:
        """Who says which recovery key is whose: who let a node in and stands above it knows."""
        for one in admissions:
            if one.recovery is not None and not one.back:
                issuer, subject = self._heir(one.issuer), self._heir(one.subject)
                depth = self._depths.get(subject)
                binds = (
                    depth is not None
                    and issuer in self._inviters.get(subject, ())
                    and self._depths.get(issuer, depth) < depth
                )
                self._named.setdefault(one.subject, Named()).add(one.recovery, one.issuer, binds=binds)

    def _counting(self, key: NodeId) -> tuple[Revocation, ...]:
        """The revocations of ``key`` that count. Whoever is above a key is never below it: this ends."""
        if key not in self._decided:
            self._decided[key] = tuple(one for one in self._against.get(key, ()) if self._counts(one))
        return self._decided[key]

    def _counts(self, one: Revocation) -> bool:
        if self._by_recovery(one):
            return True
        if one.new is not None:
            return False  # only the recovery key names a successor: a thief must not win the name
        if self._authority.may(one.issuer, REVOKING, one.id, one.at_ms, one.key):
            return True
        above = self._who_is_above(self._heir(one.key))
        return self._heir(one.issuer) in above and self._lets_stand(one.issuer, one.id)

    def _by_recovery(self, one: Revocation) -> bool:
        return self._recoveries.get(one.key) == digest(one.issuer)

    def _lets_stand(self, issuer: NodeId, statement: bytes) -> bool:
        """What a node said counts, unless it was revoked and this is not among what stands."""
        return all(statement[:STAND_BYTES] in one.stands for one in self._counting(issuer))

    def _who_is_above(self, key: NodeId) -> frozenset[NodeId]:
        """Whoever invited ``key``, and whoever invited those, as long as it leads towards the founding node.

        A thief may "invite" whoever invited his victim: that brings nobody nearer to the founding node than
        he already was, so he stays below.
        """
        mine = self._depths.get(key)
        if mine is None:
            return frozenset()
        return frozenset(one for one in self._reach(key) if self._depths.get(one, mine) < mine)

    def _find_depths(self, root: NodeId | None) -> dict[NodeId, int]:
        """Invitations between the founding node and each that can be reached by them."""
        if root is None:
            return {}
        invited: dict[NodeId, set[NodeId]] = {}
        for subject, inviters in self._inviters.items():
            for one in inviters:
                invited.setdefault(one, set()).add(subject)
        depths = {root: 0}
        level = [root]
        while level:
            fresh = {subject for one in level for subject in invited.get(one, ())} - set(depths)
            depths |= dict.fromkeys(fresh, depths[level[0]] + 1)
            level = sorted(fresh)
        return depths

    def _reach(self, key: NodeId) -> frozenset[NodeId]:
        if key not in self._above:
            found: set[NodeId] = set()
            todo = set(self._inviters.get(key, ()))
            while todo:
                one = todo.pop()
                if one not in found:
                    found.add(one)
                    todo |= self._inviters.get(one, set())
            self._above[key] = frozenset(found)
        return self._above[key]

    def _in_force(self) -> Freezes:
        may = self._authority.may
        lifted = {
            lifted
            for thaw in self._thaws
            for lifted in thaw.lifts
            if may(thaw.issuer, FREEZING, thaw.id, thaw.at_ms, self._hosts.get(lifted))
        }
        active = [
            freeze
            for freeze in self._freezes
            if freeze.id not in lifted
            and may(freeze.issuer, FREEZING, freeze.id, freeze.at_ms, freeze.target.node)
        ]
        return Freezes(active, self._heir)

    def _redacted(self) -> tuple[StatedRedaction, ...]:
        counting = [
            one for one in self._redactions
            if self._authority.may(one.issuer, REDACTING, one.id, one.at_ms, one.author)
        ]  # fmt: skip
        return tuple(sorted(counting, key=lambda one: (one.at_ms, one.id)))

    def _spoken_policies(self) -> tuple[Policy, ...]:
        return in_order(
            one for one in self._policies if self._authority.may(one.issuer, ORDER, one.id, one.at_ms)
        )


def _new_key(against: Iterable[Revocation]) -> NodeId | None:
    """The earliest rotation names the successor."""
    rotations = [one for one in against if one.new is not None]
    return min(rotations, key=lambda one: (one.at_ms, one.id)).new if rotations else None
