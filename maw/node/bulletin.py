"""What a human is to be told, gathered: each alert once until it is settled, also over a restart; what comes together
is told together; so often an hour at the most, for what never rests is read by nobody.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from maw.core.effects import Alert
from maw.errors import MawError
from maw.node.store import Store
from maw.store import trust as rows
from maw.store.spoiled import SPOILED, json_of

log = logging.getLogger(__name__)

GATHER_S: Final = 5.0
AN_HOUR: Final = 6
AT_ONCE: Final = 10
PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
"""Before it is tried again where it could not be told, doubling."""

About = tuple[str, str]
Told = Mapping[About, str]
"""(kind, subject) -> text"""


class Bulletin:
    """One way of telling. ``is_for`` chooses; ``tell`` does it, and raises MawError where it could not. ``memory``:
    under which key of the database it keeps what was told."""

    def __init__(
        self,
        store: Store,
        memory: str,
        is_for: Callable[[Alert], bool],
        tell: Callable[[Told], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._memory = memory
        self._is_for = is_for
        self._tell = tell
        self._monotonic = monotonic
        self._waiting: dict[About, str] = {}
        self._since = 0.0
        self._not_before = 0.0
        self._pause = PAUSE_S
        self._times: list[float] = []
        self.times_told = 0
        self._told: set[About] = set()
        self._saved = True

    async def load(self) -> bool:
        """False when what was told is damaged: it may be told again."""
        async with self._store.db.reading() as conn:
            found = await rows.get_meta_bytes(conn, self._memory)
        try:
            self._told = {(str(kind), str(subject)) for kind, subject in json_of(found or b"[]")}
        except SPOILED:
            return False
        return True

    def heard(self, alert: Alert) -> None:
        about = (alert.kind, alert.subject)
        if about in self._told or not self._is_for(alert):
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
        """Tells what waits, when it is time. Raises MawError: it is told later."""
        now = self._monotonic()
        self._times = [at for at in self._times if now - at < 3600]
        due = self._waiting and now - self._since >= GATHER_S and now >= self._not_before
        if due and len(self._times) < AN_HOUR:
            await self._tell_now(now)
        if not self._saved:
            done = json.dumps(sorted(self._told))
            await self._store.writer.submit(lambda conn: rows.set_meta(conn, self._memory, done))
            self._saved = True

    async def _tell_now(self, now: float) -> None:
        said = dict(list(self._waiting.items())[:AT_ONCE])
        try:
            await self._tell(said)
        except MawError:
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
            raise
        self._pause = PAUSE_S
        self.times_told += 1
        self._times.append(now)
        self._told |= {about for about in said if about in self._waiting}  # the rest was settled meanwhile
        self._waiting = {about: text for about, text in self._waiting.items() if about not in said}
        self._saved = False
