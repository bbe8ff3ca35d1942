"""What operators are to sign, with names resolved by the one way there is."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import msgpack

from maw.core.authority import (
    DELEGATING,
    DISMISS,
    FOUNDER,
    FREEZING,
    MAX_GRANTS,
    OPERATOR,
    ORDER,
    REDACTING,
    REVOKING,
    RIGHTS,
    Grant,
    dismissal_fields,
    grant_fields,
)
from maw.core.capping import CAP, cap_fields
from maw.core.freezing import AGENT, ALL, CHANNEL, FREEZE, NODE, THAW, Target, freeze_fields, thaw_fields
from maw.core.identity import OPERATOR_NEW, NodeId, digest, key_text, parse_key, short_key
from maw.core.names import check_name, nearest
from maw.core.policy import POLICY, check_policy, policy_fields
from maw.core.redaction import MAX_STATED_RANGES, REDACT, as_ranges, redaction_fields
from maw.core.revocation import REVOKE, revocation_fields
from maw.core.ruling import Ruling
from maw.core.spending import cap_words, parse_amount
from maw.errors import Ambiguous, BadInput, Conflict, NotFound, Refused
from maw.node.directory import Directory
from maw.node.membership import Membership
from maw.node.presenting import Json
from maw.node.runtime import Runtime
from maw.node.souls import check_secrets
from maw.store.database import Database
from maw.store.state import AgentRow, State

_VOID: Final = "void"


class Drafting:
    """Makes the fields of statements, and the words in which they are shown to who signs them."""

    def __init__(
        self,
        db: Database,
        state: State,
        membership: Membership,
        directory: Directory,
        runtime: Runtime,
        clock: Callable[[], int],
    ) -> None:
        self._db = db
        self._state = state
        self._membership = membership
        self._directory = directory
        self._runtime = runtime
        self._clock = clock

    @property
    def _ruling(self) -> Ruling:
        return self._membership.book.ruling

    async def draft(self, kind: str, issuer: str, asked: Json) -> Json:
        """What ``issuer`` (the text of a key) is to sign. Raises Refused when its word would not count."""
        key = parse_key(issuer)
        asked = {**asked, _VOID: await self.heard_since(asked.get("void_since_ms"))}
        make = {
            OPERATOR: self._grant, DISMISS: self._dismissal, REVOKE: self._revocation, FREEZE: self._freeze,
            THAW: self._thaw, REDACT: self._redaction, POLICY: self._policy, CAP: self._cap,
        }[kind]  # fmt: skip
        fields, about = make(key, asked)
        return {
            "type": kind,
            "colony": _b64(self._membership.book.colony),
            "at_ms": self._clock(),
            "fields": _b64(msgpack.packb(fields)),
            "about": about,
        }

    async def heard_since(self, ms: int | None) -> frozenset[bytes]:
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

    def _cap(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        unit, text = _text(asked, "unit"), _text(asked, "amount")
        try:
            amount = parse_amount(unit, text)
        except ValueError as error:
            raise BadInput(
                f"{text!r} {error}", code="bad_amount", hint="maw cost cap --colony usd=50/day"
            ) from None
        self._need(key, FREEZING)
        known = [one for one in self._ruling.caps if one.unit == unit]
        lifts = [one.id for one in known]
        if amount is None and all(one.amount is None for one in known):
            raise NotFound(
                f"the Colony has no cap in {unit}", code="not_capped", hint="`maw cost` shows what is capped"
            )
        return cap_fields(unit, amount, lifts), cap_words(unit, amount)

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
        subject = parse_key(_text(asked, "key"), printed_by=OPERATOR_NEW)
        name = check_name(_text(asked, "name"), "operator")
        if name == FOUNDER:
            raise BadInput(
                f"{name!r} is whoever founded the Colony: nobody else may be called that",
                code="reserved_name",
                hint="another name",
            )
        authority = self._ruling.authority
        for one in authority.holders():
            known = authority.name_of(one)
            if (one == subject) != (
                known == name
            ):  # dismissing the one would dismiss the other, or neither be meant
                raise Conflict(
                    f"the operator {known} has the key {short_key(one)} already",
                    code="already_operator",
                    hint=f"add it as {known}" if one == subject else "another name",
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
        hosts = [self.node(word) for word in (asked.get("hosts") or "").replace(",", " ").split() if word]
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

    def _policy(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        text = _text(asked, "text")
        check_policy(text)
        check_secrets(text)
        self._need(key, ORDER)
        version = self._ruling.policies[0].version + 1 if self._ruling.policies else 1
        if self._ruling.policies and self._ruling.policies[0].text == text:
            raise Conflict(
                f"version {version - 1} of the policy says just this",
                code="same_policy",
                hint="`maw policy show` shows it",
            )
        return policy_fields(version, text), f"policy, version {version}"

    def _revocation(self, key: NodeId, asked: Json) -> tuple[Json, str]:
        subject = self.node(_text(asked, "who"))
        if self._membership.book.recoveries.get(subject) != digest(key):
            self._need(key, REVOKING, subject)
        return self.revoking(subject, asked.get("why") or "", asked[_VOID])

    def revoking(self, subject: NodeId, why: str, void: frozenset[bytes]) -> tuple[Json, str]:
        book = self._membership.book
        stands = book.to_stand({subject}, void)
        cut = self._runtime.held.of(subject)
        return revocation_fields(subject, cut, stands, why), f"revoke {self._directory.name_of(subject)}"

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
            near = nearest(word, [self._directory.host_name(row) for row in self._directory.nodes()])
            raise NotFound(
                f"no agent and no host is called {word}",
                code=error.code,
                hint=f"did you mean {near[0]}?" if near else error.hint or "",
                candidates=[*near, *error.candidates],
            ) from None

    def node(self, word: str) -> NodeId:
        """A node by name, piece of its key, or key; one that is known no more by its key."""
        if word.startswith("mk1"):
            return parse_key(word)
        rows = self._directory.find_hosts(word)
        if len(rows) == 1:
            return rows[0].key
        book = self._membership.book
        return self._membership.find(word, among=[*book.trusted.values(), *book.pending.values()]).key


def _text(asked: Json, name: str) -> str:
    value: Any = asked.get(name)
    if not value:
        raise BadInput(f"field {name} is missing", code="bad_field")
    return str(value)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
