"""The agents and apes of this node: made, changed, given tokens, removed."""

from __future__ import annotations

import os
from typing import Literal

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.authority import ORDER
from maw.core.lineage import Born, parse_born
from maw.core.names import check_name
from maw.core.profile import NO_PROFILE, check_about, check_roles
from maw.core.vouched import Vouched
from maw.errors import Refused
from maw.node.authoring import wall_clock_ms
from maw.node.directory import new_token
from maw.node.talking import need_agent
from maw.store import pages
from maw.store.state import AgentRow


class Peopling(Status):
    async def add_user(
        self,
        speaker: Speaker,
        username: str,
        role: Literal["agent", "ape"],
        *,
        uid: int | None = None,
        of: str | None = None,
        vouched: Vouched | None = None,
        said: Json | None = None,
        born: str | None = None,
    ) -> Json:
        async with self._node.births.turn:
            return await self._add_user(speaker, username, role, uid, of, vouched, said, born)

    async def _add_user(
        self, speaker: Speaker, username: str, role: Literal["agent", "ape"], uid: int | None, of: str | None,
        vouched: Vouched | None, said: Json | None, born: str | None,
    ) -> Json:  # fmt: skip
        people, token = self._node.people, new_token()
        profile = NO_PROFILE
        if of is not None:
            profile, uid = people.role_of(of, uid)
            if role != "agent":
                raise Refused("a role is no human", code="no_role_of_ape", hint="leave the role out")
        owner = next(one for one in (uid, speaker.uid, os.getuid()) if one is not None)
        warnings = people.check_new(username, role)
        if role == "ape":
            self._need_voucher(vouched, username, owner)
        told = {key: value for key, value in (said or {}).items() if value is not None}
        profile = profile._replace(
            about=check_about(told.get("about", "")),
            pulse_s=told.get("pulse_s") or None,
            roles=check_roles(told.get("roles", [])),
        )
        if role == "agent" and check_name(username) not in self._node.state.local:
            profile = profile._replace(born=await self._born(speaker, username, born, owner))
        row = await people.add(username, role, owner, token=token, profile=profile)
        return {**people.user_json(row, 0), "token": token, "warnings": warnings}

    async def _born(self, speaker: Speaker, name: str, brought: str | None, uid: int) -> Born | None:
        """What the new agent's card says of its mother: the speaking agent, else who is ``brought``, else nobody.
        Refused."""
        births, mother = self._node.births, self._agent(speaker)
        if mother is not None and mother.role != "agent":
            mother = None  # a human, by hand
        if not speaker.is_admin and (mother is None or uid != speaker.uid):
            raise Refused(
                "this is for the daemon's own user, root and the configured group; an agent that [births] allows it"
                " makes agents of its own Unix user",
                code="not_admin",
                hint="run it as one of those on the host",
            )
        if brought is not None and speaker.is_admin and mother is None:
            told = parse_born(brought)
            ours = None if told.node != self._node.me else self._ours(told.agent)
            if ours is None:
                return await births.take(told, name)
            mother = ours
        return await births.allow(mother, name, self._node.config.name)

    def _ours(self, agent_id: bytes) -> AgentRow | None:
        state = self._node.state
        return state.agents.get((state.nodes[self._node.me].n, agent_id))

    async def allow_birth(self, speaker: Speaker, name: str, host: str) -> Json:
        """What the child's card is to say of who speaks; Refused where he may make none."""
        mother, node = self._agent(speaker), self._node
        if mother is None and not speaker.is_admin:
            need_agent(mother)
        async with node.births.turn:
            born = await node.births.allow(mother, check_name(name), check_name(host, "node"))
        by = None if mother is None else node.directory.address(mother)
        return {"name": name, "host": host, "by": by, "born": None if born is None else born.text()}

    def _need_voucher(self, vouched: Vouched | None, name: str, uid: int) -> None:
        """Who calls himself human costs less of others' wakes and is believed more, so nobody makes himself one: agents
        often run as the daemon's own user, and administer."""
        node, now = self._node, wall_clock_ms()
        book = node.membership.book
        if vouched is None:
            raise Refused(
                "an operator vouches for a human: agents could make themselves one",
                code="ape_needs_operator",
                hint=f"maw agent add {name} --role ape --key FILE, with the key of an operator who may order here",
            )
        may = book.ruling.authority.may_now(vouched.key, ORDER, now, node.me)
        if not may or not vouched.holds(book.colony, node.me, name, uid, now):
            raise Refused(
                "this operator's word does not hold: it is for another name, user, host or time, or its key may give no"
                " orders on this host",
                code="ape_needs_operator",
                hint="`maw operator list` shows who may; sign again with `maw agent add NAME --role ape --key FILE`",
            )

    async def change_user(self, speaker: Speaker, name: str, said: Json) -> Json:
        row = self._node.directory.local(name)
        if not self._may_see(row, speaker):
            raise Refused(
                f"{row.name} is another's", code="not_yours", hint="`maw whoami` shows whom you speak as"
            )
        self._need_word(row, speaker)
        if (crowd := said.get("crowd")) is not None:
            if not speaker.is_admin:
                raise Refused(
                    "who may speak to a crowd is for who administers this node to say",
                    code="not_admin",
                    hint="as the daemon's user, root or the configured group, on the socket",
                )
            await self._node.crowds.allow(row, crowd)
        await self._node.people.change(
            row, about=said.get("about"), pulse_s=said.get("pulse_s"), roles=said.get("roles")
        )
        unread = await pages.unread_count(self._node.db, row.n)
        return self._node.people.user_json(row, unread)

    def _need_word(self, row: AgentRow, speaker: Speaker) -> None:
        """Everybody is told what a card says: who may say nothing changes none. Whoever administers does, but as an
        agent. Refused."""
        by = self._known(speaker)
        if (
            row.role != "agent"
            or (by is None and speaker.is_admin)
            or (by is not None and by.role != "agent")
        ):
            return
        for one in (row,) if by is None or by is row else (row, by):
            self._node.keeping.refuse_frozen(one, None)

    async def remove_user(self, speaker: Speaker, name: str) -> None:
        row = self._node.directory.local(name)
        await self._node.people.remove(name)
        if self._node.roster.known(row):
            await self._node.roster.remove(row)

    async def new_token(self, speaker: Speaker, name: str) -> str:
        return await self._node.people.fresh_token(name)

    async def roles_waiting(self, speaker: Speaker) -> dict[str, int]:
        agent = self._agent(speaker)
        roles = self._node.directory.roles_of(agent) if agent is not None else []
        counts = {row.name: await pages.unread_count(self._node.db, row.n) for row in roles}
        return {name: counts[name] for name in sorted(counts) if counts[name]}
