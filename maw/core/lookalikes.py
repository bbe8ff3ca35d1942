"""Names that are taken for others at a glance: ``0perator`` for operator, ``tornrny`` for tommy.

Names are ASCII, so what is alike is little: a digit for a letter, two letters for one, and marks that the eye passes
over. Words that stand for an authority (``operator``, ``system``, operators' names) are compared widely; words that
stand for a group narrowly, for nobody is fooled into obeying ``agent5`` or ``ali``.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from maw.core.names import GROUPS, RESERVED

AUTHORITIES: Final = frozenset({"operator", "system", "founder"})
"""Words that a reader would obey."""
CROWDS: Final = (RESERVED | GROUPS) - AUTHORITIES

_MARKS: Final = {ord("-"): None, ord("_"): None}
_NEAR: Final = {ord("0"): "o", ord("1"): "l"}
"""Digits that are the letter in many fonts."""
_FAR: Final = {ord(digit): letter for digit, letter in zip("i345789", "leastbg", strict=True)}
"""Letters and digits that stand for one where somebody wants to be misread."""
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))


@lru_cache(maxsize=4096)
def likeness(name: str) -> str:
    """What is left of a name at a glance: two names are alike when it is the same."""
    return _glance(name).translate(_FAR)


def imitated(name: str, operators: Collection[str] = ()) -> str | None:
    """The word of authority, operator's name or group that ``name`` could be taken for, or is; None: none."""
    for word in sorted(AUTHORITIES | frozenset(operators)):
        if likeness(name) == likeness(word):
            return word
    return next((word for word in sorted(CROWDS) if _glance(name) == _glance(word)), None)


def alike(name: str, others: Collection[str]) -> list[str]:
    """Those of ``others`` that ``name`` is not, and could be taken for."""
    wanted = likeness(name)
    return sorted({other for other in others if other != name and likeness(other) == wanted})


@lru_cache(maxsize=4096)
def _glance(name: str) -> str:
    seen = name.translate(_MARKS).translate(_NEAR)
    for pair, letter in _PAIRS:
        seen = seen.replace(pair, letter)
    return seen
