"""Asks and who has answered them.

An ask is open for each whom it is for by name until his first answer to it, of whatever intent. One that names a
group, or nobody, is open until the first answer by anybody but who asked. ``maw ack`` is no answer: it takes a
message out of an inbox, and its author still waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

MINE: Final = "mine"
OF_ME: Final = "of_me"


def open_for(named: Sequence[int], asker: int, answered: Collection[int]) -> list[int] | None:
    """Of those whom an ask names, who has not answered it; empty where it is answered. None: it names nobody, and
    nobody has answered. All as numbers of agents."""
    others = [one for one in dict.fromkeys(named) if one != asker]
    if others:
        return [one for one in others if one not in answered]
    return None if set(answered) <= {asker} else []


def is_open_to(me: int, asker: int, answered: Collection[int], *, by_group: bool) -> bool:
    """Whether ``me``, in whose mailbox it is, has it to answer."""
    if by_group:
        return set(answered) <= {asker}
    return me not in answered
