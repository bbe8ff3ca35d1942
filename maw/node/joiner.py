"""Joining with an invite, and finishing what was cut off: a join that is half done is done again.

A join that failed before this node took part in anything leaves nothing behind. From the moment its own
commit is done it is retried, by itself, until the other side has committed too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import NodeId
from maw.core.pairing import RETRY_SECONDS, InviteLine, check_line, parse_line
from maw.errors import BadInput, MawError, Refused, Unavailable
from maw.net.joining import Joined, join
from maw.node.desks import JoiningDesk
from maw.node.mesh import Mesh
from maw.store import trust as rows
from maw.store.database import Database
from maw.store.writer import Writer

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
_NOT_YET: Final = frozenset(
    {"unconfirmed", "busy", "cannot_write", "unavailable", "no_founding", "wrong_key"}
)
"""Refusals that pass."""


class Joiner:
    """One join at a time."""

    def __init__(
        self,
        me: NodeId,
        db: Database,
        writer: Writer,
        mesh: Mesh,
        desk: JoiningDesk,
        alert: Callable[[Alert], None],
    ) -> None:
        self._me = me
        self._db = db
        self._writer = writer
        self._mesh = mesh
        self._desk = desk
        self._alert = alert
        self._one = asyncio.Lock()

    async def join(self, text: str) -> Joined:
        """Raises BadInput, Refused or LinkError, each with what to do; nothing is half done then."""
        line = parse_line(text)
        check_line(line, self._me, time.time())
        async with self._one:
            try:
                return await join(line, self._mesh.dialer, self._desk, now=time.time())
            except MawError:
                if not self._desk.is_in(line):
                    await self._writer.submit(lambda conn: rows.end_join(conn, line.invite_id))
                raise

    async def run(self, beat: Callable[[], None]) -> None:
        """Finishes pending joins until cancelled; ``beat`` is called in each round."""
        while True:
            beat()
            for text, at in await self._db.rows("SELECT line, at FROM joins"):
                if not self._one.locked():
                    await self._again(parse_line(text), at)
            await asyncio.sleep(RETRY_S)

    async def _again(self, line: InviteLine, at_ms: int) -> None:
        try:
            async with self._one:
                # it was begun in time; the other side takes its own joiner back for a day
                await join(line, self._mesh.dialer, self._desk, now=at_ms / 1000)
            log.info("the join with %s, cut off before, is complete", line.name)
        except MawError as error:
            too_old = time.time() > at_ms / 1000 + RETRY_SECONDS
            refused = isinstance(error, Refused | BadInput) and error.code not in _NOT_YET
            if too_old or refused:
                text = f"the join with {line.name} was cut off and cannot be finished: {error.message}"
                self._alert(Alert("join", line.name, text))
                await self._end(line)

    async def _end(self, line: InviteLine) -> None:
        try:
            await self._writer.submit(lambda conn: rows.end_join(conn, line.invite_id))
        except Unavailable as error:
            log.warning("the join with %s could not be ended yet: %s", line.name, error.message)
