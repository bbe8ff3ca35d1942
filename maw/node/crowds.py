"""How many a message reaches by the groups it names, and who may speak to that many.

A group is one word, and wakes everybody in it: so who names many at once needs a right, which who administers this host
gives (`maw agent set NAME crowd=on`). An operator's word needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maw.core.colony import GROUPS, MAX_RECIPIENTS, Said
from maw.core.groups import is_in
from maw.core.names import group_words, parse_group
from maw.errors import BadInput, NotFound, Refused
from maw.node.directory import Directory
from maw.node.store import Store
from maw.store.people import member_of, set_crowd
from maw.store.state import AgentRow


class Crowds:
    """``limit``: from more recipients than this on the right is needed."""

    def __init__(self, store: Store, directory: Directory, limit: int) -> None:
        self._store = store
        self._directory = directory
        self._limit = limit

    def members(self, group: str) -> list[AgentRow]:
        """All agents of the Colony, as far as they are known here, for whom a group stands: ``agents``, ``role:x``."""
        if group in GROUPS:
            return [row for row in self._directory.agents() if row.role in GROUPS[group]]
        nodes = self._store.state.node_at
        return [row for row in self._directory.agents() if is_in(group, member_of(row, nodes[row.node]))]

    def addressed(
        self, agent: AgentRow, said: Said, among: Callable[[AgentRow], bool] | None = None
    ) -> tuple[Said, int]:
        """A post with the groups that its text names, and how many others it reaches (``among`` those who may
        read it). Raises Refused when they are too
        many for this agent, BadInput when an operator did not sign what it would be."""
        groups = group_words(said.text)
        plain = [word for word in said.mentions if word in GROUPS]
        called = self._directory.mentioned(said.mentions) if said.mentions else []
        for group in (*plain, *groups):
            called += self.members(group)
        reached = {row.n for row in called if among is None or among(row)}
        reached.discard(agent.n)
        if groups and said.word is not None:
            raise BadInput(
                f"an operator's word is for agents by name, @agents, @apes or @all: @{groups[0]} is not signed",
                code="bad_body",
                hint="name them, or say @agents",
            )
        if (groups or plain) and said.word is None:
            self.check(agent, len(reached), " ".join(f"@{word}" for word in (*plain, *groups)))
        return said._replace(groups=groups), len(reached)

    def check(self, agent: AgentRow, reaches: int, what: str) -> None:
        """Raises Refused."""
        if reaches > self._limit and not agent.crowd:
            raise Refused(
                f"{what} would reach {reaches} agents and people; {agent.name} may speak to {self._limit} at once",
                code="crowd",
                hint=f"name who is meant; who administers this host may say: maw agent set {agent.name} crowd=on",
            )

    def recipients(self, agent: AgentRow, to: Sequence[str]) -> list[AgentRow]:
        """Whom a direct message is for: agents by name, and who else is in ``@role:x`` or ``@host:x`` now.
        Raises NotFound, Ambiguous, BadInput; Refused when a group is too many."""
        if not 0 < len(to) <= MAX_RECIPIENTS:
            raise BadInput(f"a direct message goes to 1 to {MAX_RECIPIENTS} agents, not {len(to)}")
        found: dict[int, AgentRow] = {}
        for word in to:
            group = parse_group(word)
            if group is None:
                row = self._directory.find_agent(word)
                found[row.n] = row
                continue
            members = {row.n: row for row in self.members(group) if row.n != agent.n}
            if not members:
                raise NotFound(
                    f"nobody else is in @{group}",
                    code="no_such_agent",
                    hint="`maw agent list` shows who is there",
                )
            self.check(agent, len(members), f"@{group}")
            found |= members
        if len(found) > MAX_RECIPIENTS:
            raise Refused(
                f"that is for {len(found)} agents; a direct message goes to at most {MAX_RECIPIENTS}",
                code="crowd",
                hint="say it in a channel, where a group may be larger",
            )
        return list(found.values())

    def unmet(self, said: Said) -> list[str]:
        """A word to its author for each group in which nobody is."""
        return [f"nobody is in @{group} yet" for group in said.groups if not self.members(group)]

    async def allow(self, agent: AgentRow, may: bool) -> None:
        """Whether this agent of ours may speak to a crowd, durably once it returns."""
        state = self._store.state

        def apply(_: None) -> None:
            state.agent_at[agent.n].crowd = may  # the row may have been read anew meanwhile

        await self._store.writer.submit(lambda conn: set_crowd(conn, agent.n, may), apply)
