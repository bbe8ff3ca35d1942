"""Direct messages as conversations: who spoke with whom, as one of them may see it.

Nothing is kept for it: a conversation is what its messages say of their author and recipients. One agent's newest are
looked at, so many at a time. What is redacted says no more whom it was for: of one's own it is then in no conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from maw.core.names import parse_address
from maw.errors import NotFound
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter
from maw.node.store import Store
from maw.store import pages, talks
from maw.store.state import AgentRow

LOOKED_AT: Final = 1_000
"""Direct messages that one question looks at."""


class Talks:
    def __init__(self, store: Store, directory: Directory, presenter: Presenter) -> None:
        self._store = store
        self._directory = directory
        self._presenter = presenter

    async def listing(self, agent: AgentRow) -> list[Json]:
        """``with``, the ``last`` message and how many are ``unread``, of each conversation among the agent's newest
        direct messages; the newest first."""
        found: dict[tuple[str, ...], Json] = {}
        looked, _ = await self._look(agent, None, None)
        for message, waits in looked:
            mates = self._mates(agent, message)
            if not mates:
                continue
            one = found.pop(mates, {"with": list(mates), "unread": 0})
            found[mates] = {**one, "last": message, "unread": one["unread"] + waits}
        return list(found.values())[::-1]

    async def page(
        self, agent: AgentRow, names: Sequence[str], *, after: int | None, before: int | None, limit: int
    ) -> tuple[list[Json], int | None]:
        """Messages of the conversation with these, ascending: the oldest above ``after``, else the latest (below
        ``before``); and where to look on that way, None where nothing is left. NotFound, Ambiguous, BadInput."""
        whom, unknown = self._whom(agent, names)
        looked, on = await self._look(agent, after, before)
        fit = [
            {**message, "unread": waits} for message, waits in looked if self._mates(agent, message) == whom
        ]
        up = after is not None
        items = fit[:limit] if up else fit[-limit:]
        if not items and unknown is not None:
            raise unknown
        if len(fit) > limit:
            return items, items[-1 if up else 0]["seq"]
        return items, on

    def _whom(self, agent: AgentRow, names: Sequence[str]) -> tuple[tuple[str, ...], NotFound | None]:
        """As conversations have them; one that is not known any more is meant as he is written."""
        unknown = None
        whole = set()
        for name in names:
            wanted = parse_address(name)
            try:
                whole.add(self._directory.address(self._directory.find_agent(name)))
            except NotFound as error:
                unknown = error
                whole.add(f"{wanted.name}@{wanted.host}")
        own = self._directory.address(agent)
        return tuple(sorted(whole - {own})) or (own,), unknown

    async def _look(
        self, agent: AgentRow, after: int | None, before: int | None
    ) -> tuple[list[tuple[Json, bool]], int | None]:
        """Messages, each with whether it waits; and where to look on, None where nothing is left."""
        waits = await talks.direct(self._store.db, agent.n, after=after, before=before, limit=LOOKED_AT)
        rows = await pages.among(self._store.db, list(waits)) if waits else []
        on = (max if after is not None else min)(waits) if len(waits) == LOOKED_AT else None
        found = self._presenter.readable(rows, agent.id)
        return [(one, waits[one["seq"]]) for one in found if one["kind"] == "direct"], on

    def _mates(self, agent: AgentRow, message: Json) -> tuple[str, ...]:
        """Everybody in it but the agent; he himself, where there is nobody else. None of what is his and redacted."""
        own = self._directory.address(agent)
        others = {message["author"], *message["to"]} - {own}
        if others:
            return tuple(sorted(others))
        return (own,) if message["to"] else ()
