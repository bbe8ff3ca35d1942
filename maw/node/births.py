"""Who may make new agents here: asked before each is made; what is refused is an alert, and on record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiosqlite

from maw.core.effects import Alert
from maw.core.freezing import Freezes
from maw.core.lineage import DAY_S, BirthRules, Born, Mother, may_bear
from maw.errors import Conflict, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.keeping import frozen_words
from maw.node.presenting import Json
from maw.node.store import Store
from maw.store.state import AgentRow

REFUSED: Final = "birth_refused"
_DAY_MS: Final = DAY_S * 1000
_MADE: Final = "UPDATE OR REPLACE births SET name = ? WHERE name = ? AND host = ? AND mother = ?"
_NOTE: Final = "INSERT OR REPLACE INTO births VALUES (?, ?, ?, ?)"


_Note = tuple[str, str, bytes]
"""Name, host, and the mother's id."""


class Births:
    """``refuse`` raises where the mother may do nothing, for what she has spent. ``turn`` is held by whoever asks and
    then makes an agent: of two that would both be the last, one is."""

    def __init__(
        self,
        rules: BirthRules,
        store: Store,
        directory: Directory,
        freezes: Callable[[], Freezes],
        alert: Callable[[Alert], None],
        refuse: Callable[[AgentRow], None],
    ) -> None:
        self._refuse = refuse
        self._rules = rules
        self._store = store
        self._directory = directory
        self._freezes = freezes
        self._alert = alert
        self.turn = asyncio.Lock()

    async def allow(self, mother: AgentRow | None, name: str, host: str) -> Born | None:
        """That this agent of ours (None: nobody in particular, by hand) makes an agent called so on a host called so.

        What its card is to say; None by hand. Refused. Who asks for the same birth again within a day is not counted
        twice: a birth that was broken off goes on. It is another one when the child of the first has come and gone."""
        here = host == self._directory.host_name(self._store.state.node_at[self._me])
        self._refuse_frozen(mother, name)
        if mother is not None:
            self._refuse(mother)
        asks = None if mother is None else Mother(mother.name, self._generation(mother))
        noted = await self._noted() if asks is not None else {}
        mine = (name, host, b"" if mother is None else mother.id)
        ended = self._ended(mine, noted) if mine in noted else None
        if ended is not None:
            noted[(ended.hex(), *mine[1:])] = noted.pop(mine)
        today = self._born_lately(noted) + len(noted) - (mine in noted)
        self._judge(asks, name, today, here=here, brought=False)
        if mother is None or asks is None:
            return None
        if asks.generation is not None:
            now = wall_clock_ms()
            row = (*mine, noted.get(mine, now))

            async def write(conn: aiosqlite.Connection) -> None:
                await conn.execute("DELETE FROM births WHERE at < ?", (now - _DAY_MS,))
                if ended is not None:
                    await conn.execute(_MADE, (ended.hex(), *mine))
                await conn.execute(_NOTE, row)

            await self._store.writer.submit(write)
        return Born(self._store.me, mother.id, asks.child())

    async def take(self, born: Born, name: str) -> Born:
        """A birth that who administers this host brings from another one. Refused; Conflict where the generation is not
        what is known of the mother here."""
        state = self._store.state
        node = state.nodes.get(born.node)
        mother = None if node is None else state.agents.get((node.n, born.agent))
        self._refuse_frozen(None, name)
        if mother is not None:
            known = self._generation(mother)
            if Mother(mother.name, known).child() != born.generation:
                raise Conflict(
                    f"{self._directory.address(mother)} has no children of generation {born.generation}",
                    code="other_lineage",
                    hint="give birth again: the mother's own host says what is so",
                )
        generation = born.generation - 1 if born.generation else None
        address = self._directory.address(mother) if mother is not None else born.agent.hex()
        noted = await self._noted()
        self._judge(
            Mother(address, generation), name, self._born_lately(noted) + len(noted), here=True, brought=True
        )
        return born

    def told(self, born: Born | None) -> Json | None:
        """As ``GET /api/users`` has it; ``by`` is null where the mother is not known here."""
        if born is None:
            return None
        state = self._store.state
        node = state.nodes.get(born.node)
        mother = None if node is None else state.agents.get((node.n, born.agent))
        return {
            "by": None if mother is None else self._directory.address(self._directory.now(mother)),
            "generation": born.generation,
            "id": born.text(),
        }

    # -- asked ----------------------------------------------------------------------------------------

    @property
    def _me(self) -> int:
        return self._store.state.nodes[self._store.me].n

    def _generation(self, mother: AgentRow) -> int | None:
        if mother.role != "agent":
            return None
        return mother.profile.born.generation if mother.profile.born is not None else 0

    def _refuse_frozen(self, mother: AgentRow | None, name: str) -> None:
        freeze = self._freezes().on(self._store.me, None if mother is None else mother.id, None)
        if freeze is None:
            return
        words = f"{frozen_words(freeze)}: {name} is not made"
        if mother is not None:
            self._tell(mother.name, words)
        raise Refused(words, code="frozen", hint="only an operator lifts it, with `maw thaw`")

    def _judge(self, mother: Mother | None, name: str, today: int, *, here: bool, brought: bool) -> None:
        living = sum(row.role == "agent" for row in self._store.state.local.values())
        no = may_bear(
            self._rules, mother, brought=brought, today=today, here=living if here else None
        )  # fmt: skip
        if no is None:
            return
        self._tell("by hand" if mother is None else mother.name, f"{no.why}; {name} was not made")
        raise Refused(no.why, code=no.code, hint=no.hint)

    def _tell(self, subject: str, text: str) -> None:
        self._alert(Alert(REFUSED, subject, text))

    def _ended(self, mine: _Note, noted: dict[_Note, int]) -> bytes | None:
        """The child of this note, if it is gone already: its id. While it lives nobody else is called so."""
        name, host, mother = mine
        state = self._store.state
        for row in state.agents_named.get(name, {}).values():
            born = row.profile.born
            if (
                row.gone
                and born is not None
                and born.agent == mother
                and (row.id.hex(), host, mother) not in noted
                and row.created >= noted[mine]
                and self._directory.host_name(state.node_at[row.node]) == host
            ):
                return row.id
        return None

    async def _noted(self) -> dict[_Note, int]:
        """Births that agents of this host were allowed within the last day: when. Under the name that was asked for, or
        the id of a child that is gone."""
        rows = await self._store.db.rows(
            "SELECT name, host, mother, at FROM births WHERE at >= ?", (wall_clock_ms() - _DAY_MS,)
        )
        return {(name, host, mother): at for name, host, mother, at in rows}

    def _born_lately(self, noted: dict[_Note, int]) -> int:
        """Agents of this host that agents have made within the last day, beside those that are noted."""
        state = self._store.state
        host = self._directory.host_name(state.node_at[self._me])
        since = wall_clock_ms() - _DAY_MS
        return sum(
            row.node == self._me
            and row.created >= since
            and row.profile.born is not None
            and row.profile.born.generation > 0
            and not {(word, host, row.profile.born.agent) for word in (row.name, row.id.hex())} & noted.keys()
            for row in state.agent_at.values()
        )
