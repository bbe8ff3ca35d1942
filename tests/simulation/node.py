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
    CheckFork,
    Effect,
    Hangup,
    Link,
    OwnLogReturned,
    ReadLog,
    Receipt,
    Send,
)
from maw.core.entry import SALT_BYTES, START, Entry, Kind, Position, make, pack_payload
from maw.core.frames import Entries, Frame, Have
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, Signer
from maw.core.replication import Replicator
from maw.core.serving import MAX_READS
from maw.core.statement import Statement, read_statement
from maw.core.trust import Pin, TrustBook
from tests.simulation.clockwork import Clockwork
from tests.simulation.disk import Disk, Job, RefusedError
from tests.simulation.knobs import Knobs
from tests.simulation.network import Network
from tests.simulation.trace import Names, Trace, Violation

TICK_S = 1.0
BIGGEST = 61_000
BIG = 600
"""Bytes of the biggest entry there is in a run, with and without the fault ``big``."""
BACKOFF_S = 0.2
BACKOFF_MAX_S = 4.0


@dataclass(slots=True)
class Surroundings:
    """What all nodes of a run share."""

    knobs: Knobs
    clockwork: Clockwork
    network: Network
    trace: Trace
    rng: random.Random
    colony: bytes
    names: Names = field(default_factory=Names)
    nodes: list[SimNode] = field(default_factory=list)
    acknowledged: dict[Position, bytes] = field(default_factory=dict)
    by_key: dict[NodeId, SimNode] = field(default_factory=dict)


