"""Tells a human what a line that was crossed asks of him, where he looks anyway: in a channel of the Colony. It wakes
no agent.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from maw.core.effects import Alert
from maw.core.intents import INFORM
from maw.errors import Conflict
from maw.node.bulletin import Bulletin, Told
from maw.node.channels import Channels
from maw.node.people import People
from maw.node.store import Store
from maw.node.talking import Talking
from maw.store import trust as rows
from maw.store.state import AgentRow

log = logging.getLogger(__name__)

OF_THIS_HOST: Final = frozenset(
    (
        "host_memory", "host_load", "disk_low", "session_log", "leak", "wakes", "agent_down", "agent_hung", "flood",
        "quiet", "surge",
    )
)  # fmt: skip
"""Kinds of alerts that are told in the channel: those that anybody may read, and somebody should act on."""
OF_ALL: Final = frozenset(("fork", "growth", "silence"))
"""The same, which every host notices: one of them tells it."""
NAMES: Final = ("maw", "maw-host", "maw-node")
"""What the one who speaks for the node is called: the first that is free here."""
_WHO: Final = "herald"
_DONE: Final = "heralded"


class Herald:
    """``channel`` None: it says nothing. ``for_all``: whether it is this node that tells what every host notices.
    ``heard`` and ``settled`` are called with each alert."""

    def __init__(
        self,
        channel: str | None,
        store: Store,
        talking: Talking,
        channels: Channels,
        people: People,
        for_all: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._store = store
        self._talking = talking
        self._channels = channels
        self._people = people
        self._for_all = for_all
        self._bulletin = Bulletin(store, _DONE, self._is_for, self._say, monotonic)
        self.heard = self._bulletin.heard
        self.settled = self._bulletin.settled
        self.keep = self._bulletin.keep
        self.speaker: str | None = None
        """The id, in hex, of the agent that speaks for the node."""

    async def load(self) -> list[str]:
        """Returns what is left out, for it is damaged: that is told again."""
        async with self._store.db.reading() as conn:
            who = await rows.get_meta_bytes(conn, _WHO)
        self.speaker = who.decode(errors="replace") or None
        return [] if await self._bulletin.load() else ["what was told in the channel already"]

    def _is_for(self, alert: Alert) -> bool:
        if self._channel is None:
            return False
        return alert.kind in OF_THIS_HOST or (alert.kind in OF_ALL and self._for_all())

    async def _say(self, told: Told) -> None:
        assert self._channel is not None
        speaker = await self._speaker()
        if self._channel not in self._store.state.channels:
            try:
                await self._channels.create(speaker, self._channel)
            except Conflict:
                log.debug("#%s was made elsewhere at the same moment", self._channel)
        text = "\n".join(told.values())
        await self._talking.post(
            speaker, "uid", self._channel, text, reply_to=None, key=None, intent=INFORM, insist=True
        )

    async def _speaker(self) -> AgentRow:
        """The agent that speaks for the node, made when it first has something to say."""
        for row in self._store.state.local.values():
            if row.id.hex() == self.speaker:
                return row
        for name in NAMES:
            if name not in self._store.state.local:
                row = await self._people.add(name, "agent", os.getuid())
                who = row.id.hex()
                await self._store.writer.submit(partial(rows.set_meta, key=_WHO, value=who))
                self.speaker = who
                return row
        raise Conflict(f"no name of {', '.join(NAMES)} is left to speak for this host", code="agent_exists")
