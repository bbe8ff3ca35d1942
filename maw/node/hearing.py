"""Who puts which new message in front of which agent, and when: claims, waiters, confirmations.

The rules are in maw/core: ``claims`` (once, by the best way), ``budget`` and ``dnd`` (when to wake), ``digest`` (how it
reads). Here they meet the mailbox on the disk and the clock. What is to be announced is what the mailbox has neither as
delivered nor as acknowledged; a daemon that starts anew reads that, and has forgotten only who had claimed what.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from maw.core.claims import MAX_PENDING, MAX_WHY, Claims, Pending, Replaced, Waiter
from maw.core.digest import LINES, digest
from maw.core.intents import HIGH
from maw.core.states import DELIVERED
from maw.errors import MawError, NotFound
from maw.node.authoring import wall_clock_ms
from maw.node.briefing import Heard, brief_json, brief_of, fresh_nonce, to_announce, weight
from maw.node.marking import Marking
from maw.node.presenting import Json, Presenter
from maw.node.visible import Visible
from maw.node.wakes import ASKED_FOR, LONG_S, Wakes
from maw.store import pages
from maw.store.database import Database
from maw.store.state import AgentRow, State

MAX_OWED: Final = 1000
IN_THE_INBOX: Final = "in its inbox; {}"
"""What authors are told of what is held: nothing is lost, and sending it again would not help."""
_PAGE: Final = 50
"""Messages read at once to learn whom they are from: each may be 64 KiB."""


@dataclass(frozen=True, slots=True)
class _Owed:
    """What was put in front of an agent, and is not on the disk as delivered."""

    agent: AgentRow
    seqs: tuple[int, ...]
    via: str
    at_ms: int


@dataclass(slots=True)
class _Asker:
    """One request: by which way, and the session that sends it."""

    waiter: Waiter
    session: str | None
    replaced: bool = False


@dataclass(slots=True)
class _Ear:
    """One agent's. ``cursor``: its mailbox was read up to this seq; ``looked``: nothing was left on the disk when this
    seq was the newest that is visible (-1: not looked yet). ``older``: how many were too many to be kept in mind.
    ``bearer``: of a role that nobody hears for, the ear of the agent whose role it is."""

    claims: Claims = field(default_factory=Claims)
    cursor: int = 0
    looked: int = -1
    older: int = 0
    bearer: _Ear | None = None
    askers: dict[int, _Asker] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def others(self, asker: _Asker) -> list[Waiter]:
        """Those who wait beside this one."""
        return [one.waiter for one in self.askers.values() if one is not asker]

    def stir(self) -> None:
        """Whoever waits looks again."""
        if self.bearer is not None and not self.askers:
            self.bearer.stir()
        self.moved.set()
        self.moved = asyncio.Event()

    def is_heard(self) -> bool:
        return bool(self.askers or (self.bearer is not None and self.bearer.askers))


class Hearing:
    def __init__(
        self,
        db: Database,
        state: State,
        visible: Visible,
        presenter: Presenter,
        address: Callable[[AgentRow], str],
        roles: Callable[[AgentRow], list[AgentRow]],
        marking: Marking,
        wakes: Wakes,
    ) -> None:
        self._db = db
        self._state = state
        self._visible = visible
        self._presenter = presenter
        self._address = address
        self._roles = roles
        self._marking = marking
        self._wakes = wakes
        self._ears: dict[int, _Ear] = {}
        self._owed: list[_Owed] = []
        self._numbers = 0
        visible.on_move = self._look

    # -- asking ---------------------------------------------------------------------------------------

    async def hear(
        self,
        agent: AgentRow,
        via: str,
        *,
        wake: bool,
        wait: float,
        session: str | None = None,
        limit: int = LINES,
        gone: Callable[[], bool] = lambda: False,
        slice_s: float = 5.0,
    ) -> Heard | None:
        """What is new for ``agent`` and was not announced yet, claimed for this caller; None when there is nothing, or
        nothing for him, within ``wait`` seconds. ``wake``: only what may wake the agent, and when it may. When there is
        nothing, what is new for one of its roles, for whom nobody else hears.

        Raises Replaced when a newer waiter of the same agent, way and ``session`` came. ``gone()``: the caller has
        hung up; it is asked every ``slice_s``.
        """
        ear = self._ears.setdefault(agent.n, _Ear())
        asker = _Asker(Waiter(via, wake), session)
        if wait <= 0:
            return await self._offer_any(agent, ear, asker, limit)
        self._replace(ear, asker)
        self._numbers += 1
        number = self._numbers
        ear.askers[number] = asker
        try:
            return await self._wait(agent, ear, number, wait, limit, gone, slice_s)
        finally:
            del ear.askers[number]
            ear.stir()  # what this one stood in the way of is the next one's

    async def _wait(
        self,
        agent: AgentRow,
        ear: _Ear,
        number: int,
        wait: float,
        limit: int,
        gone: Callable[[], bool],
        slice_s: float,
    ) -> Heard | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        asker = ear.askers[number]
        while not gone():
            moved = ear.moved
            heard = await self._offer_any(agent, ear, asker, limit)
            left = deadline - loop.time()
            if heard is not None or left <= 0:
                return heard
            if asker.replaced:
                raise Replaced
            pause = min(left, slice_s, self._next(agent, ear, asker))
            try:
                async with asyncio.timeout(pause):
                    await moved.wait()
            except TimeoutError:
                pass
        return None

    def _replace(self, ear: _Ear, asker: _Asker) -> None:
        if asker.session is None:
            return
        for one in ear.askers.values():
            if one.session == asker.session and one.waiter.via == asker.waiter.via:
                one.replaced = True
        ear.stir()

    def _next(self, agent: AgentRow, ear: _Ear, asker: _Asker) -> float:
        """Seconds until there may be something although nothing moves: a lease ends, or the budget allows it."""
        me = asker.waiter
        others, times = ear.others(asker), [LONG_S]
        for row, its in [(agent, ear), *self._unheard(agent, ear)]:
            times.append(self._wakes.pause(row, me, its.claims.open_to(me, others)))
            if (lapse := its.claims.next_lapse()) is not None:
                times.append(lapse - asyncio.get_running_loop().time())
        return max(0.01, min(times))

    def _unheard(self, agent: AgentRow, ear: _Ear) -> list[tuple[AgentRow, _Ear]]:
        """Roles of the agent for which nobody else hears, each with its mailbox of its own."""
        found = []
        for row in self._roles(agent):
            its = self._ears.setdefault(row.n, _Ear())
            its.bearer = ear
            if not its.askers:
                found.append((row, its))
        return found

    # -- offering -------------------------------------------------------------------------------------

    async def _offer_any(self, agent: AgentRow, ear: _Ear, asker: _Asker, limit: int) -> Heard | None:
        heard = await self._offer(agent, ear, ear, asker, limit)
        if heard is None:
            for row, its in self._unheard(agent, ear):
                if (heard := await self._offer(row, its, ear, asker, limit)) is not None:
                    return heard
        return heard

    async def _offer(self, agent: AgentRow, ear: _Ear, at: _Ear, asker: _Asker, limit: int) -> Heard | None:
        """``at``: where the asker waits, which is not ``ear`` where that is of a role of his."""
        await self._read(agent, ear)
        # only now: a better way may have come while the disk was read
        others = at.others(asker)
        me, now = asker.waiter, asyncio.get_running_loop().time()
        ear.claims.lapse(now)
        ear.claims.expire(wall_clock_ms())
        self._give_back(agent, ear)
        open_ = [] if asker.replaced else ear.claims.open_to(me, others)
        if not open_:
            return None
        chosen = self._wakes.allowed(agent, me, open_)
        if not chosen:
            return None
        return await self._claim(agent, ear, me, chosen, limit)

    async def _claim(
        self, agent: AgentRow, ear: _Ear, me: Waiter, chosen: Sequence[Pending], limit: int
    ) -> Heard | None:
        """Takes these, and looks at them again on the disk: what was read meanwhile is not announced."""
        loop, name = asyncio.get_running_loop(), secrets.token_hex(8)
        first = sorted(chosen, key=weight)[: min(limit, LINES)]
        seqs = sorted(item.seq for item in first)
        rest = [item.seq for item in chosen if item.seq not in seqs]
        ear.claims.take(name, me.via, seqs, rest, loop.time())
        try:
            return await self._build(agent, ear, me, name, {item.seq: item for item in chosen}, seqs, rest)
        except BaseException:
            ear.claims.release(name)
            self._give_back(agent, ear)
            raise

    async def _build(
        self,
        agent: AgentRow,
        ear: _Ear,
        me: Waiter,
        name: str,
        items: Mapping[int, Pending],
        seqs: Sequence[int],
        rest: Sequence[int],
    ) -> Heard | None:
        rows = await pages.unannounced_among(self._db, agent.n, seqs)
        counted = await pages.still_unannounced(self._db, agent.n, rest) if rest else []
        there = {*(row.seq for row in rows), *counted}
        ear.claims.drop(seq for seq in items if seq not in there)
        if not rows:
            ear.claims.release(name)
            ear.stir()
            return None
        if me.wake:
            wake = await self._wakes.woken(agent, me.via, [items[seq] for seq in sorted(there)])
            if (claim := ear.claims.find(name)) is None:  # let go meanwhile
                self._wakes.give_back(agent, wake)
            else:
                claim.wake = wake
        else:
            self._wakes.told(agent, [items[seq] for seq in sorted(there)])
        rows.sort(key=lambda row: items[row.seq].prio != HIGH)
        messages = [self._presenter.message(self._presenter.as_for(row, agent.id)) for row in rows]
        briefs = [brief_of(message, row.said) for message, row in zip(messages, rows, strict=True)]
        waited = self._wakes.waited([items[row.seq] for row in rows])
        more = len(counted) + ear.older
        is_role = agent.profile.of is not None
        text = digest(agent.name, briefs, fresh_nonce(), more=more, waited=waited, is_role=is_role)
        if (claim := ear.claims.find(name)) is not None:
            claim.older = ear.older
            claim.size = 0 if me.via in ASKED_FOR else len(text.encode())
        return Heard(name, self._address(agent), text, [brief_json(message) for message in messages], more)

    # -- those who are sent everything: see Listener --------------------------------------------------

    def enter(self, agent: AgentRow, waiter: Waiter) -> int:
        """Takes a place among those who wait, until ``leave``. Returns its number."""
        ear = self._ears.setdefault(agent.n, _Ear())
        self._numbers += 1
        ear.askers[self._numbers] = _Asker(waiter, None)
        return self._numbers

    def leave(self, agent: AgentRow, number: int, claims: Sequence[str]) -> None:
        """What was claimed from this place and not confirmed is offered again."""
        ear = self._ears[agent.n]
        del ear.askers[number]
        for name in claims:
            ear.claims.release(name)
        self._give_back(agent, ear)
        ear.stir()

    async def take_sent(self, agent: AgentRow, number: int, seqs: Collection[int]) -> str | None:
        """Claims what of these is to be announced, and not better announced by another. None: nothing is."""
        ear = self._ears[agent.n]
        await self._read(agent, ear)
        now = asyncio.get_running_loop().time()
        ear.claims.lapse(now)
        self._give_back(agent, ear)
        asker = ear.askers[number]
        me = asker.waiter
        mine = [item.seq for item in ear.claims.open_to(me, ear.others(asker)) if item.seq in seqs]
        if not mine:
            return None
        name = secrets.token_hex(8)
        ear.claims.take(name, me.via, mine, [], now)
        return name

    async def confirm(self, agent: AgentRow, seqs: Sequence[int], via: str) -> list[int]:
        """These were put in front of the agent without a claim, or with one: durable once this returns. What is not
        for the agent is passed over. Returns the seqs of which it is new."""
        ear = self._ears.setdefault(agent.n, _Ear())
        await self._read(agent, ear)
        known = [seq for seq in seqs if ear.older or ear.claims.knows(seq)]
        fresh = await self._marking.mark(agent, known, DELIVERED, via)
        ear.claims.drop(known)
        return fresh

    def is_open(self, agent: AgentRow, name: str) -> bool:
        return self._ears[agent.n].claims.is_live(name)

    # -- what there is --------------------------------------------------------------------------------

    async def _read(self, agent: AgentRow, ear: _Ear) -> None:
        """Takes up what is new in the mailbox; reads nothing from the disk where nothing came."""
        if ear.looked >= self._state.mail.get(agent.n, 0) and ear.looked >= 0:
            return
        async with ear.reading:
            if ear.looked < 0:
                await self._begin(agent, ear)
            newest = self._visible.seq
            while rows := await pages.unannounced(self._db, agent.n, after=ear.cursor, limit=_PAGE):
                for row in rows:
                    ear.claims.add(self._pending(agent, row))
                ear.cursor = rows[-1].seq
                if len(rows) < _PAGE:
                    break
            ear.cursor = max(ear.cursor, newest)
            ear.looked = newest

    async def _begin(self, agent: AgentRow, ear: _Ear) -> None:
        """Of a large backlog only the newest are kept in mind; the others are counted in the first digest."""
        floor = await pages.unannounced_floor(self._db, agent.n, MAX_PENDING)
        if floor is not None:
            ear.cursor = floor - 1
            ear.older = await pages.count_unannounced(self._db, agent.n, below=floor)

    def _pending(self, agent: AgentRow, row: pages.Shown) -> Pending:
        row = self._presenter.as_for(row, agent.id)
        said = self._presenter.said(row)
        wakes = row.channel is not None and self._state.watchers.get(row.channel, {}).get(agent.n, False)
        item = to_announce(self._presenter.with_said(row, said), row.received, watch_wakes=wakes)
        if said.expires is not None and not row.suspect:
            item.expires_ms = said.expires
        return item

    async def take_late(self) -> None:
        """What came into mailboxes below what was read already. To be called once a second."""
        while self._state.late_mail:
            n, seqs = self._state.late_mail.popitem()
            ear = self._ears.get(n)
            if ear is None or ear.looked < 0:
                continue  # it is found with the rest
            for row in await pages.unannounced_among(self._db, n, seqs):
                ear.claims.add(self._pending(self._state.agent_at[n], row))
            ear.stir()

    def _look(self) -> None:
        """Something became visible: whoever waits for mail that came looks at it."""
        mail = self._state.mail
        for n, ear in self._ears.items():
            if mail.get(n, 0) > ear.looked and ear.is_heard():
                ear.stir()

    def stir(self, agent: AgentRow) -> None:
        """The rules for this agent have changed: whoever waits looks again."""
        if (ear := self._ears.get(agent.n)) is not None:
            ear.stir()

    def waiting(self, agent: AgentRow) -> list[Waiter]:
        """Who waits for something to put in front of this agent."""
        ear = self._ears.get(agent.n)
        return [] if ear is None else [one.waiter for one in ear.askers.values()]

    def pending(self, agent: AgentRow) -> list[Pending]:
        """What is known to wait for being announced: of an agent that nobody asked for yet, nothing."""
        ear = self._ears.get(agent.n)
        return [] if ear is None else ear.claims.free()

    def is_claimed(self, agent: AgentRow, seq: int) -> bool:
        """Whether somebody is putting this message in front of the agent just now."""
        ear = self._ears.get(agent.n)
        return ear is not None and ear.claims.is_taken(seq)

    # -- confirming -----------------------------------------------------------------------------------

    async def heard(
        self, agent: AgentRow, name: str, *, failed: str | None = None, renew: bool = False
    ) -> Json:
        """What became of a claim: its messages were put in front of the agent (durable once this returns), or were
        not and why, or it takes longer. NotFound when it is not known any more: then they are announced again."""
        agent, ear = self._holder(agent, name)
        loop = asyncio.get_running_loop()
        ear.claims.lapse(loop.time())
        self._give_back(agent, ear)
        claim = ear.claims.find(name)
        if claim is None or (renew and not ear.claims.renew(name, loop.time())):
            raise NotFound(
                f"no claim {name} of {agent.name}'s is open",
                code="no_such_claim",
                hint="it was let go: what it held is announced again",
            )
        if renew:
            return {"state": "renewed", "delivered": []}
        if failed is not None:
            ear.claims.failed(name, failed[:MAX_WHY])
            self._give_back(agent, ear)
            ear.stir()
            await self._marking.fail(agent, claim.seqs, failed)
            return {"state": "failed", "delivered": []}
        ear.claims.renew(name, loop.time())
        ear.older -= min(ear.older, claim.older)
        if claim.late_wake is not None:
            self._wakes.happened(agent, claim.late_wake)
            claim.late_wake = None
        if claim.size:
            self._wakes.count_digest(agent, claim.size)
        at_ms = wall_clock_ms()
        try:
            fresh = await self._marking.mark(agent, claim.seqs, DELIVERED, claim.via, at_ms)
        except MawError:  # it was shown: while a disk is full it must not be shown again with every tool
            if len(self._owed) < MAX_OWED:
                self._owed.append(_Owed(agent, claim.seqs, claim.via, at_ms))
                ear.claims.confirmed(name)
            raise
        ear.claims.confirmed(name)
        return {"state": "delivered", "delivered": fresh}

    def _holder(self, agent: AgentRow, name: str) -> tuple[AgentRow, _Ear]:
        """In whose mailbox the claim is: the agent's own, or one of its roles'."""
        ear = self._ears.setdefault(agent.n, _Ear())
        if ear.claims.find(name) is None:
            for row in self._roles(agent):
                its = self._ears.get(row.n)
                if its is not None and its.claims.find(name) is not None:
                    return row, its
        return agent, ear

    def _give_back(self, agent: AgentRow, ear: _Ear) -> None:
        """The wakes of claims that woke nobody."""
        for wake in ear.claims.unspent():
            self._wakes.give_back(agent, wake)

    async def settle(self) -> None:
        """Note what was put in front of agents while the disk took nothing. To be called once a second. Raises MawError
        when it still does not."""
        while self._owed:
            owed = self._owed[0]
            await self._marking.mark(owed.agent, owed.seqs, DELIVERED, owed.via, owed.at_ms)
            self._owed.remove(owed)

    async def tell_held(self) -> None:
        """Tell the authors of what is held why it is. To be called once a second. Raises MawError when the disk does
        not take it; then it is still due."""
        due = dict(self._wakes.kept())
        while due:
            n, kept = due.popitem()
            agent = self._state.agent_at.get(n)
            while kept and agent is not None:
                why = next(iter(kept.values()))
                seqs = [seq for seq, one in kept.items() if one == why]
                try:
                    await self._marking.fail(agent, seqs, IN_THE_INBOX.format(why))
                except MawError:
                    for again, left in (due | {n: kept}).items():
                        self._wakes.keep_again(again, left)
                    raise
                kept = {seq: one for seq, one in kept.items() if one != why}
