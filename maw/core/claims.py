"""What was not announced to an agent yet, and who has taken which of it to announce.

Laws
  1. A message is in one claim at a time. A claim is a lease: whoever puts it in front of the agent says so in time.
  2. What was confirmed is announced, and never offered again. So is what the agent read or acknowledged by itself.
  3. A claim that lapses or fails is let go: its messages are offered again. Repeated where in doubt, never skipped.
  4. A late word counts: a claim that lapsed may still be confirmed, for then it was put in front of the agent.
  5. Of those who wait at the same time the best way has it; who let a message lapse goes behind all others with it.
  6. The wake that a claim spent is given back when it failed or was let go: nobody was woken. One that lapsed tells
     nothing; the keeper's own (exec, pane) are given back and spent again at a late word, for it may be begun anew.
  7. What a digest only counts ("and 20 more") is not announced, and not counted to the same agent again.

Times are seconds of any clock that only goes forward. One object for each agent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from maw.core.budget import OPERATOR, Cause, Wake
from maw.core.intents import NORMAL

LEASE_S: Final = 10.0
MAX_PENDING: Final = 500
"""Messages of one agent that are kept in mind to be announced."""
MAX_WHY: Final = 200
"""Characters of why something could not be put in front of an agent."""
MAX_COUNTED: Final = 5000
"""Messages of one agent that were only counted; what is older is not kept in mind."""
_LAPSED_KEPT: Final = 64

RANKS: Final = {"hook": 6, "rewake": 5, "mcp": 4, "wait": 3, "stream": 3, "exec": 2, "pane": 1}
"""The ways to put something in front of an agent, better ones higher. A hook runs in a session that is awake."""
KEEPERS: Final = ("exec", "pane")
"""Who takes these wakes nobody before he has done something for it himself."""
_BEHIND: Final = 10


class Replaced(Exception):
    """A newer waiter of the same session waits in this one's place."""


@dataclass(slots=True)
class Pending:
    """A message that is to be announced. ``wakes``: it may wake an agent; ``held``: its budget says not now."""

    seq: int
    cause: Cause
    wakes: bool
    since: float
    held: bool = False
    waited_for: str | None = None
    """What kept it back, if anything did."""
    lapses: Counter[str] = field(default_factory=Counter)
    failed: str | None = None
    told: str | None = None
    """What its author was told of its being held."""
    expires_ms: int | None = None
    """Of the host's clock: then it is not to be announced any more."""
    prio: str = NORMAL

    def rank(self, via: str) -> int:
        return RANKS[via] - _BEHIND * self.lapses[via]


class Waiter(NamedTuple):
    """Somebody who waits for something to announce. ``after``: he is interested in what stands above this seq."""

    via: str
    wake: bool
    after: int = 0

    def would_take(self, item: Pending) -> bool:
        return item.seq > self.after and (not self.wake or (item.wakes and not item.held))


@dataclass(slots=True)
class Claim:
    """``seqs``: shown in the digest; ``counted``: only counted there, and so were ``older`` ones that are not kept in
    mind. ``size``: the digest's bytes. ``wake``: what it spent, until that is given back."""

    via: str
    seqs: tuple[int, ...]
    counted: tuple[int, ...]
    until: float
    size: int = 0
    older: int = 0
    wake: Wake | None = None
    late_wake: Wake | None = None
    """Given back when it lapsed."""


