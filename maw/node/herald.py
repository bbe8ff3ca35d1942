"""Tells a human what a line that was crossed asks of him, where he looks anyway: in a channel of the Colony.

Each alert once until it is settled, also over a restart; what comes together is told together; so often an hour at the
most, for a channel that never rests is read by nobody. It wakes no agent.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from maw.core.effects import Alert
from maw.core.intents import INFORM
from maw.errors import Conflict
from maw.node.people import People
from maw.node.store import Store
from maw.node.talking import Talking
from maw.store import trust as rows
from maw.store.spoiled import SPOILED, json_of
from maw.store.state import AgentRow

log = logging.getLogger(__name__)

TOLD: Final = frozenset(
    (
        "host_memory", "host_load", "disk_low", "session_log", "leak", "wakes", "agent_down", "agent_hung", "flood",
    )
)  # fmt: skip
"""Kinds of alerts that are told in the channel: those that anybody may read, and somebody should act on."""
NAMES: Final = ("maw", "maw-host", "maw-node")
"""What the one who speaks for the node is called: the first that is free here."""
GATHER_S: Final = 5.0
AN_HOUR: Final = 6
AT_ONCE: Final = 10
_WHO: Final = "herald"
_DONE: Final = "heralded"

About = tuple[str, str]


class Herald:
    """``channel`` None: it says nothing. ``heard`` and ``settled`` are called with each alert."""

    def __init__(
        self,
        channel: str | None,
        store: Store,
        talking: Talking,
        people: People,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._store = store
        self._talking = talking
        self._people = people
        self._monotonic = monotonic
        self._waiting: dict[About, str] = {}
        self._since = 0.0
        self._posted: list[float] = []
        self._told: set[About] = set()
        self._saved = True
        self.speaker: str | None = None
        """The id, in hex, of the agent that speaks for the node."""

    async def load(self) -> list[str]:
        """Returns what is left out, for it is damaged: that is told again."""
        async with self._store.db.reading() as conn:
            found = await rows.get_meta_bytes(conn, _DONE)
            who = await rows.get_meta_bytes(conn, _WHO)
        self.speaker = who.decode(errors="replace") or None
        try:
            self._told = {(str(kind), str(subject)) for kind, subject in json_of(found or b"[]")}
        except SPOILED:
            return ["what was told in the channel already"]
        return []

    def heard(self, alert: Alert) -> None:
        about = (alert.kind, alert.subject)
        if self._channel is None or alert.kind not in TOLD or about in self._told:
            return
        if not self._waiting:
            self._since = self._monotonic()
        self._waiting[about] = alert.text

    def settled(self, kind: str, subject: str) -> None:
        self._waiting.pop((kind, subject), None)
        if (kind, subject) in self._told:
            self._told.discard((kind, subject))
            self._saved = False

    async def keep(self) -> None:
        """Says what waits, when it is time. Raises MawError: it is said the next time."""
        now = self._monotonic()
        self._posted = [at for at in self._posted if now - at < 3600]
        if self._waiting and now - self._since >= GATHER_S and len(self._posted) < AN_HOUR:
            said = dict(list(self._waiting.items())[:AT_ONCE])
            await self._say("\n".join(said.values()))
            self._posted.append(now)
            self._told |= said.keys()
            self._waiting = {about: text for about, text in self._waiting.items() if about not in said}
            self._saved = False
        if not self._saved:
            done = json.dumps(sorted(self._told))
            await self._store.writer.submit(lambda conn: rows.set_meta(conn, _DONE, done))
            self._saved = True

    async def _say(self, text: str) -> None:
        assert self._channel is not None
        speaker = await self._speaker()
        if self._channel not in self._store.state.channels:
            try:
                await self._talking.create_channel(speaker, self._channel)
            except Conflict:
                log.debug("#%s was made elsewhere at the same moment", self._channel)
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
