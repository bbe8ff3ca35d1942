"""Which Colony this node belongs to, and how it comes to belong to another one: by an invite, or by hand.

Only a node that never linked may change its Colony. Everything happens in one commit: either it is in, with
what it said alone signed again, or nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aiosqlite

from maw.config import PeersFile, load_peers
from maw.core.colony import Card
from maw.core.held import HeldLogs
from maw.core.identity import Signer
from maw.core.members import Pin
from maw.core.replication import Replicator
from maw.core.statement import FOUND, Statement, colony_text
from maw.core.trust import TrustBook
from maw.errors import Conflict, Refused
from maw.node.adopting import own_entries, sign_again
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.desks import pack_acceptance
from maw.node.home import NodeHome
from maw.node.membership import Membership
from maw.node.opening import Opened
from maw.node.runtime import Runtime
from maw.store import trust as rows
from maw.store.database import Database
from maw.store.state import State
from maw.store.writer import Writer


class Belonging:
    """``card`` says what this node calls itself; ``joined`` is told when it belongs somewhere, perhaps anew."""

    def __init__(
        self,
        home: NodeHome,
        signer: Signer,
        db: Database,
        state: State,
        writer: Writer,
        membership: Membership,
        authoring: Authoring,
        runtime: Runtime,
        opened: Opened,
        *,
        card: Callable[[], Card],
        joined: Callable[[], None],
    ) -> None:
        self._home = home
        self._signer = signer
        self._db = db
        self._state = state
        self._writer = writer
        self._membership = membership
        self._authoring = authoring
        self._runtime = runtime
        self._opened = opened
        self._card = card
        self._joined = joined

    async def read_peers(self) -> PeersFile:
        """Take peers.toml as it reads now. One that is broken or asks for what cannot be changes nothing."""
        file = load_peers(self._home.peers)
        colony = self._membership.book.colony
        if file.colony is not None and file.colony != colony:
            if await self.has_linked():
                raise Refused(
                    f"{self._home.peers} asks for Colony {colony_text(file.colony)}, but this node has linked"
                    f" with others in {colony_text(colony)}",
                    code="already_in_a_colony",
                    hint="Colonies do not merge: for a second one, make a second node with its own $MAW_HOME",
                )
            await self._change_colony(file.colony, [], [])
        self._membership.set_by_hand(file.peers)
        return file

    def founding(self) -> bytes:
        """The founding statement of our Colony, as its wire bytes. Conflict when it has not come yet."""
        for statement in self._membership.book.statements().values():
            if statement.type == FOUND:
                return statement.wire
        raise Conflict(
            "this node has not heard the founding statement of its Colony yet",
            code="no_founding",
            hint="it comes with the first link; `maw peers` shows what stands in the way",
        )

    async def has_linked(self) -> bool:
        """Whether anybody else has ever held what this node said: then it may not change its Colony."""
        return bool(await self.meta("linked"))

    async def meta(self, key: str) -> Any:
        async with self._db.reading() as conn:
            return await rows.get_meta(conn, key)

    async def adopt(self, colony: bytes, statements: list[Statement], pin: Pin) -> bytes:
        """The joiner's commit: pin and Colony; what was said alone is signed again with it."""
        ours = self._membership.admit_in(colony, pin.key, pin.name, pin.addresses)
        await self._change_colony(colony, [*statements, ours], [pin])
        card = self._card()
        return pack_acceptance(ours.wire, card.name, card.addresses)

    async def _change_colony(
        self, colony: bytes, statements: Sequence[Statement], pins: Sequence[Pin]
    ) -> None:
        """Belong to ``colony`` (perhaps already ours) with these statements and pins, all in one commit."""
        moving = colony != self._membership.book.colony
        own = {} if self._opened.recovery is None else {self._signer.node: self._opened.recovery}
        book = TrustBook(self._signer.node, colony, recoveries=own) if moving else self._membership.book

        async def write(conn: aiosqlite.Connection) -> None:
            now = wall_clock_ms()
            if moving:
                await self._move(conn, colony, now)
            await rows.add_statements(conn, statements, now)
            for pin in pins:
                await rows.set_pin(conn, pin)

        def after(_: None) -> None:
            for pin in pins:
                book.pin(pin)
            book.add(statements)
            self._use_book(book, anew=moving)

        if not moving:
            await self._writer.submit(write, after)
            return
        async with self._authoring.still():  # an entry of the old Colony must not follow one of the new
            await self._writer.submit(write, after)

    async def _move(self, conn: aiosqlite.Connection, colony: bytes, now: int) -> None:
        own = await own_entries(conn, self._state, self._signer)
        for table in ("statements", "pins", "recoveries"):
            await conn.execute(f"DELETE FROM {table}")  # noqa: S608 - two fixed words
        await rows.set_meta(conn, "colony", colony)
        await rows.set_meta(conn, "fingerprint", self._opened.fingerprint)
        await sign_again(
            conn, self._state, self._signer, colony, own, clock=self._opened.clock, card=self._card(),
            instance=self._opened.instance, recovery=self._opened.recovery, now_ms=now,
        )  # fmt: skip
        await self._state.reload(conn)

    def _use_book(self, book: TrustBook, *, anew: bool) -> None:
        """Go on with this book; ``anew``: in another Colony, so that the machines start afresh."""
        self._membership.book = book
        if anew:
            self._membership.set_book_by_hand(load_peers(self._home.peers).peers)
            self._authoring.colony = book.colony
            self._authoring.epoch_opened()
            held = HeldLogs(self._state.heads(), self._state.disputed(), book.cuts, self._state.incomplete())
            self._runtime.restart(Replicator(self._signer.node, book, held), held)
        self._membership.write_copy()
        self._joined()
