"""An open store for tests: database, state and a running writer, and nothing else of a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maw.core.colony import AgentCard, Recipient, Said
from maw.core.entry import SALT_BYTES, START, Entry, Kind, make, pack_payload
from maw.core.identity import Signer
from maw.store.database import Database, open_database
from maw.store.fold import Fold
from maw.store.state import State
from maw.store.writer import Writer

COLONY = b"c" * 32
EPOCH = 1_700_000_000
NOW_MS = 1_700_000_000_000


@dataclass
class Store:
    """``reread`` counts how often memory was reread after a rollback."""

    db: Database
    state: State
    writer: Writer
    rereads: int = 0
    troubles: list[str | None] = field(default_factory=list)

    async def fold(self, me: Signer, entries: Sequence[Entry], *, now_ms: int = NOW_MS) -> Fold:
        """Fold entries the way the node does: one job, one transaction."""

        async def write(conn: Any) -> Fold:
            fold = Fold(self.state, me.node, now_ms)
            for entry in entries:
                fold.add(entry)
            await fold.write(conn)
            return fold

        return await self.writer.submit(write)


@asynccontextmanager
async def open_store(path: Path, *, run: bool = True) -> AsyncIterator[Store]:
    """With ``run`` False the writer is there but does nothing until the test runs it."""
    async with open_database(path) as db:
        state = State()
        await state.reload(db.writing)

        async def reread() -> None:
            store.rereads += 1
            await state.reload(db.writing)

        writer = Writer(
            db.writing, path, on_rollback=reread, on_trouble=lambda what: store.troubles.append(what)
        )
        store = Store(db, state, writer)
        if not run:
            yield store
            return
        running = asyncio.ensure_future(writer.run())
        try:
            yield store
        finally:
            await writer.close()
            await running


class Author:
    """Writes a log without a node: what a peer would send."""

    def __init__(self, seed: int = 1, *, colony: bytes = COLONY, epoch: int = EPOCH) -> None:
        self.signer = Signer(bytes([seed]) * 32)
        self.node = self.signer.node
        self.colony = colony
        self.epoch = epoch
        self.head = START
        self.hlc = NOW_MS << 16
        self.agent_id = bytes([seed]) * 16
        self.name = f"agent{seed}"

    def say(self, kind: int, content: Any, *, hlc: int | None = None, payload: bytes | None = None) -> Entry:
        self.hlc += 1
        packed = payload if payload is not None else pack_payload(bytes(SALT_BYTES), content)
        stamp = self.hlc if hlc is None else hlc
        entry = make(self.signer, self.colony, self.epoch, self.head, stamp, kind, packed)
        self.head = entry.head
        return entry

    def card(self, name: str, role: str = "agent", agent_id: bytes | None = None, **more: Any) -> Entry:
        card = AgentCard(agent_id or self.agent_id, name, role, **more)
        return self.say(Kind.AGENT, card.content())

    def said(self, text: str, **more: Any) -> Said:
        fields: dict[str, Any] = {
            "agent": self.agent_id, "name": self.name, "role": "agent", "known_by": "uid", "text": text,
            "mentions": (), "channel": "general",
        }  # fmt: skip
        return Said(**{**fields, **more})

    def post(self, text: str, mentions: Sequence[str] = (), channel: str = "general", **more: Any) -> Entry:
        said = self.said(text, mentions=tuple(mentions), channel=channel, **more)
        return self.say(Kind.POST, said.content())

    def direct(self, text: str, to: Sequence[Recipient], **more: Any) -> Entry:
        return self.say(Kind.DIRECT, self.said(text, channel=None, to=tuple(to), **more).content())


async def until(true: Callable[[], object], deadline: float = 5.0) -> None:
    """Waits for a condition, and fails the test when it does not come true."""
    async with asyncio.timeout(deadline):
        while not true():
            await asyncio.sleep(0.002)
