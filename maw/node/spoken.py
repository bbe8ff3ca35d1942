"""Whether a message is an operator's word: signed by a key that may speak as one, and in its place.

Everybody who shows, takes or holds back a message asks here, so that there is one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from maw.core.authority import ORDER
from maw.core.colony import Recipient, Said
from maw.core.identity import NodeId, short_key
from maw.core.trust import TrustBook
from maw.core.word import read_word, word_of
from maw.store.state import State
from maw.store.travelling import is_here

MAX_APART_MS: Final = 86_400_000
"""Between what an operator's key signed and the node's own stamp on it: a word is not kept back for a better day."""


class Spoken(NamedTuple):
    """Who spoke, and whether it is an order: whether he wants to know that it was obeyed."""

    operator: str
    is_order: bool
    nonce: bytes


class OperatorsWord:
    """``book`` gives the TrustBook of the moment."""

    def __init__(self, me: NodeId, state: State, book: Callable[[], TrustBook]) -> None:
        self._me = me
        self._state = state
        self._book = book

    def over(self, said: Said, author: NodeId, at_ms: int, seq: int | None = None) -> Spoken | None:
        """The operator whose word this message is; None when it is nobody's, or of one who may not give orders.

        ``at_ms``: when its author says it was said; the later of that and what the operator signed counts, and a
        dismissed operator's word is nobody's from then on. ``seq``: where it is shown; the same word in a second
        place is nobody's. None: it is not shown yet, and no word that is shown already will do.
        """
        if said.word is None:
            return None
        book = self._book()
        word = word_of(said, book.colony, author)
        if word is None or self._state.words.get(word.mark) != seq:
            return None
        if abs(at_ms - word.at_ms) > MAX_APART_MS or not self._is_meant(said, at_ms):
            return None
        authority, at_ms = book.ruling.authority, max(at_ms, word.at_ms)
        if not authority.may_order(word.key, {to.node for to in said.to}, at_ms):
            return None
        if authority.bound_to(word.key, ORDER, at_ms) and not all(map(self._is_on, said.to)):
            return None
        return Spoken(authority.name_of(word.key), word.is_order, word.nonce)

    def bound_to(self, said: Said, at_ms: int) -> frozenset[NodeId]:
        """The hosts to whose agents alone the key over this message may give orders; none when it is no such key."""
        try:
            word = read_word(said.word)
        except ValueError:
            return frozenset()
        return self._book().ruling.authority.bound_to(word.key, ORDER, at_ms)

    def _is_on(self, to: Recipient) -> bool:
        """Whether the host that the operator named is the one to which it goes: the right is over that one."""
        row = self._state.nodes.get(to.node)
        return row is not None and to.host in (row.name, short_key(to.node))

    def _is_meant(self, said: Said, at_ms: int) -> bool:
        """The operator signed names, the message goes by ids, and the two were put together by its host: what comes to
        an agent of ours must be for one of that name on a host of ours."""
        own = self._state.nodes.get(self._me)
        for to in said.to:
            if not is_here(self._state, self._me, to.node, to.agent):
                continue
            agent = self._state.agents.get((own.n, to.agent)) if own else None
            if own is None or agent is None or agent.name != to.name:
                return False
            if to.node != self._me and to.node not in self._state.former_me:
                # for where it lived before: whoever may order there alone orders nobody here
                node, bound = self._state.nodes.get(to.node), self.bound_to(said, at_ms)
                if (
                    node is None
                    or to.host not in (node.name, short_key(to.node))
                    or (bound and self._me not in bound)
                ):
                    return False
            elif to.host not in (own.name, short_key(to.node)):
                return False
        return True
