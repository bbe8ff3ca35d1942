"""Who holds an operator key, with which rights, on whose word, and until when.

The key that signed the founding statement has every right and keeps it. Every other operator has what was
*granted* to him by somebody with the right to delegate, and never more than that one has himself; a grant may
end by a date and may be meant for some hosts only. A *dismissal*, by somebody above, ends the grants it
lists, and says which of the key's statements stand: what a stolen key says later counts for nothing, with
whatever date it is signed.

    operator   {"key", "name", "rights": [...], "until": ms or nil, "hosts": [node key, ...]}
    dismiss    {"key", "grants": [statement id, ...], "stands": [first 16 bytes of a statement id, ...]}

Everything here is a function of the set of statements: in which order they came does not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from maw.core.entry import MAX_COUNT
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId, Signer, short_key
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation

OPERATOR: Final = "operator"
DISMISS: Final = "dismiss"
ORDER: Final = "order"
FREEZING: Final = "freeze"
REVOKING: Final = "revoke"
REDACTING: Final = "redact"
ADMITTING: Final = "admit"
DELEGATING: Final = "delegate"
RIGHTS: Final = (ORDER, FREEZING, REVOKING, REDACTING, ADMITTING, DELEGATING)
STAND_BYTES: Final = 16
MAX_STANDS: Final = 400
MAX_HOSTS: Final = 64
MAX_GRANTS: Final = 200
FOUNDER: Final = "founder"
_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]{0,31}")
MAX_CHAIN: Final = 6
"""Hands through which a right may have come, the founder's included."""
MAX_POWERS: Final = 8
"""Ways in which rights come to one key through equally many hands that count: else a few who appoint each other,
again and again, would make ways without end. What the founder gives himself counts always."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One operator's word that ``key`` may act as one too. ``hosts``: of which nodes; empty: of all."""

    id: bytes
    issuer: NodeId
    key: NodeId
    name: str
    rights: frozenset[str]
    until: int | None
    hosts: frozenset[NodeId]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Dismissal:
    id: bytes
    issuer: NodeId
    key: NodeId
    grants: frozenset[bytes]
    stands: frozenset[bytes]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Power:
    """What a key may do by one grant; ``ended`` holds the dismissals of it, or of a grant it rests on."""

    key: NodeId
    name: str
    rights: frozenset[str]
    until: int | None
    hosts: frozenset[NodeId]
    chain: tuple[NodeId, ...]
    """The founder, and everybody through whom it came, the key itself last."""
    grants: tuple[bytes, ...]
    ended: tuple[frozenset[bytes], ...] = ()
    """For each dismissal: the statements that stand all the same."""

    def covers(self, right: str, host: NodeId | None, at_ms: int) -> bool:
        """``host``: the node that is concerned, None for the whole Colony."""
        return (
            right in self.rights
            and (self.until is None or at_ms <= self.until)
            and (not self.hosts or host in self.hosts)
        )

    def stands(self, statement: bytes) -> bool:
        return all(statement[:STAND_BYTES] in kept for kept in self.ended)


