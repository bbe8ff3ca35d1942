"""How far messages got: what this host's own disk says, and what the hosts of the recipients told.

``stored`` means durable here; ``replicated`` durable on the recipient's host; what comes after that is said by that
host, once it is durable there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from maw.core.colony import GROUPS, Said
from maw.core.entry import Position
from maw.core.identity import NodeId
from maw.core.rooms import is_member
from maw.core.states import FAILED, NOTHING, READ, REPLICATED, STORED, Reach, at_least, least
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter, iso
from maw.node.receipts import Receipts
from maw.node.store import Store
from maw.store import pages
from maw.store.pages import Shown
from maw.store.progress import former_of, of_messages
from maw.store.state import AgentRow

Reached = Mapping[tuple[int, int], Reach]
"""By message and agent, as numbered here."""
_NOBODY: Final[Reached] = {}


class _Whom(NamedTuple):
    """A recipient: what he is called, his host, and his rows here: two where his host has a new key."""

    address: str
    node: NodeId
    rows: tuple[AgentRow, ...]
    moved_to: str | None = None
    """Its address now, where it moved since."""


class Tracing:
    def __init__(
        self,
        store: Store,
        directory: Directory,
        presenter: Presenter,
        receipts: Receipts,
        online: Callable[[NodeId], bool],
        refused_by: Callable[[NodeId], str | None],
    ) -> None:
        """``online``: whether a node is linked, or heard through others; ``refused_by``: why a node will have no
        link with this one, if it said so."""
        self._store = store
        self._directory = directory
        self._presenter = presenter
        self._receipts = receipts
        self._online = online
        self._refused_by = refused_by

    # -- what its author may know ---------------------------------------------------------------------

    def fresh(self, position: Position, row: Shown, said: Said) -> Json:
        """The receipt of a message that was written this moment: no agent can have seen it."""
        return self._receipt(position, row, said, _NOBODY)

    async def receipt(self, row: Shown, *, hosts_only: bool = False) -> Json:
        """The receipt of a message of this host's as it stands now. ``hosts_only``: what its recipients made of it is
        not for everybody who may read it."""
        reached = _NOBODY if hosts_only else await of_messages(self._store.db, [row.seq])
        return self._receipt(self._presenter.position(row), row, self._presenter.said(row), reached)

    def is_authors(self, row: Shown, agent_key: bytes | None) -> bool:
        """Whether this agent wrote it, here."""
        author = self._store.state.agent_at.get(row.agent)
        return author is not None and author.uid is not None and author.id == agent_key

    async def wait(self, row: Shown, timeout: float, wanted: str) -> Json:
        """The receipt once the message is ``wanted`` for all whom it is for, or after ``timeout`` seconds as it
        stands; at once where that can never be."""
        position, said = self._presenter.position(row), self._presenter.said(row)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    moved = self._receipts.next_move  # taken before looking: nothing is missed
                    reached = await of_messages(self._store.db, [row.seq])
                    receipt = self._receipt(position, row, said, reached)
                    if at_least(receipt["state"], wanted) or not _may_come(receipt, wanted):
                        return receipt
                    await moved.wait()
        except TimeoutError:
            return await self.receipt(row)

    async def sent(
        self, agent: AgentRow, limit: int, *, after: int | None = None, before: int | None = None
    ) -> list[Json]:
        """Messages of an agent of this host, each with what became of it: see ``pages.sent_by``."""
        rows = await pages.sent_by(self._store.db, agent.n, limit, after=after, before=before)
        reached = await of_messages(self._store.db, [row.seq for row in rows])
        return [self._sent(row, reached) for row in rows]

    def _sent(self, row: Shown, reached: Reached) -> Json:
        position, said = self._presenter.position(row), self._presenter.said(row)
        receipt = self._receipt(position, row, said, reached)
        # which hosts have it: what became of it there stands with the recipients
        held = {
            item["host"]: STORED if item["state"] == STORED else REPLICATED for item in receipt["recipients"]
        }
        if not held:
            held = {
                self._directory.host_name(holder): REPLICATED
                for key in self._receipts.holders(position.epoch, position.seq)
                if (holder := self._store.state.nodes.get(key)) is not None
            }
        return {
            **receipt["message"],
            "state": receipt["state"],
            "hosts": [{"host": host, "state": state, "since": None} for host, state in held.items()],
            "recipients": receipt["recipients"],
        }

    def _receipt(self, position: Position, row: Shown, said: Said, reached: Reached) -> Json:
        recipients = [
            self._recipient(whom, position, _best(whom, row.seq, reached)) for whom in self._whom(row, said)
        ]
        states = [item["state"] for item in recipients]
        if not recipients:
            states = [REPLICATED if self._receipts.holders(position.epoch, position.seq) else STORED]
        message = self._presenter.with_said(row, said)
        return {
            "id": message["id"],
            "seq": row.seq,
            "state": least(states),
            "recipients": recipients,
            "message": message,
        }

    def _whom(self, row: Shown, said: Said) -> list[_Whom]:
        """Whom the message is for, by name. A post to nobody: empty."""
        state = self._store.state
        if said.channel is not None:
            return [
                _Whom(self._directory.address(agent), state.node_at[agent.node].key, (agent,))
                for agent in self._directory.mentioned(said.mentions)
                if agent.n != row.agent  # nobody finds his own words in his mailbox
                and (not said.to or is_member(said.to, (state.node_at[agent.node].key,), agent.id))
            ]
        found = []
        for to in said.to:
            heir = state.heirs.get(to.node, to.node)
            home = state.travels.home(to.node, to.agent)
            keys = dict.fromkeys((to.node, heir, *former_of(state, heir), home))
            nodes = [state.nodes[key].n for key in keys if key in state.nodes]
            agents = [state.agents[n, to.agent] for n in nodes if (n, to.agent) in state.agents]
            found.append(
                _Whom(f"{to.name}@{to.host}", to.node, tuple(agents), self._moved_to(to.node, agents))
            )
        return found

    def _moved_to(self, node: NodeId, agents: Sequence[AgentRow]) -> str | None:
        state = self._store.state
        away = [row for row in agents if row.away and state.node_at[row.node].key == node]
        return self._directory.address(self._directory.now(away[0])) if away else None

    def _recipient(self, whom: _Whom, position: Position, reach: Reach) -> Json:
        lives = {self._store.state.node_at[row.node].key for row in whom.rows if not row.away}
        here = whom.node == self._store.me if not lives else self._store.me in lives
        heir = self._store.state.heirs.get(whom.node, whom.node)
        keys = lives or {whom.node, heir}
        held = here or any(self._receipts.has(key, position.epoch, position.seq) for key in keys)
        row = self._store.state.nodes.get(whom.node)
        state, why, since = reach.state or (REPLICATED if held else STORED), None, reach.since
        if state == FAILED:
            why = reach.failed
        if reach.rank == 0 and held and not here:
            since = self._receipts.since(whom.node, position.epoch, position.seq) if why is None else since
        living = [one for one in whom.rows if not one.away]
        if living and all(one.gone for one in living) and not at_least(state, READ):
            state, why, since = FAILED, f"{whom.address} was removed from its host", None
        return {
            "agent": whom.address,
            "host": self._directory.host_name(row) if row else whom.address.partition("@")[2],
            "online": here or self._online(whom.node),
            "last_seen": iso(row.seen) if row else None,
            "moved_to": whom.moved_to,
            "state": state,
            "since": iso(since),
            "via": reach.via,
            "why": why,
            "trouble": None if held or reach.rank else self._refused_by(whom.node),
            "delivered_at": iso(reach.delivered),
            "read_at": iso(reach.read),
            "acked_at": iso(reach.acked),
        }

    # -- the way of one message -----------------------------------------------------------------------

    async def trace(self, row: Shown, agent_key: bytes | None, *, is_admin: bool) -> Json:
        """All that this node knows of the way of a message which this agent may read, and may tell him: of what others
        made of it only its author hears, each recipient of his own part."""
        position, said = self._presenter.position(row), self._presenter.said(row)
        ours = position.author == self._store.me
        knows_all = is_admin or self.is_authors(row, agent_key)
        reached = await of_messages(self._store.db, [row.seq])
        if not knows_all:
            mine = {one.n for one in self._store.state.local.values() if one.id == agent_key}
            reached = {about: reach for about, reach in reached.items() if about[1] in mine}
        if ours:
            recipients = self._receipt(position, row, said, reached)["recipients"]
        else:
            recipients = self._recipients_here(row, position, reached)
        message = self._presenter.with_said(row, said)
        return {
            **{name: message[name] for name in _BRIEF},
            "here": {"host": self._directory.name_of(self._store.me), "since": iso(row.received)},
            "hosts": self._hosts(position, said) if ours else [],
            "recipients": recipients,
            "groups": [*(word for word in said.mentions if word in GROUPS), *said.groups],
        }

    def _recipients_here(self, row: Shown, position: Position, reached: Reached) -> list[Json]:
        state = self._store.state
        agents = [(state.agent_at[n], reach) for (_, n), reach in reached.items() if n in state.agent_at]
        return [
            self._recipient(_Whom(self._directory.address(one), self._store.me, (one,)), position, reach)
            for one, reach in agents
        ]

    def _hosts(self, position: Position, said: Said) -> list[Json]:
        """The hosts that matter: those of the recipients, of a post all that are trusted."""
        keys = [to.node for to in said.to] or [row.key for row in self._directory.nodes()]
        found = []
        for key in {*keys} - {self._store.me}:
            held = self._receipts.has(key, position.epoch, position.seq)
            found.append(
                {
                    "host": self._directory.name_of(key),
                    "state": REPLICATED if held else STORED,
                    "since": iso(self._receipts.since(key, position.epoch, position.seq)),
                    "online": self._online(key),
                    "trouble": None if held else self._refused_by(key),
                }
            )
        return sorted(found, key=lambda one: str(one["host"]))


_BRIEF: Final = ("id", "seq", "kind", "channel", "to", "author", "host", "intent", "created_at", "reply_to")


def _best(whom: _Whom, seq: int, reached: Reached) -> Reach:
    found = [reached.get((seq, row.n), NOTHING) for row in whom.rows]
    return max(found, key=lambda reach: (reach.rank, reach.failed is not None), default=NOTHING)


def _may_come(receipt: Json, wanted: str) -> bool:
    """Whether the message can still get as far as that: agents that are gone read nothing, and of groups nobody
    tells."""
    recipients: Sequence[Json] = receipt["recipients"]
    if at_least(REPLICATED, wanted):
        return True
    return bool(recipients) and not any(
        item["state"] == FAILED and item["since"] is None for item in recipients
    )
