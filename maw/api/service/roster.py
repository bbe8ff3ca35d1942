"""Agents that run in tmux, as their own Unix user, their keeper and their hooks ask for them."""

from __future__ import annotations

from maw.api.backend import Json, Speaker
from maw.api.service.speakers import Speakers
from maw.core.roster import own_alone
from maw.errors import Refused
from maw.node.roster import read_place
from maw.node.talking import need_agent
from maw.store import pages
from maw.store.state import AgentRow


class Rostering(Speakers):
    async def roster(self, speaker: Speaker) -> list[Json]:
        uid = _uid(speaker)
        return await self._node.roster.listing(None if speaker.is_admin else uid)

    async def enlist(self, speaker: Speaker, name: str, plan: Json, pane: str | None) -> Json:
        place, row = None if pane is None else read_place(pane), self._owned(speaker, name)
        if speaker.uid != row.uid and (names := own_alone({**plan, "pane": pane})):
            raise _not_yours(row, f"{', '.join(names)}: what {row.name} runs, and where")
        return await self._node.roster.put(row, plan, place)

    async def strike(self, speaker: Speaker, name: str) -> None:
        await self._node.roster.remove(self._owned(speaker, name))

    async def report(self, speaker: Speaker, name: str, told: Json, pane: str | None) -> None:
        place, row = None if pane is None else read_place(pane), self._owned(speaker, name)
        if speaker.uid != row.uid:
            raise _not_yours(row, f"how {row.name} is")
        await self._node.roster.report(row, told, place)
        if told.get("active"):
            self._node.presences.touch(row, told["active"])

    async def keep(self, speaker: Speaker, pid: int, version: str) -> Json:
        uid, roster = _uid(speaker), self._node.roster
        roster.attend(uid, pid, version)
        settings, kept = roster.settings, await roster.listing(uid)
        names = {one["name"] for one in kept}
        return {
            "stagger_s": settings.stagger_s,
            "load_per_core": settings.load_per_core,
            "agents": kept,
            "refused": {name: why for name, why in self._node.hosting.refused().items() if name in names},
        }

    async def hold_conversation(
        self, speaker: Speaker, session: str, pid: int, transcript: str, *, note: bool = True
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        _uid(speaker)
        told = await self._node.roster.hold(agent, session, pid, transcript, note=note)
        self._node.presences.touch(agent)
        return {**told, "unread": await pages.unread_count(self._node.db, agent.n)}

    def _owned(self, speaker: Speaker, name: str) -> AgentRow:
        return self._node.roster.owned(name, _uid(speaker), is_admin=speaker.is_admin)


def _not_yours(row: AgentRow, what: str) -> Refused:
    return Refused(
        f"{what} is said by its own Unix user alone (uid {row.uid})",
        code="not_yours",
        hint=f"as that user: sudo -u '#{row.uid}' maw agent …; an administrator may stop, start and remove it",
    )


def _uid(speaker: Speaker) -> int:
    """A token says who speaks, and not that somebody sits at this machine."""
    if speaker.uid is None:
        raise Refused(
            "how agents are run is not told or changed over REST",
            hint="use the maw command on the host itself: it goes through the socket",
            code="socket_only",
        )
    return speaker.uid
