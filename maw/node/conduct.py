"""How each peer behaves: who floods, who is slow, who broke the rules; told by name, and settled when it is over.

Nothing here decides about trust. A peer that broke the protocol again and again is let in again only after a while,
longer each time, so that refusing it does not become our main work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.core.pacing import Pace
from maw.errors import HandshakeRefused, LinkClosed

SLOW_BYTES: Final = 256 * 1024
"""So much must wait for a peer before it can be called slow,"""
SLOW_RATE: Final = 32 * 1024
"""and it must take less than this a second,"""
SLOW_AFTER: Final = 10
"""over so many looks, of which there is one a second."""
FLOODING_S: Final = 2.0
"""Seconds that a peer was slowed by, before it is said to flood,"""
FLOODING_WINDOW_S: Final = 30.0
"""and how long it must be quiet before that is over."""
FLOOD_END_S: Final = 60.0
"""Slowed by so much on one link, it loses the link: nobody reads to the end what it said."""
FORGIVEN: Final = 4
"""Breaches of the protocol within BREACHES_S before a peer is held off."""
BREACHES_S: Final = 600.0
HOLD_OFF_S: Final = 10.0
HOLD_OFF_MAX_S: Final = 300.0
REMEMBERED_S: Final = 600.0
"""How long it is told why a peer's last link ended, while there is no other."""

SLOW: Final = "slow"
FLOODING: Final = "flooding"
_ENDS: Final = {
    "silent": "silent: its link was given up",
    "cannot_keep_up": "slow: its link was given up when too much waited for it",
}


class Traffic(NamedTuple):
    """One live link at this moment. ``waiting``: bytes said to it that it has not taken or not confirmed; ``taken``:
    bytes that it has taken and confirmed since the link came up."""

    peer: NodeId
    waiting: int
    taken: int


@dataclass(slots=True)
class _Record:
    name: str
    slowed_s: float = 0.0
    slowed_at: float = float("-inf")
    flooding: bool = False
    slow: bool = False
    waiting: int = 0
    looks: deque[Traffic] = field(default_factory=lambda: deque(maxlen=SLOW_AFTER + 1))
    breaches: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    breach: str = ""
    end: str = ""
    ended_at: float = float("-inf")


