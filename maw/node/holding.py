"""Agents that are being carried from one host to another: nobody speaks or reads as them meanwhile."""

from __future__ import annotations

from maw.errors import Conflict
from maw.store.state import AgentRow, State


def refuse_held(state: State, agent: AgentRow) -> None:
    """Raises Conflict while an agent is being carried over to another host, or from one."""
    if state.is_held(agent.id):
        raise Conflict(
            f"{agent.name} is moving at this moment: nothing is taken from it here",
            code="moving",
            hint="`maw move status` tells how far it is; `maw move cancel` on its old host ends that",
        )