class SimNode:
    """A daemon in the small. ``alive`` is False between a crash and the restart."""

    def __init__(self, around: Surroundings, index: int, signer: Signer) -> None:
        self.around = around
        self.index = index
        self.signer = signer
        self.key = signer.node
        self.disk = Disk(around.clockwork, around.trace, around.rng, f"n{index}", around.knobs.commit)
        self.alive = False
        self.incarnation = 0
        self.linked: dict[int, Link] = {}
        self.received: Counter[bytes] = Counter()
        self._dialling: set[int] = set()
        self._named: dict[Link, dict[int, tuple[NodeId, int]]] = {}
        self._brought: dict[Link, set[bytes]] = {}
        self._woken_at: float | None = None
        self._new_epoch = True
        self._posts = 0
        self.book = TrustBook(self.key, around.colony)
        self.replicator = Replicator(self.key, self.book, HeldLogs({}))

    # -- life -----------------------------------------------------------------------------------------

    def start(self, *, new_epoch: bool) -> None:
        """Everything in memory is made anew from what is on the disk."""
        rows = self.disk.rows
        self.alive = True
        self.incarnation += 1
        self._new_epoch = new_epoch or rows.epoch_due or not rows.epochs(self.key)
        self.book = TrustBook(self.key, self.around.colony, rows.statements.values(), rows.pins.values())
        held = HeldLogs(rows.heads())
        self.replicator = Replicator(self.key, self.book, held, credit=self.around.knobs.credit)
        self._note(f"starts, incarnation {self.incarnation}")
        self.do(self.replicator.start(self._now))
        self._at(self.around.rng.uniform(0, TICK_S), self._tick_on)
        self.redial()

    def crash(self) -> None:
        """kill -9, or the power: memory, queue and connections are gone."""
        self._note("crashes")
        self.alive = False
        self.incarnation += 1
        self.disk.crash()
        for wire in list(self.around.network.wires.values()):
            if any(end.node is self and end.up for end in wire.ends):
                wire.end_of(self).up = False
                self.around.network.kill(wire)
        self.linked.clear()
        self._dialling.clear()
        self._named.clear()
        self._brought.clear()
        self._woken_at = None

    def _tick_on(self) -> None:
        self.do(self.replicator.tick(self._now))
        self._at(TICK_S, self._tick_on)

    def _wake(self) -> None:
        self._woken_at = None
        self.do(self.replicator.tick(self._now))

    # -- saying something -------------------------------------------------------------------------------

    def post(self, count: int, size: int) -> None:
        """``count`` messages of ``size`` bytes; acknowledged when the disk has them."""
        if self.alive:
            work = partial(self._write_posts, count, size)
            self.disk.submit(Job(work, self._guard(self._posted), self._guard(self._post_lost)))

    def _write_posts(self, count: int, size: int) -> list[Entry]:
        rows = self.disk.rows
        made: list[Entry] = []
        epochs = rows.epochs(self.key)
        epoch = epochs[-1] if epochs else 0
        head = rows.head(self.key, epoch) if epoch else START
        if self._new_epoch:
            previous = (epoch, *head) if epoch else None
            # below the milliseconds some random bits: an old database put back must not find the same number
            fresh = int(self._now * 1000) << 8 | self.around.rng.getrandbits(8)
            epoch, head = max(epoch + 1, fresh), START
            made.append(self._entry(epoch, head, Kind.OPEN, {"prev": previous}))
            self._new_epoch = rows.epoch_due = False
        for _ in range(count):
            self._posts += 1
            head = made[-1].head if made else head
            made.append(self._entry(epoch, head, Kind.POST, {"n": self._posts, "text": "x" * size}))
        rows.append(made)
        return made

    def _entry(self, epoch: int, head: tuple[int, bytes], kind: Kind, content: dict[str, object]) -> Entry:
        salt = self.around.rng.randbytes(SALT_BYTES)
        at = START._replace(seq=head[0], id=head[1])
        stamp = int(self._now * 1000) << 16
        return make(self.signer, self.around.colony, epoch, at, stamp, kind, pack_payload(salt, content))

    def _posted(self, entries: list[Entry]) -> None:
        self._note(f"posted {self.around.names.span(entries)}")
        for entry in entries:
            self.around.acknowledged[entry.position] = entry.id
        self.do(self.replicator.appended(entries, self._now))

    def _post_lost(self) -> None:
        self._new_epoch = True

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
            self._at(delay, self._dial, other, attempt)

    def _dial(self, other: SimNode, attempt: int) -> None:
        self._dialling.discard(other.index)
        if other.index in self.linked or other.key not in self.book.trusted:
            return
        network = self.around.network
        if other.alive and network.can_dial(self.index, other.index):
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
        if self.index in caller.linked or caller.key not in self.book.trusted:
            return
        old = network.wires.get(self.linked.get(caller.index, 0))
        if old is not None:
            if not old.dead:
                return
            network.notice(old, old.end_of(self))
        wire = network.connect(caller, self)
        self._note(f"wire {wire.link} to n{caller.index} comes up")
        self.link_up(wire.link, caller)
        caller.link_up(wire.link, self)

    def link_up(self, link: Link, peer: SimNode) -> None:
        self.linked[peer.index] = link
        self._named[link] = {}
        self._brought[link] = set()
        self.do(self.replicator.link_up(link, peer.key, self._now))

    def link_lost(self, link: Link) -> None:
        self._note(f"sees wire {link} dead")
        self.linked = {index: number for index, number in self.linked.items() if number != link}
        self._named.pop(link, None)
        self._brought.pop(link, None)
        self.do(self.replicator.link_down(link, self._now))
        for author in self.around.by_key:
            if self.replicator.followed.through(author) == link:
                raise Violation(f"n{self.index} follows n{self.around.names.of[author]} through a dead link")
        self.redial()

    def receive(self, link: Link, frame: Frame) -> None:
        self._note(f"<-{link} {self.around.names.frame(frame)}")
        if isinstance(frame, Entries):
            self.received.update(entry.id for entry in frame.entries)
        self.do(self.replicator.receive(link, frame, self._now))
        if self.replicator.followed.doubts:
            raise Violation(f"n{self.index} was sent a gap or a contradiction on link {link}")

    def jump_clock(self) -> None:
        """The wall clock jumped against the boot clock: the next write opens an epoch."""
        if self.alive:
            self.around.trace.count("epochs after a clock jump")
            self._new_epoch = True

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

        self.disk.submit(Job(work, self._guard(done), lambda: None))

    def believe(self, statements: Sequence[Statement], pin: Pin | None) -> None:
        """These are durable now."""
        if pin:
            self.book.pin(pin)
        self.do(self.replicator.statements_committed(statements, None, self._now))
        self.redial()

    # -- effects ----------------------------------------------------------------------------------------

    def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(link, frame):
                    self._check_said(link, frame)
                    self.around.network.send(link, self, frame)
                case Append():
                    self._append(effect)
                case AppendStatements():
                    self._append_statements(effect)
                case ReadLog():
                    self._at(self.around.rng.uniform(0.0002, 0.004), self._read, effect)
                case CheckFork():
                    self._check_fork(effect)
                case Receipt(peer, epoch, seq):
                    self._check_receipt(peer, epoch, seq)
                case OwnLogReturned():
                    self.around.trace.count("own log returned")
                    self._new_epoch = True
                case Hangup(link, code, reason):
                    raise Violation(f"n{self.index} hangs up on link {link}: {code}: {reason}")
                case Alert(kind, subject, text):
                    raise Violation(f"n{self.index} raises an alert: {kind} {subject}: {text}")
        at = self.replicator.wake_at()
        if at is not None and self._woken_at is None:
            self._woken_at = at
            self._at(max(0.0, at - self._now), self._wake)

    def _append(self, effect: Append) -> None:
        replicator = self.replicator

        def work() -> None:
            if replicator.doomed(effect.batch):
                raise RefusedError("an earlier batch was discarded")
            self.disk.rows.append(effect.entries)

        def done(_: None) -> None:
            self._note(f"committed batch {effect.batch} {self.around.names.span(effect.entries)}")
            if effect.link in self._brought:
                self._brought[effect.link] |= {entry.id for entry in effect.entries}
            self.do(replicator.committed(effect.batch, self._now))

        def lost() -> None:
            self._note(f"lost batch {effect.batch} {self.around.names.span(effect.entries)}")
            self.around.trace.count("appends discarded")
            self.do(replicator.discarded(effect.batch))

        self.disk.submit(Job(work, self._guard(done), self._guard(lost)))

    def _append_statements(self, effect: AppendStatements) -> None:
        statements = [read_statement(wire) for wire in effect.items]

        def work() -> None:
            self.disk.rows.statements |= {item.id: item for item in statements}

        def done(_: None) -> None:
            self.do(self.replicator.statements_committed(statements, effect.link, self._now))
            self.redial()

        def lost() -> None:
            self.replicator.gossip.discarded(effect.items)

        self.disk.submit(Job(work, self._guard(done), self._guard(lost)))

    def _read(self, effect: ReadLog) -> None:
        found = self.disk.rows.read_after(effect.author, effect.heads, self.around.knobs.page)
        self.do(self.replicator.log_read(effect.link, effect.author, effect.serial, *found))

    def _check_fork(self, effect: CheckFork) -> None:
        ours = self.disk.rows.logs.get((effect.author, effect.epoch), [])
        if any(e.seq <= len(ours) and ours[e.seq - 1].id != e.id for e in effect.entries):
            self.do(self.replicator.disputed(effect.author, effect.epoch))

    # -- what must hold at every moment --------------------------------------------------------------------

    def _check_said(self, link: Link, frame: Frame) -> None:
        """Nothing is sent or announced that a power cut could take back."""
        rows = self.disk.rows
        if isinstance(frame, Entries):
            knobs = self.around.knobs
            allowed = -MAX_READS * (knobs.page + (BIGGEST if knobs.has("big") else BIG))
            if self.replicator.serving.credit_of(link) < allowed:
                raise Violation(f"n{self.index} sends on link {link} far beyond its credit")
            if any(entry.id in self._brought[link] for entry in frame.entries):
                raise Violation(f"n{self.index} sends back on link {link} what came from there")
            for entry in frame.entries:
                log = rows.logs.get((entry.author, entry.epoch), [])
                if len(log) < entry.seq or log[entry.seq - 1].id != entry.id:
                    raise Violation(f"n{self.index} sends {entry.epoch}:{entry.seq} before it is durable")
        elif isinstance(frame, Have):
            named = self._named[link]
            named.update({name.number: (name.author, name.epoch) for name in frame.names})
            for held in frame.heads:
                if rows.head(*named[held.number]).seq < held.head.seq:
                    raise Violation(f"n{self.index} announces {held.head.seq} before it is durable")

    def _check_receipt(self, peer: NodeId, epoch: int, seq: int) -> None:
        if self.around.by_key[peer].disk.high.get((self.key, epoch), 0) < seq:
            raise Violation(f"n{self.index} has a receipt from a peer that does not hold {epoch}:{seq}")

    # -- small things -------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self.around.clockwork.now

    def _note(self, line: str) -> None:
        self.around.trace.note(self._now, f"n{self.index} {line}")

    def _at(self, delay: float, what: Callable[..., None], *args: Any) -> None:
        """Later, unless this process has ended by then."""
        self.around.clockwork.after(delay, self._guard(what), *args)

    def _guard(self, what: Callable[..., None]) -> Callable[..., None]:
        incarnation = self.incarnation

        def run(*args: Any) -> None:
            if self.alive and self.incarnation == incarnation:
                what(*args)

        return run
