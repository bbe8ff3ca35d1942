"""Faults that the machines had, or might have had, each as one line put back, and seeds that see it.

A seed means the same run only while the simulator throws its dice in the same order. So each seed is run
twice by the tests: with the fault put back it must fail, and without it must not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from maw.core.arriving import Arriving
from maw.core.effects import Effect, Send
from maw.core.following import Followed
from maw.core.frames import Credit
from maw.core.gossip import Gossip

_link_down = Followed.link_down
_discarded = Followed.discarded
_overdue = Followed._overdue
_take = Arriving.take
_arriving_discarded = Arriving.discarded


def _ask_again(self: Followed, author: Any, track: Any, now: float) -> list[Effect]:
    return self._choose(author, now, moving=True)


def _lose_patience(self: Followed, author: Any, track: Any, now: float) -> list[Effect]:
    effects = _overdue(self, author, track, now)
    track.patience = 1.0
    return effects


def _never_ask(self: Gossip) -> list[Effect]:
    return []


def _write_doomed(self: Followed, batch: int) -> bool:
    return False


def _keep_credit(self: Followed, batch: int) -> list[Effect]:
    return [e for e in _discarded(self, batch) if not (isinstance(e, Send) and isinstance(e.frame, Credit))]


def _advance_early(self: Arriving, link: int, size: int, entries: Sequence[Any], tops: Any) -> Any:
    self._held.advance(entries)
    return _take(self, link, size, entries, tops)


def _keep_tentative(self: Arriving, number: int) -> Any:
    before = dict(self._tentative)
    answer = _arriving_discarded(self, number)
    self._tentative.update(before)
    return answer


def _stay_on_dead_link(self: Followed, link: int, now: float) -> list[Effect]:
    stuck = [track for track in self._tracks.values() if track.link == link]
    effects = _link_down(self, link, now)
    for track in stuck:
        track.link = link
    return effects


@dataclass(frozen=True, slots=True)
class Fault:
    """``put_back`` replaces ``owner.name``; each of ``seeds`` (seed, nodes) sees it. ``had``: it was real."""

    what: str
    owner: type
    name: str
    put_back: Callable[..., Any]
    seeds: tuple[tuple[int, int], ...]
    had: bool


FAULTS_KNOWN: Final = (
    Fault(
        "an overdue follow began again over the same slow link, where its frames were then passed over",
        Followed, "_overdue", _ask_again, ((8, 3), (32, 3)), had=True,
    ),
    Fault(
        "of two slow links neither was given the time to bring a big entry",
        Followed, "_overdue", _lose_patience, ((1144, 10),), had=True,
    ),
    Fault(
        "statements whose issuer was not known yet were dropped and never asked for again",
        Gossip, "trust_changed", _never_ask, ((12, 3), (16, 10)), had=True,
    ),
    Fault(
        "a later epoch was written though the batch before it was lost: an author's order broke",
        Followed, "doomed", _write_doomed, ((15, 3),), had=True,
    ),
    Fault(
        "credit was not returned on a discard",
        Followed, "discarded", _keep_credit, ((4, 3), (24, 3)), had=False,
    ),
    Fault(
        "a head moved before its commit",
        Arriving, "take", _advance_early, ((1, 3), (4, 3)), had=False,
    ),
    Fault(
        "tentative heads outlived a discard",
        Arriving, "discarded", _keep_tentative, ((4, 3), (11, 3)), had=False,
    ),
    Fault(
        "a follow stayed on a dead link",
        Followed, "link_down", _stay_on_dead_link, ((1, 3), (2, 3)), had=False,
    ),
)  # fmt: skip
