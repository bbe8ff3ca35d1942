"""A node's database filled with a year of messages while nothing runs: signed and folded as they are when they come,
thousands in one transaction, which takes a minute or two for a million where posting them would take ten."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Final

from maw.core.colony import AgentCard, NewChannel, Said
from maw.core.entry import SALT_BYTES, Entry, Kind, make, pack_payload
from maw.core.identity import Signer
from maw.core.names import mentions
from maw.node.home import NodeHome, read_key
from maw.store.database import open_database
from maw.store.fold import Fold
from maw.store.state import State
from maw.store.writer import Writer

CHANNELS: Final = 40
AGENTS: Final = 200
WORDS: Final = 30_000
AT_ONCE: Final = 5_000
YEAR_MS: Final = 365 * 86_400_000
_LETTERS: Final = "etaoinshrdlucmfwypvbgkjqxz"


def vocabulary() -> list[str]:
    """Made-up words, the most frequent first: the n-th is said about 1/n as often as the first, as in any language."""
    random = Random(7)
    found: dict[str, None] = {}
    while len(found) < WORDS:
        length = 2 + len(found).bit_length() // 2 + random.randrange(3)
        found["".join(random.choices(_LETTERS, range(26, 0, -1), k=length))] = None
    return list(found)


def messages(count: int, agents: list[tuple[bytes, str]]) -> Iterator[Said]:
    """4 to 40 words each, by any of the agents in any channel; each third mentions one of them."""
    random = Random(11)
    words = vocabulary()
    weights = list(accumulate(1 / (place + 3) for place in range(WORDS)))
    for number in range(count):
        agent_id, name = agents[int(len(agents) * random.random() ** 2)]
        text = " ".join(random.choices(words, cum_weights=weights, k=random.randrange(4, 41)))
        if number % 3 == 0:
            text = f"@{agents[random.randrange(len(agents))][1]} {text}"
        channel = "general" if number % 2 else f"c{random.randrange(CHANNELS)}"
        yield Said(agent_id, name, "agent", "uid", text, mentions(text), channel=channel)


async def fill(home: Path, count: int) -> list[str]:
    """The names of the agents who said all that."""
    signer = read_key(NodeHome(home).key)
    async with open_database(NodeHome(home).database) as db:
        state = State()
        await state.reload(db.writing)
        state.owner_uid = os.getuid()

        async def reread() -> None:
            raise RuntimeError("the database was not filled")

        writer = Writer(db.writing, db.path, on_rollback=reread)
        colony = (await db.rows("SELECT value FROM meta WHERE key = 'colony'"))[0][0]
        book = _Book(signer, colony, state, count)
        agents = [(os.urandom(16), f"agent{number}") for number in range(AGENTS)]
        cards = [book.entry(Kind.AGENT, AgentCard(key, name, "agent").content()) for key, name in agents]
        cards += [book.entry(Kind.CHANNEL, NewChannel(f"c{n}", "agent0").content()) for n in range(CHANNELS)]
        await _commit(writer, db.writing, book, cards)
        some: list[Entry] = []
        for said in messages(count, agents):
            some.append(book.entry(Kind.POST, said.content()))
            if len(some) == AT_ONCE:
                await _commit(writer, db.writing, book, some)
                some = []
        await _commit(writer, db.writing, book, some)
        await db.writing.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    return [name for _, name in agents]


class _Book:
    """The node's own log, from where it stands."""

    def __init__(self, signer: Signer, colony: bytes, state: State, count: int) -> None:
        self.signer = signer
        self.state = state
        self._colony = colony
        self._epoch, self._head = state.newest_epoch(signer.node)
        self._step = YEAR_MS / (count + AGENTS + CHANNELS + 1)
        self._ms = time.time() * 1000 - YEAR_MS

    def entry(self, kind: Kind, content: dict[str, Any]) -> Entry:
        self._ms += self._step
        payload = pack_payload(os.urandom(SALT_BYTES), content)
        made = make(self.signer, self._colony, self._epoch, self._head, int(self._ms) << 16, kind, payload)
        self._head = made.head
        return made


async def _commit(writer: Writer, conn: Any, book: _Book, entries: list[Entry]) -> None:
    await conn.execute("BEGIN")
    fold = Fold(book.state, book.signer.node, time.time_ns() // 1_000_000)
    for entry in entries:
        fold.add(entry)
    await fold.write(conn)
    await conn.execute("COMMIT")
