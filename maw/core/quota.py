"""How much an agent, a channel and a node may say: buckets that fill at a steady rate.

A message takes one unit of its agent's bucket, one of its channel's, and one of the node's; where one of them is empty
none is taken from, and who asked is told after how many seconds all three have room. Only what this host's own agents
say is counted: what others say was counted where it was said. Times are seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

AGENT: Final = "agent"
CHANNEL: Final = "channel"
NODE: Final = "node"
SWEEP_AT: Final = 1024
"""From so many buckets on, those that are full again are let go: an empty book knows as much of them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_minute`` for good, ``burst`` at once. 0 a minute: no limit."""

    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Rates:
    agent: Rate = Rate(60, 300)
    channel: Rate = Rate(300, 1_000)
    node: Rate = Rate(1_200, 5_000)


UNLIMITED: Final = Rates(Rate(0, 0), Rate(0, 0), Rate(0, 0))


class Empty(NamedTuple):
    """``what`` (``agent``, ``channel`` or ``node``) has said too much; after ``wait`` seconds there is room again."""

    what: str
    rate: Rate
    wait: float


class _Bucket:
    __slots__ = ("_at", "_left")

    def __init__(self, rate: Rate, now: float) -> None:
        self._left = float(rate.burst)
        self._at = now

    def left(self, rate: Rate, now: float) -> float:
        self._left = min(float(rate.burst), self._left + (now - self._at) * rate.per_minute / 60)
        self._at = now
        return self._left

    def take(self) -> None:
        self._left -= 1.0


class Quotas:
    """One node's buckets."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._buckets: dict[tuple[str, Hashable], _Bucket] = {}

    def take(self, agent: Hashable, channel: Hashable | None, now: float) -> Empty | None:
        """One message of this agent's in this channel (None: to some and nobody else). None: it may be said. Else what
        is empty for longest, and nothing was taken."""
        found = []
        worst: Empty | None = None
        for what, about, rate in self._asked(agent, channel):
            bucket = self._buckets.get((what, about))
            if bucket is None:
                bucket = self._add(what, about, rate, now)
            found.append(bucket)
            lacking = 1.0 - bucket.left(rate, now)
            if lacking > 0 and (worst is None or lacking * 60 / rate.per_minute > worst.wait):
                worst = Empty(what, rate, lacking * 60 / rate.per_minute)
        if worst is None:
            for bucket in found:
                bucket.take()
        return worst

    def _asked(self, agent: Hashable, channel: Hashable | None) -> Iterator[tuple[str, Hashable, Rate]]:
        rates = self._rates
        if rates.agent.per_minute:
            yield AGENT, agent, rates.agent
        if rates.channel.per_minute and channel is not None:
            yield CHANNEL, channel, rates.channel
        if rates.node.per_minute:
            yield NODE, None, rates.node

    def _add(self, what: str, about: Hashable, rate: Rate, now: float) -> _Bucket:
        if len(self._buckets) >= SWEEP_AT:
            of = {AGENT: self._rates.agent, CHANNEL: self._rates.channel, NODE: self._rates.node}
            self._buckets = {
                key: one for key, one in self._buckets.items() if one.left(of[key[0]], now) < of[key[0]].burst
            }
        self._buckets[what, about] = bucket = _Bucket(rate, now)
        return bucket
