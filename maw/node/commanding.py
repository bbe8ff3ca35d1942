"""Statements as people give and see them: drafted from names, signed elsewhere, taken in, and who keeps to them.

An operator's key never comes to the daemon: it drafts what is to be signed, with names resolved by the one way
there is, and whoever holds the key signs it and brings it back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgpack

from maw.core.authority import (
    DELEGATING,
    DISMISS,
    FOUNDER,
    FREEZING,
    MAX_GRANTS,
    OPERATOR,
    REDACTING,
    REVOKING,
    RIGHTS,
    Dismissal,
    Grant,
    dismissal_fields,
    grant_fields,
)
from maw.core.colony import message_id
from maw.core.entry import Position
from maw.core.freezing import (
    AGENT,
    ALL,
    CHANNEL,
    FREEZE,
    NODE,
    THAW,
    Freeze,
    Target,
    Thaw,
    freeze_fields,
    thaw_fields,
)
from maw.core.identity import NodeId, Signer, digest, key_text, parse_key, short_key
from maw.core.names import check_name, nearest
from maw.core.redaction import MAX_STATED_RANGES, REDACT, StatedRedaction, as_ranges, redaction_fields
from maw.core.revocation import REVOKE, Revocation, revocation_fields
from maw.core.ruling import IN_FORCE_IS_TOLD, Ruling
from maw.core.statement import Statement, read_statement, sign_statement
from maw.errors import Ambiguous, BadInput, NotFound, ProtocolViolation, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.keeping import frozen_words
from maw.node.membership import Membership
from maw.node.presenting import Json, iso
from maw.node.runtime import Runtime
from maw.store.database import Database
from maw.store.state import AgentRow, State

_VOID: Final = "void"
MAX_IDLE_SHOWN: Final = 200
"""Statements that are not in force (any more): anybody can say a thousand."""
DRAFTED: Final = (OPERATOR, DISMISS, REVOKE, FREEZE, THAW, REDACT)


class Commanding:
    """What operators, and whoever runs the node, do with statements."""

    def __init__(
        self,
        signer: Signer,
        db: Database,
        state: State,
        membership: Membership,
        directory: Directory,
        runtime: Runtime,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._signer = signer
        self._db = db
        self._state = state
        self._membership = membership
        self._directory = directory
        self._runtime = runtime
        self._clock = clock

    @property
    def _ruling(self) -> Ruling:
        return self._membership.book.ruling

    # -- drafting -------------------------------------------------------------------------------------

    async def draft(self, kind: str, issuer: str, asked: Json) -> Json:
        """What ``issuer`` (the text of a key) is to sign. Raises Refused when its word would not count."""
        key = parse_key(issuer)
        asked = {**asked, _VOID: await self._heard_since(asked.get("void_since_ms"))}
        make = {
            OPERATOR: self._grant, DISMISS: self._dismissal, REVOKE: self._revocation, FREEZE: self._freeze,
            THAW: self._thaw, REDACT: self._redaction,
        }[kind]  # fmt: skip
        fields, about = make(key, asked)
        return {
            "type": kind,
            "colony": _b64(self._membership.book.colony),
            "at_ms": self._clock(),
            "fields": _b64(msgpack.packb(fields)),
            "about": about,
        }

    async def _heard_since(self, ms: int | None) -> frozenset[bytes]:
        """The statements that this node heard from then on: whatever date a thief gave them."""
        if ms is None:
            return frozenset()
        return frozenset(
            [
                identity
                for (identity,) in await self._db.rows("SELECT id FROM statements WHERE at >= ?", (ms,))
            ]
        )

    def _need(self, key: NodeId, right: str, host: NodeId | None = None) -> None:
        if not self._ruling.authority.may_now(key, right, self._clock(), host):
            raise Refused(
                f"the key {short_key(key)} has no right to {right} here",
                code="no_operator",
                hint="`maw operator list` shows who may do what; the operator.key of a host that joined rules nothing",
            )

    def _freeze(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        target = self._target(_text(asked, "who"))
        self._need(key, FREEZING, target.node)
        return freeze_fields(target, asked.get("why") or ""), f"freeze {target.name}"

    def _thaw(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        who = _text(asked, "who").removeprefix("@").removeprefix("#")
        active = self._ruling.freezes.active
        found = [one for one in active if who in (one.target.name, one.target.channel, one.id.hex()[:12])]
        if not found:  # an agent as people call it, where that is clear
            found = [one for one in active if one.target.agent and one.target.name.partition("@")[0] == who]
            if len(names := sorted({one.target.name for one in found})) > 1:
                raise Ambiguous(f"{who} may be {' or '.join(names)}", hint="say which", candidates=names)
        if not found:
            near = nearest(who, {one.target.name.partition("@")[0] for one in active})
            hint = f"did you mean {near[0]}?" if near else "`maw freeze --list` shows what is frozen"
            raise NotFound(f"{who} is not frozen", code="not_frozen", hint=hint, candidates=near)
        for one in found:
            self._need(key, FREEZING, one.target.node)
        return thaw_fields(one.id for one in found), f"thaw {found[0].target.name}"

    def _grant(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        subject, name = parse_key(_text(asked, "key")), check_name(_text(asked, "name"))
        if name == FOUNDER:
            raise BadInput(
                f"{name!r} is whoever founded the Colony: nobody else may be called that",
                code="reserved_name",
                hint="another name",
            )
        rights = [word for word in (asked.get("rights") or "").replace(",", " ").split() if word]
        unknown = [word for word in rights if word not in RIGHTS]
        if unknown or not rights:
            raise BadInput(
                f"no such right: {unknown[0]}" if unknown else "a grant without rights",
                hint=f"rights are {', '.join(RIGHTS)}",
            )
        for right in {*rights, DELEGATING}:
            self._need(key, right)
        hosts = [self._node(word) for word in (asked.get("hosts") or "").replace(",", " ").split() if word]
        until = asked.get("until_ms")
        words = f"{name} may {', '.join(rights)}"
        return grant_fields(subject, name, rights, until, hosts), words

    def _dismissal(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        authority = self._ruling.authority
        who = _text(asked, "who")
        if authority.founder is not None and who in (
            FOUNDER, key_text(authority.founder), short_key(authority.founder),
        ):  # fmt: skip
            raise Refused(
                "nobody can dismiss the founder: that key rules the Colony for as long as it is",
                code="no_operator",
                hint="`maw operator list` shows the others",
            )
        found = [
            one
            for one in authority.holders()
            if who in (authority.name_of(one), key_text(one), short_key(one))
        ]
        if not found:
            near = nearest(who, [authority.name_of(one) for one in authority.holders()])
            hint = f"did you mean {near[0]}?" if near else "`maw operator list` shows them"
            raise NotFound(
                f"no operator is called {who}", code="no_such_operator", hint=hint, candidates=near
            )
        if len(found) > 1:
            raise Ambiguous(
                f"{len(found)} operators are called {who}", candidates=[key_text(one) for one in found]
            )
        subject = found[0]
        if key != authority.founder and key != subject and key not in authority.above(subject):
            raise Refused(
                f"{who} was not appointed by this key, nor by anybody below it",
                code="no_operator",
                hint="who appointed him can dismiss him, and so can the founder",
            )
        grants = self._grants_to(subject)
        stands = self._membership.book.to_stand({subject, *authority.below(subject)}, asked[_VOID])
        return dismissal_fields(subject, grants, stands), f"dismiss {who}"

    def _grants_to(self, subject: NodeId) -> list[bytes]:
        """Whatever gives him rights: what does so now first, then what would when that is gone."""
        now = {power.grants[-1] for power in self._ruling.authority.powers(subject) if not power.ended}
        book = self._membership.book
        given = [
            one
            for one in book.statements()
            if isinstance(said := book.said_by(one), Grant) and said.key == subject
        ]
        return sorted(given, key=lambda one: one not in now)[:MAX_GRANTS]

    def _redaction(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        ids = asked.get("ids") or []
        if not ids or not all(type(one) is str and not one.isdecimal() for one in ids):
            raise BadInput(
                "an operator names messages by their ids", code="bad_field", hint="`maw read` shows them"
            )
        places = [self._directory.position(one) for one in ids]
        author, epoch, _ = places[0]
        ranges = as_ranges(place.seq for place in places)
        if any(place[:2] != (author, epoch) for place in places) or len(ranges) > MAX_STATED_RANGES:
            raise BadInput(
                f"one statement redacts at most {MAX_STATED_RANGES} messages of one node's log",
                hint="those whose ids differ behind the last dash alone",
            )
        self._need(key, REDACTING, author)
        what = ids[0] if len(ids) == 1 else f"{len(ids)} messages of {self._directory.name_of(author)}"
        return redaction_fields(author, epoch, ranges, asked.get("why") or ""), f"redact {what}"

    def _revocation(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        subject = self._node(_text(asked, "who"))
        if self._membership.book.recoveries.get(subject) != digest(key):
            self._need(key, REVOKING, subject)
        return self._revoking(subject, asked.get("why") or "", asked[_VOID])

    def _revoking(self, subject: NodeId, why: str, void: frozenset[bytes]) -> tuple[Json, str]:
        book = self._membership.book
        stands = book.to_stand({subject}, void)
        cut = self._runtime.held.of(subject)
        return revocation_fields(subject, cut, stands, why), f"revoke {self._directory.name_of(subject)}"

    # -- taking in ------------------------------------------------------------------------------------

    async def submit(self, wire: bytes) -> Json:
        """A statement that was signed elsewhere. Durable when it returns. Raises BadInput, Refused."""
        try:
            statement = read_statement(wire)
        except ProtocolViolation as error:
            raise BadInput(f"no good statement: {error.message}", code="bad_statement") from None
        book = self._membership.book
        if statement.id not in book.statements():
            if not book.acceptable(statement):
                if book.is_full_for(statement):
                    raise Refused(
                        f"nobody would take more of what {short_key(statement.issuer)} says: it has said all that is"
                        " kept of one key, or the book of statements is full",
                        code="too_many_statements",
                        hint="sign it with another key: the founder's is always heard; `maw operator add` makes one",
                    )
                raise Refused(
                    "nobody would keep to this: it is of another Colony, malformed, or by a key unknown here",
                    code="no_operator",
                    hint="`maw operator list` shows who may do what",
                )
            await self._membership.keep([statement])
        return self._shown(statement, {}, self._host_names())

    async def revoke(self, who: str, why: str, void_since_ms: int | None = None) -> Json:
        """By this node's own word: it must stand above the other, by having invited it or whoever did."""
        subject = self._node(who)
        fields, _ = self._revoking(subject, why, await self._heard_since(void_since_ms))
        book = self._membership.book
        statement = sign_statement(self._signer, REVOKE, book.colony, self._clock(), fields)
        if not book.would_count(statement):
            raise Refused(
                f"this node did not invite {who}, nor did anybody whom it invited",
                code="not_above",
                hint="sign it with an operator key, or that node's recovery key: `maw revoke --key FILE`",
            )
        await self._membership.keep([statement])
        return self._shown(statement, {}, self._host_names())

    # -- showing --------------------------------------------------------------------------------------

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

    # -- names ----------------------------------------------------------------------------------------

    def _target(self, word: str) -> Target:
        """What ``word`` names: all, #channel, @agent or agent@host, or a host."""
        if word in ("all", "@all"):
            return Target(ALL, name="all")
        if word.startswith("#"):
            name = check_name(word.lstrip("#"), "channel")
            return Target(CHANNEL, channel=name, name=f"#{name}")
        hosts = [] if "@" in word else self._directory.find_hosts(word)
        if len(hosts) == 1 and not any(row.name == word for row in self._directory.agents()):
            return Target(NODE, node=hosts[0].key, name=self._directory.host_name(hosts[0]))
        if hosts:
            raise Ambiguous(
                f"{word} may be a host or an agent",
                hint=f"@{word} is the agent; a host is named by its key too: {short_key(hosts[0].key)}",
                candidates=[f"@{word}", *(short_key(row.key) for row in hosts)],
            )
        agent = self._agent(word)
        node = self._state.node_at[agent.node]
        return Target(AGENT, node=node.key, agent=agent.id, name=self._directory.address(agent))

    def _agent(self, word: str) -> AgentRow:
        try:
            return self._directory.find_agent(word)
        except NotFound as error:
            if "@" in word:
                raise
            near = nearest(word, self._host_names().values())
            raise NotFound(
                f"no agent and no host is called {word}",
                code=error.code,
                hint=f"did you mean {near[0]}?" if near else error.hint or "",
                candidates=[*near, *error.candidates],
            ) from None

    def _node(self, word: str) -> NodeId:
        """A node by name, piece of its key, or key; one that is known no more by its key."""
        if word.startswith("mk1"):
            return parse_key(word)
        rows = self._directory.find_hosts(word)
        if len(rows) == 1:
            return rows[0].key
        book = self._membership.book
        return self._membership.find(word, among=[*book.trusted.values(), *book.pending.values()]).key

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


def _text(asked: Json, name: str) -> str:
    value: Any = asked.get(name)
    if not value:
        raise BadInput(f"field {name} is missing", code="bad_field")
    return str(value)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