class Claims:
    def __init__(self) -> None:
        self.pending: dict[int, Pending] = {}
        self.counted: dict[int, None] = {}
        """Oldest first."""
        self._live: dict[str, Claim] = {}
        self._lapsed: dict[str, Claim] = {}
        self._taken: set[int] = set()
        self._unspent: list[Wake] = []

    def add(self, item: Pending) -> None:
        """Take note of a message. Where there are too many, the oldest of whoever has most of them stays in the inbox
        and is not announced any more: who floods an agent keeps nobody else from it."""
        if item.seq in self.pending or item.seq in self.counted:
            return
        if len(self.pending) >= MAX_PENDING:
            self._make_room()
        self.pending[item.seq] = item

    def _make_room(self) -> None:
        """What is claimed is soon gone by itself; an operator's word is never given up."""
        left = [item for item in self.free() if item.cause.kind != OPERATOR]
        if left:
            ((most, _),) = Counter(item.cause.sender for item in left).most_common(1)
            seq = next(item.seq for item in left if item.cause.sender == most)
            del self.pending[seq]
            self._count(seq)

    def _count(self, seq: int) -> None:
        self.counted[seq] = None
        while len(self.counted) > MAX_COUNTED:
            del self.counted[next(iter(self.counted))]

    def drop(self, seqs: Iterable[int]) -> None:
        """They need no announcing: the agent has read them, or they are no longer there."""
        for seq in seqs:
            self.pending.pop(seq, None)
            self.counted.pop(seq, None)

    def expire(self, now_ms: int) -> None:
        """What nobody needs to be told of any more, and has not been taken."""
        over = [one.seq for one in self.free() if one.expires_ms is not None and one.expires_ms <= now_ms]
        self.drop(over)

    def free(self) -> list[Pending]:
        """What nobody has taken."""
        return [item for seq, item in self.pending.items() if seq not in self._taken]

    def is_taken(self, seq: int) -> bool:
        return seq in self._taken

    def open_to(self, me: Waiter, others: Collection[Waiter]) -> list[Pending]:
        """What ``me`` may take now, while ``others`` wait too."""
        return [
            item
            for item in self.free()
            if not any(
                other.would_take(item) and item.rank(other.via) > item.rank(me.via) for other in others
            )
        ]

    def take(self, name: str, via: str, seqs: Sequence[int], counted: Sequence[int], now: float) -> Claim:
        """``seqs`` must be free."""
        claim = Claim(via, tuple(seqs), tuple(counted), now + LEASE_S)
        for seq in (*seqs, *counted):
            if seq in self._taken or seq not in self.pending:
                raise ValueError(f"{seq} is not free")
        self._taken.update(seqs, counted)
        self._live[name] = claim
        return claim

    def find(self, name: str) -> Claim | None:
        """A claim that may still be confirmed."""
        return self._live.get(name) or self._lapsed.get(name)

    def knows(self, seq: int) -> bool:
        """Whether it is a message that is to be announced, or was only counted."""
        return seq in self.pending or seq in self.counted

    def renew(self, name: str, now: float) -> bool:
        """False when it has lapsed already."""
        claim = self._live.get(name)
        if claim is not None:
            claim.until = now + LEASE_S
        return claim is not None

    def is_live(self, name: str) -> bool:
        return name in self._live

    def confirmed(self, name: str) -> None:
        """Its messages are announced, and that is durable."""
        claim = self._live.pop(name, None)
        if claim is not None:
            claim.wake = None
            self._let_go(claim)
        else:
            claim = self._lapsed.pop(name, None)
        if claim is not None:
            self.drop(claim.seqs)
            for seq in claim.counted:
                if self.pending.pop(seq, None) is not None:
                    self._count(seq)

    def failed(self, name: str, why: str) -> bool:
        """It could not be put in front of the agent. False when the claim is not there any more."""
        claim = self._live.pop(name, None)
        if claim is None:
            return self._lapsed.pop(name, None) is not None
        self._let_go(claim, lapsed_by=claim.via, why=why)
        return True

    def release(self, name: str) -> None:
        """Whoever claimed has not got it (his connection broke before): nobody's fault."""
        if (claim := self._live.pop(name, None)) is not None:
            self._let_go(claim)

    def lapse(self, now: float) -> list[str]:
        """Lets go of what was not confirmed in time; the names of those claims."""
        late = [name for name, claim in self._live.items() if claim.until <= now]
        for name in late:
            claim = self._live.pop(name)
            self._lapsed[name] = claim
            claim.wake, claim.late_wake = (claim.wake, claim.wake) if claim.via in KEEPERS else (None, None)
            self._let_go(claim, lapsed_by=claim.via)
        while len(self._lapsed) > _LAPSED_KEPT:
            del self._lapsed[next(iter(self._lapsed))]
        return late

    def unspent(self) -> list[Wake]:
        """Wakes to be given back. Asked for once."""
        found, self._unspent = self._unspent, []
        return found

    def next_lapse(self) -> float | None:
        return min((claim.until for claim in self._live.values()), default=None)

    def _let_go(self, claim: Claim, *, lapsed_by: str | None = None, why: str | None = None) -> None:
        both = (*claim.seqs, *claim.counted)
        self._taken.difference_update(both)
        if claim.wake is not None:
            self._unspent.append(claim.wake)
            claim.wake = None
        for seq in both:
            item = self.pending.get(seq)
            if item is not None and lapsed_by is not None:
                item.lapses[lapsed_by] += 1
                item.failed = why or item.failed
