"""Agents that move, as the doors ask it: who may offer, accept and cancel."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.errors import Refused
from maw.node.moving import Moving
from maw.store.travelling import MoveRow


class Relocating(Status):
    @property
    def _moving(self) -> Moving:
        return self._node.migrating.moving

    async def moves(self, speaker: Speaker) -> list[Json]:
        rows = self._node.state.moves
        seen = self._moving.listing()
        if speaker.is_admin:
            return seen
        mine = {self._moving.find(one["id"]): one for one in seen}
        return [one for move, one in mine.items() if self._is_theirs(rows[move], speaker)]

    async def offer_move(self, speaker: Speaker, agent: str, host: str) -> Json:
        row = self._node.roster.owned(agent, speaker.uid, is_admin=speaker.is_admin)
        return await self._moving.offer(row, host)

    async def decide_move(
        self, speaker: Speaker, move: str, what: str, *, uid: int | None, home: str | None, why: str
    ) -> Json:
        moving = self._moving
        if what == "cancel":
            return await moving.cancel(self._their_move(speaker, move, leaving=True))
        if what == "unpacked":
            return await moving.unpacked(self._their_move(speaker, move, leaving=False))
        found = moving.find(move, leaving=False)
        if not speaker.is_admin:
            raise Refused(
                "who comes to live on this host is for who administers it to say",
                code="not_admin",
                hint="as the daemon's user, root or the configured group, on the socket",
            )
        self._need_human(speaker, "who comes to live on this host is said")
        if what == "refuse":
            return await moving.refuse(found, why)
        owner = next(one for one in (uid, speaker.uid, os.getuid()) if one is not None)
        return await moving.accept(found, owner, home)

    async def hand_over(
        self, speaker: Speaker, move: str, size: int | None, home: AsyncIterator[bytes] | None
    ) -> Json:
        return await self._moving.hand_over(self._their_move(speaker, move, leaving=True), size, home)

    async def moved_home(self, speaker: Speaker, move: str) -> tuple[int, AsyncIterator[bytes]]:
        file, _ = self._moving.home(self._their_move(speaker, move, leaving=False))
        return file.size, await self._node.uploads.open(file, 0, file.size)

    def _their_move(self, speaker: Speaker, move: str, *, leaving: bool) -> bytes:
        found = self._moving.find(move, leaving=leaving)
        row = self._node.state.moves[found]
        if not speaker.is_admin and not self._is_theirs(row, speaker):
            raise Refused(
                f"{row.name} belongs to another user of this machine",
                code="not_yours",
                hint="its own user, or who administers this node, may move it",
            )
        return found

    def _is_theirs(self, row: MoveRow, speaker: Speaker) -> bool:
        own = self._node.state.nodes.get(self._node.me)
        agent = None if own is None else self._node.state.agents.get((own.n, row.agent))
        uid = row.plan.get("uid") if not row.leaving else (agent.uid if agent is not None else None)
        return uid is not None and uid == speaker.uid
