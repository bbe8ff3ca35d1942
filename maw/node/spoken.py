"""Whether a message is an operator's word: signed by a key that may speak as one, and in its place.

Everybody who shows, takes or holds back a message asks here, so that there is one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from maw.core.authority import ORDER
from maw.core.colony import Said
from maw.core.identity import NodeId
from maw.core.trust import TrustBook
from maw.core.word import word_of
from maw.store.state import State


class Spoken(NamedTuple):
    """Who spoke, and whether it is an order: whether he wants to know that it was obeyed."""

    operator: str
    is_order: bool
    nonce: bytes


class OperatorsWord:
    """``book`` gives the TrustBook of the moment."""

    def __init__(self, state: State, book: Callable[[], TrustBook]) -> None:
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
        authority = book.ruling.authority
        if not authority.may_now(word.key, ORDER, max(at_ms, word.at_ms)):
            return None
        return Spoken(authority.name_of(word.key), word.is_order, word.nonce)
