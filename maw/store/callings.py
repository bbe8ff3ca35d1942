"""What nodes and agents call themselves, as their entries say: against it the rows that were made of it are compared,
and made again."""

from __future__ import annotations

from dataclasses import dataclass, field

from maw.core.colony import AgentCard, Card
from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.identity import NodeId

Agent = tuple[NodeId, bytes]
"""Whose it is, and its id."""


@dataclass(slots=True)
class Callings:
    """``cards``, ``agents``: the newest of each; ``names``: all that a node ever called itself. Entries that say
    nothing that can be read are passed over."""

    cards: dict[NodeId, Card] = field(default_factory=dict)
    agents: dict[Agent, AgentCard] = field(default_factory=dict)
    names: dict[NodeId, set[str]] = field(default_factory=dict)
    _newest: dict[NodeId | Agent, tuple[int, int]] = field(default_factory=dict)

    def hear(self, entry: Entry) -> None:
        if entry.kind not in (Kind.CARD, Kind.AGENT):
            return
        try:
            content = unpack_payload(entry.payload or b"")
            if entry.kind == Kind.CARD:
                card = Card.read(content)
                self.names.setdefault(entry.author, set()).add(card.name)
                if self._is_newer(entry.author, entry):
                    self.cards[entry.author] = card
            else:
                agent = AgentCard.read(content)
                if self._is_newer((entry.author, agent.id), entry):
                    self.agents[entry.author, agent.id] = agent
        except (ValueError, TypeError, KeyError):
            return

    def _is_newer(self, about: NodeId | Agent, entry: Entry) -> bool:
        place = (entry.epoch, entry.seq)
        if place < self._newest.get(about, (0, 0)):
            return False
        self._newest[about] = place
        return True
