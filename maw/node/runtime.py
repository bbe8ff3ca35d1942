"""Carries out the core's effects: the one place where frames and the machine meet, and the disk by way of ``Storing``.

Everything here runs on the event loop; the machine is never entered twice at once. What the machine asks
for is done in the order it asked; an Append's answer comes back from the writer, behind the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from maw.core.clock import HybridClock
from maw.core.effects import (
    Alert,
    Append,
    AppendStatements,
    CheckAdoption,
    CheckFork,
    CheckProof,
    Effect,
    Hangup,
    InVain,
    KeepChunk,
    KeepList,
    KeepOwn,
    Link,
    Mended,
    OwnLogBehind,
    OwnLogReturned,
    ReadBranch,
    ReadChunk,
    ReadLog,
    ReadPlaces,
    Receipt,
    Seek,
    Send,
    Settled,
    Whole,
)
from maw.core.entry import Entry
from maw.core.frames import BlobChunk, BlobList, Credit, Entries, NoBlob, WantBlob, decode_frame, encode
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key
from maw.core.log import runs
from maw.core.pacing import Pace
from maw.core.replication import Replicator
from maw.core.serving import INITIAL_CREDIT
from maw.errors import LinkClosed, LinkError, ProtocolViolation
from maw.net.link import Link as LiveLink
from maw.node.authoring import wall_clock_ms
from maw.node.borrowing import Borrowing
from maw.node.conduct import Conduct, Traffic
from maw.node.folds import Folds
from maw.node.forking import Forking
from maw.node.mender import Mender
from maw.node.reactions import Ask, Reactions
from maw.node.receipts import Receipts
from maw.node.shelf import Shelf
from maw.node.storing import Storing
from maw.node.visible import Visible
from maw.store.database import Database
from maw.store.logs import LogRead, read_after
from maw.store.state import State
from maw.store.writer import Writer

MAX_READS: Final = 3
"""At once, of all links together."""
MAX_FORK_CHECKS: Final = 16
"""At once. A proof that is not looked at now is shown again with the next head that contradicts."""


class Runtime:
    """Runs one Replicator over live links and the store."""

    def __init__(
        self,
        me: NodeId,
        machine: Replicator,
        held: HeldLogs,
        db: Database,
        state: State,
        writer: Writer,
        clock: HybridClock,
        visible: Visible,
        receipts: Receipts,
        folds: Folds,
        reactions: Reactions,
        mender: Mender,
        forking: Forking,
        conduct: Conduct,
        shelf: Shelf,
    ) -> None:
        self._me = me
        self.machine = machine
        self.held = held
        self._db = db
        self._state = state
        self._visible = visible
        self._receipts = receipts
        self._folds = folds
        self._reactions = reactions
        self._storing = Storing(self, state, writer, clock, folds, reactions)
        self._mender = mender
        self._forking = forking
        self._conduct = conduct
        self.borrowing = Borrowing(shelf, self.carry_out)
        self._loop = asyncio.get_running_loop()
        self._links: dict[Link, LiveLink] = {}
        self._numbers: dict[NodeId, Link] = {}
        self._next_link = 1
        self._tasks: asyncio.TaskGroup | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._paused = False
        self._fork_checks = 0
        self._confirmed: dict[Link, int] = {}
        self._reads = asyncio.Semaphore(MAX_READS)

    async def run(self, beat: Callable[[], None]) -> None:
        """Ticks the machine once a second; reads that it asks for run here too. Ends when cancelled, and with any
        fault in the machine: what it believes is then worth nothing, and the disk is read again at the next start.
        ``beat`` is called with each tick."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                self.trust_changed()
                while True:
                    beat()
                    await asyncio.sleep(1.0)
                    self.carry_out(self.machine.tick(self._now()))
                    self.borrowing.tick()
            finally:
                self._tasks = None

    def _now(self) -> float:
        return self._loop.time()

    # -- links ------------------------------------------------------------------------------------

    async def carry_link(self, link: LiveLink) -> LinkError:
        """Runs a link that was admitted until it ends; why it ended."""
        number, self._next_link = self._next_link, self._next_link + 1
        self._links[number] = link
        self._numbers[link.peer] = number
        self._confirmed[number] = 0
        pace = self._conduct.pace()
        self._conduct.linked(link.peer)
        try:
            self.carry_out(self.machine.link_up(number, link.peer, self._now()))
            self.borrowing.link_up(number, link.peer)
            ended = await link.run(lambda frame: self._receive(number, link, pace, frame))
            if isinstance(ended, ProtocolViolation):
                self._blame(number, ended.code, ended.message)
            self._conduct.ended(link.peer, ended.code)
            return ended
        finally:
            del self._links[number]
            del self._confirmed[number]
            if self._numbers.get(link.peer) == number:
                del self._numbers[link.peer]
            self.carry_out(self.machine.link_down(number, self._now()))
            self.borrowing.link_down(number)

    def number_of(self, peer: NodeId) -> Link | None:
        """The machine's number for the live link to ``peer``."""
        return self._numbers.get(peer)

    def peer_of(self, number: Link) -> NodeId | None:
        link = self._links.get(number)
        return None if link is None else link.peer

    def share(self, peer: NodeId) -> float:
        """The part of all logs that goes over the link to ``peer``, in the busier direction; 0 without a link."""
        number = self._numbers.get(peer)
        return 0.0 if number is None else self.machine.share(number)

    def _receive(self, number: Link, link: LiveLink, pace: Pace, data: bytes) -> float:
        """Returns the seconds until the next frame should be read. A LinkError raised here ends the link with it: the
        peer broke a rule."""
        frame = decode_frame(data)
        before = link.queued_bytes
        try:
            if isinstance(frame, WantBlob | BlobList | BlobChunk | NoBlob):
                if self.borrowing.receive(number, frame):
                    return 0.0
                return self._conduct.spent(link.peer, pace, len(data))
            effects = self.machine.receive(number, frame, self._now())
            self.carry_out(effects)
        except LinkError:
            raise
        except Exception as error:
            # a peer that knows such a frame would end us at every start; without its link, it is told of and over
            self._reactions.bug(f"frames of {short_key(link.peer)}", error)
            self._conduct.broke(link.peer, "internal")
            raise LinkClosed("this node stumbled over a frame", code="internal") from error
        match frame:
            case Entries() if any(isinstance(effect, Append) for effect in effects):
                return 0.0
            case Credit(amount) if amount:
                self._confirmed[number] += amount
                return 0.0
        return self._conduct.spent(link.peer, pace, len(data) + max(0, link.queued_bytes - before))

    def traffic(self) -> list[Traffic]:
        """What waits for each linked peer, and what it has taken."""
        return [
            Traffic(
                link.peer,
                link.queued_bytes + max(0, INITIAL_CREDIT - self.machine.serving.credit_of(number)),
                link.written + self._confirmed[number],
            )
            for number, link in self._links.items()
            if number in self.machine.links
        ]

    def _blame(self, number: Link, code: str, reason: str) -> None:
        if (link := self._links.get(number)) is None:
            return  # its link ended meanwhile, for a reason that was told
        self._conduct.broke(link.peer, code)
        peer = short_key(link.peer)
        self._reactions.alert(Alert(code, peer, f"node {peer} broke the protocol: {reason}"))

    # -- effects ----------------------------------------------------------------------------------

    def carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(number, frame):
                    if link := self._links.get(number):
                        link.send(encode(frame))
                case Append():
                    self._storing.append(effect)
                case ReadLog():
                    self._spawn(self._read(effect), "read log")
                case Receipt(peer, epoch, seq):
                    self.note_receipt(peer, epoch, seq)
                case AppendStatements():
                    self._storing.append_statements(effect)
                case Alert():
                    self._reactions.alert(effect)
                case Settled(kind, subject):
                    self._reactions.settle(kind, subject)
                case ReadPlaces():
                    self._spawn(self._mender.read(effect), "read places")
                case Mended():
                    self._mender.write_back(effect)
                case InVain():
                    self._mender.in_vain(effect)
                case Hangup(number, code, reason):
                    self._blame(number, code, reason)
                    if link := self._links.get(number):
                        link.close(reason)
                case OwnLogReturned(epoch):
                    self._reactions.own_log_returned(epoch)
                case OwnLogBehind(behind):
                    self._reactions.own_log_behind(behind)
                case CheckFork() if self._fork_checks < MAX_FORK_CHECKS:
                    self._fork_checks += 1
                    self._spawn(self._check_fork(effect), "check fork")
                case CheckProof():
                    self._spawn(self._forking.check_proof(effect), "check proof")
                case CheckAdoption():
                    self._spawn(self._forking.check_adoption(effect), "check adoption")
                case Seek():
                    self._spawn(self._forking.seek(effect), "seek branch")
                case ReadBranch():
                    self._spawn(self._forking.answer(effect), "read branch")
                case ReadChunk():
                    self._spawn(self._lend(effect), "lend a file")
                case KeepList() | KeepChunk() | Whole():
                    self.borrowing.keep(effect)
                case KeepOwn():
                    self._spawn(self._forking.keep_own(effect), "keep own branch")
        self._set_wake()

    def note_receipt(self, peer: NodeId, epoch: int, seq: int) -> None:
        """Nobody holds what was not said yet, whatever it says."""
        ours = self.held.head(self._me, epoch).seq
        if ours:
            self._receipts.note(peer, epoch, min(seq, ours), wall_clock_ms())

    def feed(self, ask: Ask) -> None:
        """Asks the machine, and does what it says: the way in for those who know more than the machine."""
        self.carry_out(ask(self.machine, self._now()))

    def _set_wake(self) -> None:
        at = self.machine.wake_at()
        if at is not None and self._wake is None:
            self._wake = self._loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self.or_end(lambda: self.carry_out(self.machine.tick(self._now())))

    def or_end(self, step: Callable[[], None]) -> None:
        """A step taken in a callback of the event loop, which would only log its fault."""
        try:
            step()
        except Exception as error:
            if self._tasks is None:
                raise
            self._tasks.create_task(_fail(error), name="fault")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._tasks is None:  # stopping: the other side asks again when we are back
            work.close()
            return
        self._tasks.create_task(work, name=name)

    # -- the disk: see also Storing ---------------------------------------------------------------

    def returned(self, effect: Append) -> None:
        """Who gives our own log back to us has it."""
        if (link := self._links.get(effect.link)) is not None:
            for run in runs(effect.entries):
                if run[-1].author == self._me:
                    self.note_receipt(link.peer, run[-1].epoch, run[-1].seq)

    async def _read(self, effect: ReadLog) -> None:
        """Not before the link has taken what it was given: else live messages would queue behind what is read."""
        if (link := self._links.get(effect.link)) is not None:
            await link.drained()
        try:
            async with self._reads:
                found = await read_after(self._db, self._state, effect.author, effect.heads, effect.size)
        except (LinkError, sqlite3.Error) as error:
            self._folds.unreadable(effect.author, error)
            found = LogRead([], [])
        self.carry_out(
            self.machine.log_read(effect.link, effect.author, effect.serial, found.entries, found.forked)
        )

    async def _lend(self, effect: ReadChunk) -> None:
        """As ``_read``: what is live never waits behind more than one chunk."""
        if (link := self._links.get(effect.link)) is not None:
            await link.drained()
        await self.borrowing.read(effect)

    async def _check_fork(self, effect: CheckFork) -> None:
        try:
            await self._forking.check_fork(effect)
        finally:
            self._fork_checks -= 1

    def appended(self, entries: Sequence[Entry]) -> None:
        """Entries of our own are durable: tell the machine, and readers."""
        self._visible.advance(self._state.seq)
        self.carry_out(self.machine.appended(entries, self._now()))

    def trust_changed(self) -> None:
        """The book was changed by a decision taken here."""
        self.carry_out(self.machine.trust_changed(self._now()))

    def pause(self, paused: bool) -> None:
        """While paused nothing is followed: what cannot be stored is not asked for."""
        self._paused = paused
        self.carry_out(self.machine.pause(paused, self._now()))

    def restart(self, machine: Replicator, held: HeldLogs) -> None:
        """Go on with another machine. Only for a node that has no links."""
        self.machine, self.held = machine, held
        self._reactions.own_log_behind(machine.homecoming.behind)
        self.pause(self._paused)


async def _fail(error: Exception) -> None:
    raise error
