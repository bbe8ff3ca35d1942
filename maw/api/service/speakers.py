"""Who speaks: the agent that a door's caller is, as this node knows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from maw.api.backend import Speaker
from maw.api.principals import AGENT_HEADER
from maw.errors import BadInput, NotFound, Refused
from maw.node.authoring import recovering
from maw.node.directory import OWN_APE
from maw.node.holding import refuse_held
from maw.node.node import Node
from maw.node.roster import read_place
from maw.store.state import AgentRow


class Speakers:
    """What every part of the service stands on: the node, and who of it is speaking."""

    def __init__(self, node: Node, *, admins: frozenset[int], rest: str | None = None) -> None:
        """``admins``: uids that may administer (the daemon's own, root, the group's)."""
        self._node = node
        self._admins = admins
        self.rest = rest

    @property
    def node_name(self) -> str:
        return self._node.config.name

    def _agent(self, speaker: Speaker) -> AgentRow | None:
        """Who speaks and acts. Raises Conflict while it is being carried to another host, or from one."""
        row = self._known(speaker)
        if row is not None:
            refuse_held(self._node.state, row)
        return row

    def _known(self, speaker: Speaker) -> AgentRow | None:
        """Who is asking."""
        if speaker.agent_key is None:
            return None
        own = self._node.state.nodes.get(self._node.me)
        row = self._node.state.agents.get((own.n, speaker.agent_key)) if own else None
        return None if row is None or row.gone or row.uid is None else row

    def _no_agent(self, speaker: Speaker, what: str) -> AgentRow | None:
        """Who speaks, where ``what`` ("what may be spent is said") is not for an agent. Raises Refused where one
        speaks."""
        asks = self._agent(speaker)
        if speaker.known_by == "token" or (asks is not None and asks.role == "agent"):
            raise Refused(
                f"{what} by a human, and an agent speaks here",
                code="not_human",
                hint="say it as yourself: in a terminal, without --as, MAW_AGENT or an agent's pane",
            )
        return asks

    def _need_human(self, speaker: Speaker, what: str) -> AgentRow | None:
        """As ``_no_agent``. Raises BadInput also where nobody says who he is, for that may be an agent's program."""
        asks = self._no_agent(speaker, what)
        if asks is None and not speaker.himself:
            raise BadInput(
                f"{what} by a human: say who is speaking",
                code="no_agent",
                hint=f"the header {AGENT_HEADER}: {OWN_APE} for yourself",
            )
        return asks

    def _speaker(self, row: AgentRow | None, known_by: Literal["uid", "token"], uid: int | None) -> Speaker:
        address = self._node.directory.address(row) if row else None
        return Speaker(
            address, row.id if row else None, known_by, uid, uid is not None and uid in self._admins
        )

    async def speaker_for_uid(self, uid: int, name: str | None) -> Speaker:
        try:
            row = self._node.directory.by_uid(uid, name, is_root=uid == 0)
        except NotFound:
            if self._node.authoring.recovering:  # agents come back with the log that named them
                raise recovering() from None
            raise
        speaker = self._speaker(row, "uid", uid)
        return replace(speaker, himself=True) if row is None and name == OWN_APE else speaker

    async def speaker_in_pane(self, uid: int, pane: str) -> Speaker | None:
        place = read_place(pane)
        row = self._node.roster.in_pane(uid, place)
        if row is None:
            return None
        return replace(self._speaker(row, "uid", uid), pane=place.pane)

    async def speaker_for_token(self, token: str, role: str | None = None) -> Speaker:
        row = self._node.directory.by_token(token)
        if role is not None and role != row.name:
            row = next((one for one in self._node.directory.roles_of(row) if one.name == role), row)
        return self._speaker(row, "token", None)
