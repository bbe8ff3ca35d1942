"""One simulated node: the real machines over a modelled disk and network, put together as in the daemon."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

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
    KeepOwn,
    Link,
    Mended,
    OwnLogBehind,
    OwnLogReturned,
    ReadBranch,
    ReadLog,
    ReadPlaces,
    Receipt,
    Seek,
    Send,
    Settled,
)
from maw.core.entry import Entry, Head, Position
from maw.core.frames import Entries, Frame
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, Signer
from maw.core.members import Pin
from maw.core.replication import Replicator
from maw.core.statement import Statement, read_statement
from maw.core.trust import TrustBook
from tests.simulation.clockwork import Clockwork
from tests.simulation.disk import Disk, Job, RefusedError
from tests.simulation.forking import Forking
from tests.simulation.knobs import Knobs
from tests.simulation.marking import Marking
from tests.simulation.network import Network
from tests.simulation.readers import POLL_S, Reader
from tests.simulation.redacting import Redacting
from tests.simulation.trace import Names, Trace
from tests.simulation.watcher import Watcher
from tests.simulation.writing import Home, Writing

TICK_S = 1.0
BACKOFF_S = 0.2
BACKOFF_MAX_S = 4.0
DISK_CHECK_S = 0.5
"""How often a node looks whether its disk has room."""
SILENCE_S = 12.0
"""After so long without a word from a peer its link is given up."""


@dataclass(slots=True)
class Surroundings:
    """What all nodes of a run share."""

    knobs: Knobs
    clockwork: Clockwork
    network: Network
    trace: Trace
    rng: random.Random
    colony: bytes
    operator: Signer
    names: Names = field(default_factory=Names)
    nodes: list[SimNode] = field(default_factory=list)
    acknowledged: dict[bytes, Position] = field(default_factory=dict)
    """By the id an entry had first."""
    marking: random.Random = field(default_factory=random.Random)
    """What agents make of messages, drawn apart from all else."""
    agents_rest: bool = False
    """All has healed: who reads on has more to tell, and a run would never be over."""
    first: dict[bytes, bytes] = field(default_factory=dict)
    """Of what was said again: the id it had first."""
    by_key: dict[NodeId, SimNode] = field(default_factory=dict)
    revoked: dict[NodeId, dict[int, Head]] = field(default_factory=dict)
    """Keys that have no more say, and up to where their logs count."""

    def root(self, entry_id: bytes) -> bytes:
        return self.first.get(entry_id, entry_id)

    def said_again(self, old: Entry, new: Entry) -> None:
        self.first[new.id] = self.root(old.id)

    @property
    def honest(self) -> list[SimNode]:
        return [node for node in self.nodes if not node.hostile and node.key not in self.revoked]


class SimNode:
    """A daemon in the small. ``alive`` is False between a crash and the restart."""

    hostile = False

    def __init__(self, around: Surroundings, index: int, signer: Signer) -> None:
        self.around = around
        self.index = index
        self.signer = signer
        self.key = signer.node
        self.home = Home(machine=index)
        self.disk = Disk(around.clockwork, around.trace, around.rng, f"n{index}", around.knobs.commit)
        self.alive = False
        self.incarnation = 0
        self.disasters = 0
        """How often what lay on the disk was replaced by something else."""
        self.paused = False
        """The disk has no room: nothing is followed, nothing is said."""
        self.linked: dict[int, Link] = {}
        self.received: Counter[bytes] = Counter()
        self.posts: list[tuple[Entry, float]] = []
        """What was acknowledged here, and when."""
        self.reader = Reader(self)
        self.watcher = Watcher(self)
        self._frozen: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None
        self._dialling: set[int] = set()
        self._woken_at: float | None = None
        self.book = TrustBook(self.key, around.colony)
        self.held = HeldLogs({})
        self.replicator = Replicator(self.key, self.book, self.held)
        self.writing = Writing(self)
        self.forking = Forking(self)
        self.redacting = Redacting(self)
        self.marking = Marking(self)
        self.forked = False
        """Our own log was ever found in two branches."""
        self.once: set[bytes] = set()
        """What was held here and gave way to another branch."""

    # -- life -----------------------------------------------------------------------------------------

    def start(self, *, slept_unknowing: float = 0.0) -> None:
        """Everything in memory is made anew from what is on the disk.

        ``slept_unknowing``: seconds by which true time went on behind a machine's back.
        """
        rows = self.disk.rows
        self.alive = True
        self.incarnation += 1
        self.book = TrustBook(self.key, self.around.colony, rows.statements.values(), rows.pins.values())
        incomplete = {log: head for log, head in rows.rules.incomplete().items() if head is not None}
        held = HeldLogs(rows.heads(), rows.proofs, incomplete=incomplete)
        self.held = held
        self.replicator = Replicator(self.key, self.book, held, credit=self.around.knobs.credit)
        self.writing = Writing(self, slept_unknowing)
        self.forking = Forking(self)
        self.forking.start()
        self.redacting = Redacting(self)
        self.marking = Marking(self)
        self.paused = False
        self.note(f"starts, incarnation {self.incarnation}")
        if not self.writing.new_epoch:
            self.around.trace.count("restarts within an epoch")
        self.do(self.replicator.start(self.now))
        self.after(self.around.rng.uniform(0, TICK_S), self._tick_on)
        self.after(self.around.rng.uniform(0, DISK_CHECK_S), self._check_disk)
        self.after(self.around.rng.uniform(0, POLL_S), self._read_on)
        if not rows.epochs(self.key):
            self.writing.post(0, 0)  # as the daemon, which says its name before anything else
        self.redial()

    def crash(self, *, power: bool = False) -> None:
        """kill -9, or with ``power`` the whole machine: memory, queue and connections are gone."""
        self.note("loses power" if power else "crashes")
        self.alive = False
        self.incarnation += 1
        self._frozen = None
        self.disk.crash(power=power)
        if power:
            self.home.boot += 1
        for wire in list(self.around.network.wires.values()):
            if any(end.node is self and end.up for end in wire.ends):
                wire.end_of(self).up = False
                self.around.network.kill(wire)
        self.linked.clear()
        self._dialling.clear()
        self.watcher.forget()
        self._woken_at = None

    def freeze(self) -> None:
        """SIGSTOP: nothing happens here until ``thaw``; what arrives waits in buffers."""
        if self.alive and self._frozen is None:
            self.note("is stopped")
            self._frozen = []
            for link in self.linked.values():
                self.around.clockwork.after(SILENCE_S, self._given_up, link, self.incarnation)

    def _given_up(self, link: Link, incarnation: int) -> None:
        """Peers have heard nothing for long: they drop the link; its end here finds out after the thaw."""
        wire = self.around.network.wires.get(link)
        if wire is not None and self._frozen is not None and incarnation == self.incarnation:
            self.around.network.kill(wire)

    def thaw(self) -> None:
        """SIGCONT: everything that waited happens now, in its order."""
        if self._frozen is None:
            return
        waiting, self._frozen = self._frozen, None
        self.note(f"goes on, {len(waiting)} events waited")
        self.around.trace.count("events that waited for a stopped process", len(waiting))
        for what, args in waiting:
            self.run_guarded(what, args)

    def _tick_on(self) -> None:
        self.writing.look_at_clocks()
        self.do(self.replicator.tick(self.now))
        self.redacting.keep()
        self.marking.tell()
        self.after(TICK_S * self.around.clockwork.pace, self._tick_on)

    def _read_on(self) -> None:
        self.reader.poll()
        self.marking.poll()
        self.after(POLL_S * self.around.clockwork.pace, self._read_on)

    @property
    def serves_readers(self) -> bool:
        return self.alive and self._frozen is None

    def _wake(self) -> None:
        self._woken_at = None
        self.do(self.replicator.tick(self.now))

    def _check_disk(self) -> None:
        """As ``DiskGuard``: without room nothing is followed or said; it comes back by itself."""
        if self.disk.full != self.paused:
            self.paused = self.disk.full
            self.note(f"disk full: {self.paused}")
            wanted = (
                self.replicator.followed.want([], self.now)
                if self.paused
                else self.replicator.trust_changed(self.now)
            )
            self.do(wanted)
        self.after(DISK_CHECK_S * self.around.clockwork.pace, self._check_disk)

    # -- saying something -------------------------------------------------------------------------------

    def post(self, count: int, size: int) -> None:
        if self.alive and self._frozen is None:
            self.writing.post(count, size)

    def before_writing(self, entries: list[Entry]) -> list[Entry]:
        """What goes on the disk instead of what would."""
        return entries

    def posted(self, entries: list[Entry]) -> None:
        """Our own entries are durable: this is where whoever said them is told so."""
        self.note(f"posted {self.around.names.span(entries)}")
        self.home.mark = max(self.home.mark, (entries[-1].epoch, entries[-1].seq))
        self.acknowledge(entries)
        self.do(self.replicator.appended(entries, self.now))

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.posts.append((entry, self.now))
            self.around.acknowledged.setdefault(self.around.root(entry.id), entry.position)
        self.reader.expect([self.around.root(entry.id) for entry in entries])

    # -- links ------------------------------------------------------------------------------------------

    def redial(self) -> None:
        """See to it that every trusted neighbour without a link is dialled."""
        for other in self.around.nodes:
            near = frozenset((self.index, other.index)) in self.around.network.edges
            if near and other.key in self.book.trusted and other.index not in self.linked:
                self._dial_later(other, 0)

    def _dial_later(self, other: SimNode, attempt: int) -> None:
        if other.index not in self._dialling:
            self._dialling.add(other.index)
            delay = min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt) * self.around.rng.uniform(0.3, 1.0)
            delay *= self.around.clockwork.pace
            self.after(delay, self._dial, other, attempt)

    def _dial(self, other: SimNode, attempt: int) -> None:
        self._dialling.discard(other.index)
        if other.index in self.linked or other.key not in self.book.trusted:
            return
        network = self.around.network
        if other.serves_readers and network.can_dial(self.index, other.index):
            other.knock(self, self.book.admission_for_me())
        elif other.alive and network.can_dial(other.index, self.index):
            self.around.trace.count("dials refused one way")
        self._dial_later(other, min(attempt + 1, 10))

    def knock(self, caller: SimNode, shown: bytes | None) -> None:
        """Somebody wants a link and has proved its key; ``shown`` is the admit it brought."""
        if caller.key in self.book.trusted:
            self._connect(caller, caller.incarnation)
            return
        statement = read_statement(shown) if shown else None
        if statement and self.book.would_trust(caller.key, statement):
            self.commit_trust([statement], None, partial(self._connect, caller, caller.incarnation))

    def _connect(self, caller: SimNode, incarnation: int) -> None:
        network = self.around.network
        if caller.incarnation != incarnation or not network.can_dial(caller.index, self.index):
            return
        if not caller.serves_readers or self.index in caller.linked or caller.key not in self.book.trusted:
            return
        old = network.wires.get(self.linked.get(caller.index, 0))
        if old is not None:
            if not old.dead:
                return
            network.notice(old, old.end_of(self))
        wire = network.connect(caller, self)
        self.note(f"wire {wire.link} to n{caller.index} comes up")
        self.link_up(wire.link, caller)
        caller.link_up(wire.link, self)

    def link_up(self, link: Link, peer: SimNode) -> None:
        self.linked[peer.index] = link
        self.watcher.link_up(link)
        self.do(self.replicator.link_up(link, peer.key, self.now))

    def link_lost(self, link: Link) -> None:
        self.run_guarded(self._link_lost, (link,))

    def _link_lost(self, link: Link) -> None:
        self.note(f"sees wire {link} dead")
        self.linked = {index: number for index, number in self.linked.items() if number != link}
        self.watcher.link_down(link)
        self.do(self.replicator.link_down(link, self.now))
        self.watcher.follows_no(link)
        self.redial()

    def receive(self, link: Link, frame: Frame) -> None:
        self.run_guarded(self._receive, (link, frame))

    def _receive(self, link: Link, frame: Frame) -> None:
        if link not in self.linked.values():
            return
        self.note(f"<-{link} {self.around.names.frame(frame)}")
        if isinstance(frame, Entries):
            self.received.update(entry.id for entry in frame.entries)
        self.do(self.replicator.receive(link, frame, self.now))
        self.watcher.received(link)

    # -- trust ------------------------------------------------------------------------------------------

    def commit_trust(
        self, statements: Sequence[Statement], pin: Pin | None, then: partial[None] | None = None
    ) -> None:
        """A decision taken here: durable first, then believed and passed on."""

        def work() -> None:
            self.disk.rows.statements |= {item.id: item for item in statements}
            if pin:
                self.disk.rows.pins[pin.key] = pin

        def done(_: None) -> None:
            self.believe(statements, pin)
            if then:
                then()

        self.disk.submit(Job(work, self.guard(done), lambda: None))

    def insist(self, statements: Sequence[Statement]) -> None:
        """As ``commit_trust``, until the disk has it."""
        if not self.serves_readers or self.disk.refusing:
            self.around.clockwork.after(1.0, self.insist, statements)
            return
        self.commit_trust(statements, None)
        self.around.clockwork.after(2.0, self._see_it_kept, statements)

    def _see_it_kept(self, statements: Sequence[Statement]) -> None:
        if any(statement.id not in self.disk.rows.statements for statement in statements):
            self.insist(statements)

    def believe(self, statements: Sequence[Statement], pin: Pin | None) -> None:
        """These are durable now."""
        if pin:
            self.book.pin(pin)
        self.do(self.replicator.statements_committed(statements, None, self.now))
        self.let_go_of_strangers()
        self.redial()

    def let_go_of_strangers(self) -> None:
        """Who is trusted no more is linked no more, once what was just said is on its way."""
        for index, link in list(self.linked.items()):
            peer = self.around.nodes[index]
            wire = self.around.network.wires.get(link)
            if peer.key not in self.book.trusted and wire is not None and self.key not in self.around.revoked:
                self.note(f"ends its link with n{index}, which is trusted no more")
                self.after(0.2, self.around.network.kill, wire)

    # -- effects ----------------------------------------------------------------------------------------

    def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(link, frame):
                    self.watcher.says(link, frame)
                    self.send(link, frame)
                case Append():
                    self._append(effect)
                case AppendStatements():
                    self._append_statements(effect)
                case ReadLog():
                    self.after(self.around.rng.uniform(0.0002, 0.004), self._read, effect)
                case CheckFork() | CheckProof() | CheckAdoption() | ReadBranch() | Seek() | KeepOwn():
                    self.on_fork(effect)
                case Receipt(peer, epoch, seq):
                    self.watcher.receipt(peer, epoch, seq)
                case OwnLogReturned():
                    self.around.trace.count("own log returned")
                    self.writing.end_epoch("others hold more of this log")
                    self.marking.own_log_returned()
                case Hangup(link, code, reason):
                    self._hang_up(link, f"{code}: {reason}")
                case Alert(kind, subject, text):
                    self.watcher.alert(kind, subject, text)
                case ReadPlaces():
                    self.after(self.around.rng.uniform(0.0002, 0.004), self.redacting.read, effect)
                case Mended():
                    self.redacting.write_back(effect)
                case Settled() | OwnLogBehind() | InVain():
                    pass
                case _:
                    raise AssertionError(f"nobody carries out {effect}")
        at = self.replicator.wake_at()
        if at is not None and self._woken_at is None:
            self._woken_at = at
            self.after(max(0.0, at - self.now), self._wake)

    def send(self, link: Link, frame: Frame) -> None:
        self.around.network.send(link, self, frame)

    def _hang_up(self, link: Link, why: str) -> None:
        self.watcher.hangup(link, why)
        wire = self.around.network.wires.get(link)
        if wire is not None:
            self.around.network.kill(wire)

    def _append(self, effect: Append) -> None:
        replicator = self.replicator

        def work() -> None:
            if replicator.doomed(effect.batch):
                raise RefusedError("an earlier batch was discarded")
            if self.disk.full:
                raise RefusedError("the disk is full")
            self.disk.rows.append(effect.entries)
            self.marking.fold(effect.entries)
            for entry in effect.entries:
                self.writing.clock.merge(entry.hlc, self.writing.wall_ms())

        def done(_: None) -> None:
            self.note(f"committed batch {effect.batch} {self.around.names.span(effect.entries)}")
            self.watcher.brought(effect.link, effect.entries)
            self.redacting.folded(effect.entries)
            self.do(replicator.committed(effect.batch, self.now))

        def lost() -> None:
            self.note(f"lost batch {effect.batch} {self.around.names.span(effect.entries)}")
            self.around.trace.count("appends discarded")
            self.do(replicator.discarded(effect.batch))

        self.disk.submit(Job(work, self.guard(done), self.guard(lost)))

    def _append_statements(self, effect: AppendStatements) -> None:
        statements = [read_statement(wire) for wire in effect.items]

        def work() -> None:
            self.disk.rows.statements |= {item.id: item for item in statements}

        def done(_: None) -> None:
            self.do(self.replicator.statements_committed(statements, effect.link, self.now))
            self.let_go_of_strangers()
            self.redial()

        def lost() -> None:
            self.replicator.gossip.discarded(effect.items)

        self.disk.submit(Job(work, self.guard(done), self.guard(lost)))

    def _read(self, effect: ReadLog) -> None:
        found = self.disk.rows.read_after(effect.author, effect.heads, self.around.knobs.page)
        self.do(self.replicator.log_read(effect.link, effect.author, effect.serial, *found))

    def on_fork(self, effect: CheckFork | CheckProof | CheckAdoption | ReadBranch | Seek | KeepOwn) -> None:
        """A look at the disk, then what follows from it."""
        self.after(self.around.rng.uniform(0.0002, 0.004), self.forking.carry_out, effect)

    # -- small things -------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.around.clockwork.now

    def note(self, line: str) -> None:
        self.around.trace.note(self.now, f"n{self.index} {line}")

    def after(self, delay: float, what: Callable[..., None], *args: Any) -> None:
        """Later, unless this process has ended by then."""
        self.around.clockwork.after(delay, self.guard(what), *args)

    def guard(self, what: Callable[..., None]) -> Callable[..., None]:
        """``what``, unless this process has ended by then; while it is stopped it waits."""
        incarnation = self.incarnation

        def run(*args: Any) -> None:
            if self.incarnation == incarnation:
                self.run_guarded(what, args)

        return run

    def run_guarded(self, what: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.alive:
            return
        if self._frozen is not None:
            self._frozen.append((what, args))
        else:
            what(*args)