class Authority:
    """All operators of a Colony, by what the statements say. ``founder`` is None while that one is not known."""

    def __init__(
        self, founder: NodeId | None, grants: Iterable[Grant] = (), dismissals: Iterable[Dismissal] = ()
    ) -> None:
        self.founder = founder
        self._grants: dict[NodeId, list[Grant]] = {}
        for grant in grants:
            self._grants.setdefault(grant.key, []).append(grant)
        self._dismissals: dict[NodeId, list[Dismissal]] = {}
        for dismissal in dismissals:
            self._dismissals.setdefault(dismissal.key, []).append(dismissal)
        self._powers = self._spread()
        self._names = self._find_names()

    def may(self, key: NodeId, right: str, statement: bytes, at_ms: int, host: NodeId | None = None) -> bool:
        """Whether ``statement``, issued by ``key`` at ``at_ms``, counts as an act of ``right``."""
        if key == self.founder:
            return True
        return any(power.covers(right, host, at_ms) and power.stands(statement) for power in self.powers(key))

    def may_now(self, key: NodeId, right: str, at_ms: int, host: NodeId | None = None) -> bool:
        """Whether ``key`` may do so at ``at_ms``, having been dismissed by nobody."""
        if key == self.founder:
            return True
        return any(power.covers(right, host, at_ms) and not power.ended for power in self.powers(key))

    def may_order(self, key: NodeId, hosts: Collection[NodeId], at_ms: int) -> bool:
        """Whether ``key`` may give orders to agents of these hosts; with none, to a channel, which all read."""
        return all(self.may_now(key, ORDER, at_ms, host) for host in hosts or (None,))

    def bound_to(self, key: NodeId, right: str, at_ms: int) -> frozenset[NodeId]:
        """The hosts over which alone ``key`` has the right at ``at_ms``; none where it has it everywhere or nowhere."""
        if self.may_now(key, right, at_ms):
            return frozenset()
        powers = [one for one in self.powers(key) if not one.ended]
        return frozenset(host for one in powers for host in one.hosts if one.covers(right, host, at_ms))

    def knows(self, key: NodeId) -> bool:
        """An operator, or somebody who was one."""
        return key == self.founder or bool(self.powers(key))

    def powers(self, key: NodeId) -> tuple[Power, ...]:
        return self._powers.get(key, ())

    def holders(self) -> Collection[NodeId]:
        """Everybody but the founder who holds or held a grant that counts."""
        return [key for key, powers in self._powers.items() if powers]

    def name_of(self, key: NodeId) -> str:
        """What a key is called, as whoever is nearest to the founder calls it. Of two that are called alike the one
        nearer to him keeps the name, the other is shown with a piece of its key; both are when none is nearer."""
        return FOUNDER if key == self.founder else self._names.get(key, "")

    def above(self, key: NodeId) -> frozenset[NodeId]:
        """Everybody through whom the key's rights came."""
        return frozenset(one for power in self.powers(key) for one in power.chain[:-1])

    def below(self, key: NodeId) -> frozenset[NodeId]:
        """Everybody whose rights came through this key."""
        return frozenset(one for one in self.holders() if key in self.above(one))

    def _spread(self) -> dict[NodeId, tuple[Power, ...]]:
        """From the founder down, hand by hand: those through fewer hands come first."""
        given: dict[NodeId, list[Grant]] = {}
        for key in sorted(self._grants):
            for grant in sorted(self._grants[key], key=lambda grant: grant.id):
                given.setdefault(grant.issuer, []).append(grant)
        spread: dict[NodeId, tuple[Power, ...]] = {}
        level: list[Power] = []
        if self.founder is not None:
            level = [Power(self.founder, FOUNDER, frozenset(RIGHTS), None, frozenset(), (self.founder,), ())]
        while level:
            found: dict[NodeId, dict[Power, None]] = {}
            for parent in level:
                if len(parent.chain) >= MAX_CHAIN:
                    continue
                for grant in given.get(parent.key, ()):
                    if grant.key in parent.chain or not parent.covers(DELEGATING, None, grant.at_ms):
                        continue
                    if parent.stands(grant.id):
                        found.setdefault(grant.key, {})[self._beneath(parent, grant)] = None
            level = []
            for key, powers in found.items():
                kept = _foremost(powers)
                spread[key] = (*spread.get(key, ()), *kept)
                level += kept
        return spread

    def _find_names(self) -> dict[NodeId, str]:
        firsts = {key: _in_order(powers)[0] for key, powers in self._powers.items()}
        alike: dict[str, list[tuple[bool, int]]] = {}
        for power in firsts.values():
            alike.setdefault(power.name, []).append(_rank(power))
        names: dict[NodeId, str] = {}
        for key, power in firsts.items():
            ranks = alike[power.name]
            alone = _rank(power) == min(ranks) and ranks.count(_rank(power)) == 1
            names[key] = power.name if alone else f"{power.name}~{short_key(key)}"
        return names

    def _beneath(self, parent: Power, grant: Grant) -> Power:
        """A host named by a grant is one of those that its giver may name."""
        hosts = grant.hosts & parent.hosts if grant.hosts and parent.hosts else grant.hosts or parent.hosts
        ends = [end for end in (parent.until, grant.until) if end is not None]
        rights = grant.rights & parent.rights
        if grant.hosts and parent.hosts and not hosts:
            rights = frozenset()  # nothing is left: an empty set of hosts would mean all
        chain = (*parent.chain, grant.key)
        ended = tuple(
            dismissal.stands
            for dismissal in self._dismissals.get(grant.key, ())
            if grant.id in dismissal.grants and dismissal.issuer in chain
        )
        return Power(
            grant.key, grant.name, rights, min(ends, default=None), hosts, chain,
            (*parent.grants, grant.id), (*parent.ended, *ended),
        )  # fmt: skip


def _rank(power: Power) -> tuple[bool, int]:
    return bool(power.ended), len(power.chain)


