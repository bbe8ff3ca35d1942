"""What is known of agents beside their rows: what their cards say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import aiosqlite

from maw.core.profile import Profile

if TYPE_CHECKING:
    from maw.store.state import AgentRow

SET_PROFILE: Final = "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?)"


def profile_row(agent: int, profile: Profile) -> tuple[Any, ...]:
    return (agent, profile.about, profile.of, profile.pulse_s, json.dumps(profile.roles))


async def read_people(conn: aiosqlite.Connection, agents: Mapping[int, AgentRow]) -> None:
    """Into the rows. ValueError: what the file says is damaged."""
    for n, about, of, pulse_s, roles in await conn.execute_fetchall("SELECT * FROM profiles"):
        if (row := agents.get(n)) is not None:
            row.profile = Profile(about, of, pulse_s, tuple(json.loads(roles)))
