"""Operators' orders: which hosts have them, which agents have seen them, and what each made of it.

That an agent has seen an order is said by its host when the order was handed to it; that it obeyed or declined
is said by the agent. Both go into the host's log as ``heed`` entries, and so to everybody.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Final

from maw.core.colony import GROUPS
from maw.core.entry import Kind
from maw.core.heeding import ANSWERS, MAX_ANSWERS, MAX_NOTE, SEEN, Answer, Heed
from maw.core.identity import NodeId
from maw.core.states import REPLICATED, STORED
from maw.core.trust import TrustBook
from maw.errors import BadInput, NotFound
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter, iso
from maw.node.receipts import Receipts
from maw.node.spoken import Spoken
from maw.node.talking import Talking
from maw.store import pages
from maw.store.database import Database
from maw.store.pages import Shown
from maw.store.state import AgentRow, State

WAITING: Final = "waiting"
"""What is known of an agent that has not seen the order yet."""

_MINE: Final = "SELECT state FROM answers WHERE nonce = ? AND node = ? AND agent = ?"
_ALL: Final = "SELECT node, agent, state, note, at FROM answers WHERE nonce = ?"
_ORDERS: Final = "SELECT seq, key FROM orders WHERE is_order AND seq < ? ORDER BY seq DESC LIMIT ?"
_PAGE: Final = 500


class Orders:
    """``book`` gives the TrustBook of the moment."""

    def __init__(
        self,
        me: NodeId,
        db: Database,
        state: State,
        authoring: Authoring,
        directory: Directory,
        presenter: Presenter,
        receipts: Receipts,
        talking: Talking,
        book: Callable[[], TrustBook],
    ) -> None:
        self._me = me
        self._db = db
        self._state = state
        self._authoring = authoring
        self._directory = directory
        self._presenter = presenter
        self._receipts = receipts
        self._talking = talking
        self._book = book
        self._handed: dict[tuple[bytes, int], None] = {}

    # -- on the side of who is ordered ------------------------------------------------------------------

    def handed(self, agent: AgentRow, messages: Sequence[Json]) -> None:
        """These messages were given to one of our agents; ``settle`` tells of the orders among them."""
        self._handed |= {(agent.id, message["seq"]): None for message in messages if message["order"]}

    async def settle(self) -> None:
        """Say which orders were seen. Raises MawError when the disk does not take it; then it is still due."""
        if not self._handed or self._authoring.barred or self._authoring.read_only:
            return
        batch = list(self._handed)[:MAX_ANSWERS]
        seen: list[Answer] = []
        for agent, seq in batch:
            row = await pages.at_seq(self._db, seq)
            spoken = self._spoken(row) if row is not None else None
            if spoken is not None and await self._answered(spoken.nonce, agent) is None:
                seen.append(Answer(spoken.nonce, agent, SEEN, ""))
        if seen:
            await self._authoring.say(Kind.HEED, Heed(answers=tuple(seen)).content())
        for item in batch:
            del self._handed[item]

    async def answer(self, agent: AgentRow, refs: Sequence[str], state: str, note: str) -> None:
        """What ``agent`` made of these orders, durably. Raises BadInput when one is none, NotFound."""
        if state not in ANSWERS or len(note) > MAX_NOTE:
            raise BadInput(
                f"an answer is one of {', '.join(ANSWERS)}, its note at most {MAX_NOTE} characters"
            )
        answers: list[Answer] = []
        for ref in refs:
            spoken = self._spoken(await self._talking.find(ref, agent.id))
            if spoken is None or not spoken.is_order:
                raise BadInput(
                    f"{ref} is no operator's order: there is nothing to obey or decline",
                    code="no_order",
                    hint="`maw ack ID` alone takes it out of the inbox; `maw send --reply-to ID` answers it",
                )
            answers.append(Answer(spoken.nonce, agent.id, state, note))
        for at in range(0, len(answers), MAX_ANSWERS):
            some = tuple(answers[at : at + MAX_ANSWERS])
            await self._authoring.say(Kind.HEED, Heed(answers=some).content())

    async def _answered(self, nonce: bytes, agent: bytes) -> str | None:
        node = self._state.nodes.get(self._me)
        rows = await self._db.rows(_MINE, (nonce, node.n if node else 0, agent))
        return str(rows[0][0]) if rows else None

    # -- on the side of who orders ----------------------------------------------------------------------

    async def listing(self, agent_key: bytes | None, limit: int) -> list[Json]:
        """The newest orders that this agent may read, each with what became of it."""
        found: list[Json] = []
        before = self._state.seq + 1
        while page := await self._db.rows(_ORDERS, (before, _PAGE)):
            before = page[-1][0]
            for seq, key in page:
                if key not in self._state.operators:  # anybody can sign what looks like one
                    continue
                row = await pages.at_seq(self._db, seq)
                if row is None or not self._presenter.may_read(row, self._presenter.said(row), agent_key):
                    continue
                spoken = self._spoken(row)
                if spoken is not None and spoken.is_order:
                    found.append(await self._shown(row, spoken))
                    if len(found) == limit:
                        return found
        return found

    async def one(self, ref: str, agent_key: bytes | None) -> Json:
        """Raises NotFound when there is no such message, or it is no order."""
        row = await self._talking.find(ref, agent_key)
        spoken = self._spoken(row)
        if spoken is None or not spoken.is_order:
            raise NotFound(f"{ref} is no operator's order", hint="`maw operator order` lists them")
        return await self._shown(row, spoken)

    async def _shown(self, row: Shown, spoken: Spoken) -> Json:
        answers = await self._db.rows(_ALL, (spoken.nonce,))
        said = {(self._state.node_at[node].key, agent): rest for node, agent, *rest in answers}
        agents = [self._state.agents[at] for at in self._addressed(row) if at in self._state.agents]
        known = {(self._state.node_at[one.node].key, one.id): one for one in agents}
        for key, agent in said:
            node = self._state.nodes[key]
            if (node.n, agent) in self._state.agents:
                known.setdefault((key, agent), self._state.agents[node.n, agent])
        shown = [
            self._agent(self._directory.address(one), said.get(at), frozen=self._is_frozen(*at))
            for at, one in known.items()
            if not one.gone
        ]
        return {
            "message": self._presenter.message(row),
            "hosts": self._hosts(row, {key for key, _ in said}),
            "agents": sorted(shown, key=lambda one: str(one["agent"])),
        }

    def _is_frozen(self, host: NodeId, agent: bytes) -> bool:
        ruling = self._book().ruling
        return ruling.freezes.on(ruling.successor(host), agent, None) is not None

    def _agent(self, address: str, said: Sequence[object] | None, *, frozen: bool) -> Json:
        """Whether the frozen obey is shown; what else they say is not."""
        if said is None:
            return {"agent": address, "state": WAITING, "note": "", "at": None}
        state, note, at = said
        note = "" if frozen else note
        return {"agent": address, "state": state, "note": note, "at": iso(int(str(at)))}

    def _addressed(self, row: Shown) -> list[tuple[int, bytes]]:
        """Whose inbox it is for, as (node number, agent id). A group is who was there when it was said."""
        said = self._presenter.said(row)
        if said.channel is None:
            return [
                (self._state.nodes[to.node].n, to.agent) for to in said.to if to.node in self._state.nodes
            ]
        named = {one.n for one in self._directory.mentioned(said.mentions)}
        roles = {role for word in said.mentions for role in GROUPS.get(word, ())}
        return [
            (one.node, one.id)
            for one in self._directory.agents()
            if one.n != row.agent and (one.n in named or (one.role in roles and one.created <= row.said))
        ]

    def _hosts(self, row: Shown, answered: set[NodeId]) -> list[Json]:
        """Every host of the Colony, and whether it has the order: known surely on the host that sent it, and
        elsewhere of those whose agents answered."""
        position = self._presenter.position(row)
        sender = position.author
        held = {self._me, sender, *answered}
        if sender == self._me:
            held.update(self._receipts.holders(position.epoch, position.seq))
        keys = {self._me, sender, *self._book().trusted}
        names = {key: self._directory.name_of(key) for key in keys}
        return [
            {"host": names[key], "state": REPLICATED if key in held else STORED}
            for key in sorted(keys, key=lambda key: names[key])
        ]

    # -- both -------------------------------------------------------------------------------------------

    def draft(self, to: Sequence[str] | None, channel: str | None) -> Json:
        """What an operator has to sign besides his text: where it goes, as it will be recorded here."""
        if (to is None) == (channel is None):
            raise BadInput("an order goes to agents or to a channel: one of the two", code="bad_body")
        if channel is not None:
            targets = [f"#{self._directory.channel(channel).name}"]
        else:
            rows = {row.n: row for row in (self._directory.find_agent(word) for word in to or ())}
            recipients = [self._directory.recipient(row) for row in rows.values()]
            targets = [f"{one.name}@{one.host}" for one in recipients]
        return {
            "colony": base64.b64encode(self._book().colony).decode("ascii"),
            "author": base64.b64encode(self._me).decode("ascii"),
            "at_ms": wall_clock_ms(),
            "targets": targets,
        }

    def _spoken(self, row: Shown) -> Spoken | None:
        return self._presenter.spoken(row, self._presenter.said(row))
