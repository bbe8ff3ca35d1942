"""The agents and apes of this host: made, changed, listed, given tokens, removed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import aiosqlite

from maw.core.colony import AGENT_ID_BYTES, AgentCard
from maw.core.entry import Kind
from maw.core.lookalikes import alike, imitated
from maw.core.moving import ACCEPTED, HANDED, MOVED, READY
from maw.core.names import check_name
from maw.core.profile import NO_PROFILE, Profile, check_about, check_roles
from maw.errors import BadInput, Conflict, Refused
from maw.node.authoring import Authoring
from maw.node.births import Births
from maw.node.directory import Directory, hash_token, new_token
from maw.node.likenesses import Likenesses
from maw.node.presence import Presences
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.store import pages
from maw.store.fold import Fold
from maw.store.state import AgentRow


class People:
    """Owns nothing but decisions: rows live in the writer's state."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        likenesses: Likenesses,
        presences: Presences,
        births: Births,
    ) -> None:
        self.births = births
        self._presences = presences
        self._store = store
        self.authoring = authoring
        self._directory = directory
        self._likenesses = likenesses

    async def add(
        self, name: str, role: str, uid: int, *, token: str | None = None, profile: Profile = NO_PROFILE
    ) -> AgentRow:
        """A new agent of this host that ``uid`` may speak as. Earlier mentions of its name find it."""
        name = check_name(name)
        card = AgentCard(secrets.token_bytes(AGENT_ID_BYTES), name, role, profile=profile)

        def claim(fold: Fold) -> None:
            """Within the transaction, so that the agent and whose it is are durable together."""
            self._check_unused(name)
            if name in self._store.state.local:
                raise Conflict(
                    f"there is an agent called {name} on this host already",
                    code="agent_exists",
                    hint=f"`maw agent token {name}` gives it a new token, `maw agent remove {name}` ends it",
                )
            row = fold.agent(fold.node(self._store.me), card.id, name, role, fold.now_ms)
            row.uid, row.since_seq = uid, self._store.state.seq
            row.token_hash = hash_token(token) if token else None
            row.profile = profile
            fold.local_agents.append(row)
            fold.changes.profiles[row.n] = profile

        await self.authoring.say(Kind.AGENT, card.content(), local=claim)
        return self._store.state.local[name]

    def _check_unused(self, name: str) -> None:
        """Raises Conflict for the name of an agent that is to come here, or that moved away: its old address reaches it
        still, and must mean nobody else."""
        state, me = self._store.state, self._store.me
        for move in state.moves.values():
            if move.name == name and not move.leaving and move.step in (ACCEPTED, HANDED, READY, MOVED):
                host = self._directory.name_of(move.node)
                raise Conflict(
                    f"{name} is on its way here from {host}", code="agent_exists", hint="choose another name"
                )
        own = state.nodes.get(me)
        for row in state.agents_named.get(name, {}).values():
            if own is None or row.node != own.n or not state.travels.has_left(me, row.id):
                continue
            lives = self._directory.now(row)
            if not lives.gone:
                where = self._directory.address(lives)
                raise Conflict(
                    f"{name} moved away from here: {name}@{own.name} still reaches {where}",
                    code="agent_exists",
                    hint="choose another name: an old address must not mean two",
                )

    def check_new(self, name: str, role: str) -> list[str]:
        """Raises BadInput when ``name`` could be taken for an authority or a group. Returns what else is to be said of
        it: agents of the Colony that look alike at a glance."""
        operators = self._likenesses.operators()
        word = imitated(name, operators)
        if word is not None and not (role == "ape" and name == word and word in operators):
            raise BadInput(
                f"{name!r} could be taken for {word!r}"
                if name != word
                else f"{name!r} is an operator's name: no agent may be called that",
                code="lookalike",
                hint="names that look like operators', system, operator or a group are not given; choose another",
            )
        rows = {row.name: row for row in self._directory.agents()}
        return [
            f"{name} looks like {self._directory.address(rows[other])}: readers may take one for the other"
            for other in alike(name, rows)
        ]

    def role_of(self, owner: str, uid: int | None) -> tuple[Profile, int]:
        """The profile of a new role of the agent ``owner``, and whose it is. Refused, NotFound."""
        row = self._directory.local(owner)
        if row.role != "agent":
            raise Refused(
                f"{row.name} is a human: nobody but himself speaks for him, under no other name",
                code="no_role_of_ape",
                hint="a human has one name; make an agent of its own: maw agent add NAME",
            )
        if row.profile.of is not None:
            raise Refused(
                f"{row.name} is a role of {self._directory.owner_of(row)} itself", code="role_of_role",
                hint="make it a role of the agent",
            )  # fmt: skip
        if uid not in (None, row.uid):
            raise Refused(
                f"{row.name} belongs to uid {row.uid}: so do its roles",
                code="not_yours",
                hint="leave the user out",
            )
        assert row.uid is not None
        return Profile(of=row.id), row.uid

    async def change(
        self, row: AgentRow, *, about: str | None, pulse_s: int | None, roles: Sequence[str] | None
    ) -> None:
        """What is None stays. ``pulse_s`` 0: none is known. Everybody is told."""
        before = row.profile
        profile = before._replace(
            about=before.about if about is None else check_about(about),
            pulse_s=before.pulse_s if pulse_s is None else pulse_s or None,
            roles=before.roles if roles is None else check_roles(list(roles)),
        )
        if profile == before:
            return

        def unchanged(_: Fold) -> None:
            if row.profile != before or row.gone:
                raise Conflict(
                    f"{row.name} was changed by another at this moment", code="changed", hint="again"
                )

        card = AgentCard(row.id, row.name, row.role, profile=profile)
        await self.authoring.say(Kind.AGENT, card.content(), local=unchanged)

    async def remove(self, name: str) -> None:
        row = self._directory.local(name)
        if roles := self._directory.roles_of(row):
            names = ", ".join(sorted(one.name for one in roles))
            raise Refused(
                f"{row.name} speaks as {names} too: what waits for them would wait for nobody",
                code="has_roles",
                hint=f"remove its roles first: maw agent remove {roles[0].name}",
            )
        card = AgentCard(row.id, row.name, row.role, gone=True, profile=row.profile)
        await self.authoring.say(Kind.AGENT, card.content())

    async def fresh_token(self, name: str) -> str:
        """A new token; the old one ends with this call."""
        row = self._directory.local(name)
        token = new_token()
        hashed = hash_token(token)

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("UPDATE local_agents SET token_hash = ? WHERE agent = ?", (hashed, row.n))

        def apply(_: None) -> None:
            self._store.state.agent_at[row.n].token_hash = hashed  # the row may have been read anew meanwhile

        await self._store.writer.submit(write, apply)
        return token

    async def listing(self, may_see: Callable[[AgentRow], bool]) -> list[Json]:
        """Everybody. What is the owner's own affair is told only of those whom ``may_see`` names."""
        unread = await pages.unread_counts(self._store.db)
        seen = await pages.last_seen(self._store.db)
        rows = sorted(self._directory.agents(), key=lambda row: (row.uid is None, row.name, row.node))
        return [
            self.user_json(row, unread.get(row.n, 0), seen.get(row.n), whole=may_see(row)) for row in rows
        ]

    def user_json(
        self, row: AgentRow, unread: int, last_seen: int | None = None, *, whole: bool = True
    ) -> Json:
        """``last_seen``: the newest message that was put in front of a local agent, or settled by him."""
        seen = self._presences.seen(row)
        shown: dict[str, Any] = {
            "username": row.name,
            "host": self._directory.host_name(self._store.state.node_at[row.node]),
            "address": self._directory.address(row),
            "role": row.role,
            "of": self._directory.owner_of(row),
            "roles": list(row.profile.roles),
            "about": row.profile.about or None,
            "born": self.births.told(row.profile.born),
            "looks_like": self._likenesses.of(row),
            "status": self._presences.status(row),
            "local": row.uid is not None,
            "created_at": iso(self._directory.born_at(row)),
            "pulse_s": row.profile.pulse_s,
            "last_pulse_at": iso(seen.pulsed),
            "last_active_at": iso(seen.active),
            "last_said_at": iso(row.last_said),
        }
        if row.uid is not None and whole:
            shown |= {
                "unread": unread, "last_seen_seq": last_seen, "uid": row.uid,
                "has_token": row.token_hash is not None, "crowd": row.crowd,
            }  # fmt: skip
        return shown