class Conduct:
    """``clock``: seconds of any clock that only grows; ``name``: what a peer is called."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        name: Callable[[NodeId], str],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
    ) -> None:
        self._clock = clock
        self._name = name
        self._alert = alert
        self._settle = settle
        self._records: dict[NodeId, _Record] = {}

    def pace(self) -> Pace:
        """For a link that came up."""
        return Pace(self._clock())

    def spent(self, peer: NodeId, pace: Pace, size: int) -> float:
        """A frame cost us ``size`` bytes of work; the seconds until the next one should be read. Raises LinkClosed for
        a flood without end."""
        now = self._clock()
        wait = pace.spend(size, now)
        if wait:
            record = self._record(peer)
            if now - record.slowed_at > FLOODING_WINDOW_S:
                record.slowed_s = 0.0
            record.slowed_s, record.slowed_at = record.slowed_s + wait, now
            if record.slowed_s >= FLOODING_S and not record.flooding:
                record.flooding = True
                text = (
                    f"node {record.name} floods this one with frames of no use: it is read from more slowly"
                )
                self._alert(Alert(FLOODING, short_key(peer), text))
            if record.slowed_s >= FLOOD_END_S:
                self.broke(peer, FLOODING)
                raise LinkClosed("flooding: this node says more than anybody needs", code=FLOODING)
        return wait

    def broke(self, peer: NodeId, code: str) -> None:
        """It did what no honest node does, or what this one stumbles over."""
        record = self._record(peer)
        record.breaches.append(self._clock())
        record.breach = code

    def linked(self, peer: NodeId) -> None:
        if record := self._records.get(peer):
            record.end = ""
            record.slowed_s = 0.0

    def ended(self, peer: NodeId, code: str) -> None:
        """Its link ended, for the reason of this ``code``."""
        if code in _ENDS:
            record = self._record(peer)
            record.end, record.ended_at = _ENDS[code], self._clock()
        if record_ := self._records.get(peer):
            record_.looks.clear()
            record_.waiting = 0
            self._no_longer_slow(peer, record_)

    def check(self, peer: NodeId) -> None:
        """Raises HandshakeRefused while ``peer`` is held off."""
        record = self._records.get(peer)
        left = 0.0 if record is None else self._held_off(record)
        if record is not None and left > 0.0:
            raise HandshakeRefused(
                f"held off for {left:.0f} s: it broke the protocol {len(record.breaches)} times ({record.breach})",
                code="held_off",
                hint="upgrade the node that says such things; it is let in again by itself",
            )

    def look(self, links: Iterable[Traffic]) -> None:
        """Once a second: who is slow now, and who floods no more."""
        now = self._clock()
        for traffic in links:
            if traffic.waiting >= SLOW_BYTES or traffic.peer in self._records:
                self._look_at(self._record(traffic.peer), traffic)
        for peer, record in self._records.items():
            if record.flooding and now - record.slowed_at > FLOODING_WINDOW_S:
                record.flooding = False
                self._settle(FLOODING, short_key(peer))

    def _look_at(self, record: _Record, traffic: Traffic) -> None:
        record.waiting = traffic.waiting
        record.looks.append(traffic)
        first = record.looks[0]
        slow = (
            len(record.looks) > SLOW_AFTER
            and min(look.waiting for look in record.looks) >= SLOW_BYTES
            and traffic.taken - first.taken < SLOW_RATE * SLOW_AFTER
        )
        if slow and not record.slow:
            record.slow = True
            text = f"node {record.name} is slow: {_size(traffic.waiting)} are waiting for it"
            self._alert(Alert(SLOW, short_key(traffic.peer), text))
        elif not slow:
            self._no_longer_slow(traffic.peer, record)

    def _no_longer_slow(self, peer: NodeId, record: _Record) -> None:
        if record.slow:
            record.slow = False
            self._settle(SLOW, short_key(peer))

    def words(self, peer: NodeId) -> list[str]:
        """What there is to say of it, each in a few words; nothing of a peer that behaves."""
        record = self._records.get(peer)
        if record is None:
            return []
        now, found = self._clock(), []
        if record.slow:
            found.append(f"slow: {_size(record.waiting)} waiting for it")
        if record.flooding:
            found.append(f"flooding: slowed by {record.slowed_s:.0f} s")
        self._recent(record)
        if record.breaches:
            times = "once" if len(record.breaches) == 1 else f"{len(record.breaches)} times"
            left = self._held_off(record)
            held = f", held off for {left:.0f} s" if left > 0 else ""
            found.append(f"broke the protocol {times} ({record.breach}){held}")
        if record.end and now - record.ended_at < REMEMBERED_S:
            found.append(record.end)
        return found

    def all(self) -> dict[NodeId, list[str]]:
        """Everybody of whom there is something to say."""
        return {peer: words for peer in self._records if (words := self.words(peer))}

    def _held_off(self, record: _Record) -> float:
        """Seconds that are left."""
        self._recent(record)
        beyond = len(record.breaches) - FORGIVEN
        if beyond <= 0:
            return 0.0
        delay = min(HOLD_OFF_MAX_S, HOLD_OFF_S * 2.0 ** (beyond - 1))
        return max(0.0, record.breaches[-1] + delay - self._clock())

    def _recent(self, record: _Record) -> None:
        while record.breaches and self._clock() - record.breaches[0] > BREACHES_S:
            record.breaches.popleft()

    def _record(self, peer: NodeId) -> _Record:
        record = self._records.get(peer)
        if record is None:
            record = self._records[peer] = _Record(self._name(peer))
        return record


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count // 1024} KiB"