def _in_order(powers: Iterable[Power]) -> list[Power]:
    """Those in force first, then by fewer hands, more rights, a later end; at last by what is the same everywhere."""
    return sorted(
        powers, key=lambda one: (*_rank(one), -len(one.rights), -(one.until or MAX_COUNT), one.grants)
    )


def _foremost(powers: Iterable[Power]) -> list[Power]:
    """As many as count, in turns by who gave them: nobody who gives much crowds out what another gave."""
    turns: Counter[NodeId] = Counter()
    ranked: list[tuple[int, int, Power]] = []
    for power in _in_order(powers):
        giver = power.chain[-2]
        ranked.append((turns[giver], len(ranked), power))
        turns[giver] += 1
    ranked.sort(key=lambda one: one[:2])
    most = len(ranked) if len(ranked[0][2].chain) == 2 else MAX_POWERS
    return [power for _, _, power in ranked[:most]]


# -- the statements -----------------------------------------------------------------------------------


def grant_statement(
    issuer: Signer,
    colony: bytes,
    key: NodeId,
    name: str,
    rights: Collection[str],
    until: int | None,
    hosts: Collection[NodeId],
    at_ms: int,
) -> Statement:
    return sign_statement(issuer, OPERATOR, colony, at_ms, grant_fields(key, name, rights, until, hosts))


def grant_fields(
    key: NodeId, name: str, rights: Collection[str], until: int | None, hosts: Collection[NodeId]
) -> dict[str, Any]:
    """What is signed."""
    return {"key": key, "name": name, "rights": sorted(rights), "until": until, "hosts": sorted(hosts)}


def dismissal_statement(
    issuer: Signer, colony: bytes, key: NodeId, grants: Iterable[bytes], stands: Iterable[bytes], at_ms: int
) -> Statement:
    return sign_statement(issuer, DISMISS, colony, at_ms, dismissal_fields(key, grants, stands))


def dismissal_fields(key: NodeId, grants: Iterable[bytes], stands: Iterable[bytes]) -> dict[str, Any]:
    """What is signed."""
    kept = sorted({item[:STAND_BYTES] for item in stands})[:MAX_STANDS]
    return {"key": key, "grants": sorted(grants), "stands": kept}


def read_grant(statement: Statement) -> Grant:
    """Raises ProtocolViolation. Rights that this version does not know are passed over."""
    fields = statement.fields
    name, rights, until = fields.get("name"), fields.get("rights"), fields.get("until")
    if type(name) is not str or not _NAME.fullmatch(name) or name == FOUNDER:
        raise _bad("an operator has no name, or one that would be mistaken for something else")
    if type(rights) is not list or not all(type(right) is str for right in rights):
        raise _bad("an operator's rights are malformed")
    if until is not None and (type(until) is not int or not 0 <= until <= MAX_COUNT):
        raise _bad("an operator's last day is malformed")
    hosts = [NodeId(raw) for raw in raw_list(fields, "hosts", KEY_BYTES, MAX_HOSTS)]
    return Grant(
        statement.id, statement.issuer, key_in(fields, "key"), name, frozenset(rights) & frozenset(RIGHTS),
        until, frozenset(hosts), statement.at_ms,
    )  # fmt: skip


def read_dismissal(statement: Statement) -> Dismissal:
    """Raises ProtocolViolation."""
    fields = statement.fields
    return Dismissal(
        statement.id,
        statement.issuer,
        key_in(fields, "key"),
        frozenset(raw_list(fields, "grants", ID_BYTES, MAX_GRANTS)),
        frozenset(raw_list(fields, "stands", STAND_BYTES, MAX_STANDS)),
        statement.at_ms,
    )


def key_in(fields: Mapping[str, Any], name: str) -> NodeId:
    """Raises ProtocolViolation."""
    value = fields.get(name)
    if type(value) is not bytes or len(value) != KEY_BYTES:
        raise _bad(f"{name} is no key")
    return NodeId(value)


def raw_list(fields: Mapping[str, Any], name: str, size: int, limit: int) -> list[bytes]:
    """A list of byte strings of one size. Raises ProtocolViolation."""
    value = fields.get(name)
    if type(value) is not list or len(value) > limit:
        raise _bad(f"{name} is no list of at most {limit}")
    if not all(type(item) is bytes and len(item) == size for item in value):
        raise _bad(f"{name} holds something of another size")
    return value


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a statement is malformed: {what}", code="bad_statement")
