"""Names of others that a reader here could take for somebody he obeys or knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.core.authority import Authority
from maw.core.identity import NodeId
from maw.core.lookalikes import imitated, likeness
from maw.store.state import AgentRow, State

_UNKNOWN: Final = object()


class Likenesses:
    """``authority`` gives the operators of the moment. Looked up for every message that is shown: what was found of a
    name is kept until an agent here or an operator comes or goes."""

    def __init__(self, me: NodeId, state: State, authority: Callable[[], Authority]) -> None:
        self._me = me
        self._state = state
        self._authority = authority
        self._as_of: tuple[int, Authority] | None = None
        self._ours: dict[str, str] = {}
        self._operators: frozenset[str] = frozenset()
        self._found: dict[str, str | None] = {}

    def operators(self) -> frozenset[str]:
        """What operators are called."""
        self._refresh()
        return self._operators

    def of(self, row: AgentRow) -> str | None:
        """For whom an agent of another host may be taken: one of this host's, an operator, a group; None: nobody."""
        node = self._state.node_at.get(row.node)
        if row.uid is not None or node is None or node.key == self._me:
            return None
        self._refresh()
        found = self._found.get(row.name, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._found[row.name] = self._look(row.name)
        assert found is None or isinstance(found, str)
        return found

    def _look(self, name: str) -> str | None:
        ours = self._ours.get(likeness(name))
        if ours is not None and ours != name:
            return ours
        word = imitated(name, self._operators)
        return word if word != name else None

    def _refresh(self) -> None:
        authority = self._authority()
        if self._as_of is not None and self._as_of[0] == self._state.naming and self._as_of[1] is authority:
            return
        names = (authority.name_of(key).partition("~")[0] for key in authority.holders())
        self._operators = frozenset(name for name in names if name)
        self._ours = {likeness(name): name for name in sorted(self._state.local, reverse=True)}
        self._found = {}
        self._as_of = (self._state.naming, authority)
