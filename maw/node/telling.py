"""Statements in words: what each says, whether it is in force, and who keeps to it; and who holds which right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from maw.core.authority import RIGHTS, Dismissal, Grant
from maw.core.capping import ColonyCap
from maw.core.entry import Position
from maw.core.freezing import Freeze, Thaw
from maw.core.identity import NodeId, digest, key_text, short_key
from maw.core.message_ids import message_id
from maw.core.policy import Policy
from maw.core.redaction import StatedRedaction
from maw.core.revocation import Revocation
from maw.core.ruling import IN_FORCE_IS_TOLD, Ruling
from maw.core.spending import cap_words
from maw.core.statement import Statement
from maw.node.directory import Directory
from maw.node.keeping import frozen_words
from maw.node.membership import Membership
from maw.node.presenting import Json, iso
from maw.store.database import Database

MAX_IDLE_SHOWN: Final = 200
"""Statements that are not in force (any more): anybody can say a thousand."""


class Telling:
    """What the book holds, as people and programs are shown it. Changes nothing."""

    def __init__(
        self, db: Database, membership: Membership, directory: Directory, clock: Callable[[], int]
    ) -> None:
        self._db = db
        self._membership = membership
        self._directory = directory
        self._clock = clock

    @property
    def _ruling(self) -> Ruling:
        return self._membership.book.ruling

    def one(self, statement: Statement) -> Json:
        """As it is shown when it was given just now: nobody has said yet that he keeps to it."""
        return self._shown(statement, {}, self._host_names())

    async def statements(self) -> list[Json]:
        """All that is told of in logs (no admissions), newest first, with who keeps to it; of what is not in force
        the newest."""
        sql = "SELECT h.statement, n.key FROM heeded h JOIN nodes n ON n.n = h.node"
        kept: dict[bytes, set[NodeId]] = {}
        for statement, key in await self._db.rows(sql):
            kept.setdefault(statement, set()).add(NodeId(key))
        found = [one for one in self._membership.book.statements().values() if one.type in IN_FORCE_IS_TOLD]
        found.sort(key=lambda one: (one.at_ms, one.id), reverse=True)
        names = self._host_names()
        idle = 0
        shown: list[Json] = []
        for one in found:
            if not self._in_force(one):
                idle += 1
                if idle > MAX_IDLE_SHOWN:
                    continue
            shown.append(self._shown(one, kept, names))
        return shown

    def _host_names(self) -> dict[NodeId, str]:
        return {row.key: self._directory.host_name(row) for row in self._directory.nodes()}

    def _shown(self, statement: Statement, kept: dict[bytes, set[NodeId]], names: dict[NodeId, str]) -> Json:
        by = kept.get(statement.id, set())
        return {
            "id": statement.id.hex()[:12],
            "type": statement.type,
            "about": self._about(statement),
            "by": self._signer_words(statement.issuer),
            "at": iso(statement.at_ms),
            "in_force": self._in_force(statement),
            "kept_by": sorted(name for key, name in names.items() if key in by),
            "not_yet": sorted(name for key, name in names.items() if key not in by),
        }

    def _about(self, statement: Statement) -> str:
        match self._membership.book.said_by(statement.id):
            case Freeze() as freeze:
                return frozen_words(freeze)
            case Thaw(lifts=lifts):
                return self._thawed_words(lifts)
            case StatedRedaction() as stated:
                return self._redacted_words(stated)
            case Policy(version=version):
                first = self._ruling.policies[:1]
                rest = "" if first and first[0].id == statement.id else ", not in force (any more)"
                return f"policy, version {version}{rest}"
            case ColonyCap(unit=unit, amount=amount):
                return cap_words(unit, amount) + (
                    "" if self._in_force(statement) else ", not in force (any more)"
                )
            case Grant() as grant:
                until = f" until {iso(grant.until)}" if grant.until is not None else ""
                where = self._names(grant.hosts)
                on = f" on {', '.join(where)}" if where else ""
                return f"{grant.name} may {', '.join(sorted(grant.rights))}{on}{until}"
            case Dismissal(key=key):
                return f"{self._ruling.authority.name_of(key) or short_key(key)} is dismissed"
            case Revocation() as gone:
                what = f"is replaced by {short_key(gone.new)}" if gone.new else "is revoked"
                return f"{self._directory.name_of(gone.key)} ({short_key(gone.key)}) {what}" + (
                    f": {gone.why}" if gone.why else ""
                )
        return statement.type

    def _thawed_words(self, lifts: Iterable[bytes]) -> str:
        """``#general, arthur@mbp thawed``; a freeze that is not known here by the piece of its id."""
        said = {one: self._membership.book.said_by(one) for one in lifts}
        names = {
            freeze.target.name if isinstance(freeze, Freeze) else one.hex()[:12]
            for one, freeze in said.items()
        }
        return f"{', '.join(sorted(names))} thawed"

    def _redacted_words(self, said: StatedRedaction) -> str:
        count = sum(last - first + 1 for first, last in said.ranges)
        first = message_id(Position(said.author, said.epoch, said.ranges[0][0]))
        what = (
            f"{first} is" if count == 1 else f"{count} messages of {self._directory.name_of(said.author)} are"
        )
        return f"{what} redacted" + (f": {said.reason}" if said.reason else "")

    def _in_force(self, statement: Statement) -> bool:
        said = self._membership.book.said_by(statement.id)
        over = isinstance(said, Grant) and said.until is not None and self._clock() > said.until
        return not over and self._ruling.counts(statement, said)

    def operators(self) -> list[Json]:
        """Everybody who holds or held an operator key, the founder first."""
        authority = self._ruling.authority
        shown: list[Json] = []
        if authority.founder is not None:
            shown.append(_operator("founder", authority.founder, RIGHTS, None, [], "", True))
        for key in sorted(authority.holders(), key=lambda key: (authority.name_of(key), key)):
            for power in authority.powers(key):
                ended = bool(power.ended) or (power.until is not None and self._clock() > power.until)
                hosts = self._names(power.hosts)
                by = self._signer_words(power.chain[-2])
                shown.append(_operator(power.name, key, power.rights, power.until, hosts, by, not ended))
        return shown

    def _names(self, keys: Iterable[NodeId]) -> list[str]:
        return sorted(self._directory.name_of(key) for key in keys)

    def _signer_words(self, key: NodeId) -> str:
        authority = self._ruling.authority
        if authority.knows(key):
            return f"operator {authority.name_of(key)}"
        if digest(key) in self._membership.book.recoveries.values():
            return "its recovery key"
        return self._directory.name_of(key)


def _operator(
    name: str, key: NodeId, rights: Iterable[str], until: int | None, hosts: list[str], by: str, active: bool
) -> Json:
    return {
        "name": name, "key": key_text(key), "rights": sorted(rights), "until": iso(until), "hosts": hosts,
        "by": by, "active": active,
    }  # fmt: skip
