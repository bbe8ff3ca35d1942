"""How a simulated node writes its own log: epochs, stamps, the mark beside the key; as ``maw.node.authoring``.

When a new epoch is due is decided by the daemon's own rules (``why_new_epoch``, ``WakeDetector``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from maw.core.clock import HybridClock
from maw.core.colony import Open
from maw.core.entry import SALT_BYTES, START, Entry, Head, Kind, make, pack_payload
from maw.core.log import EPOCH_CHANCE_BITS, fresh_epoch
from maw.node.instance import Fingerprint, cursors_may_be_ahead, why_new_epoch
from maw.node.opening import SEQ_JUMP_BITS
from maw.node.waking import WakeDetector, WallJumped
from tests.simulation.disk import Job

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

WALL_START_S: Final = 1_700_000_000.0


@dataclass(slots=True)
class Home:
    """What lies beside the key and outlives a database; and the machine all of it stands on."""

    machine: int = 0
    boot: int = 0
    file: int = 0
    mark: tuple[int, int] = (0, 0)
    wall_ahead: float = 0.0
    """How far the wall clock is from true time, in seconds."""

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(f"b{self.boot}", f"m{self.machine}", f"f{self.file}")


class Writing:
    """One process's hand on its own log; made anew at each start."""

    def __init__(self, node: SimNode, gap: float = 0.0) -> None:
        """``gap``: seconds that went by in truth and not on the boot clock (a machine taken back to a snapshot)."""
        self._node = node
        self._detector = WakeDetector()
        self._rows = node.disk.rows
        self._posts = 0
        self._under_way = 0
        self._still: Callable[[], None] | None = None
        self._waiting: list[Callable[[], list[Entry]]] = []
        epochs = self._rows.epochs(node.key)
        log = self._rows.logs[node.key, epochs[-1]] if epochs else []
        self.clock = HybridClock(log[-1].hlc if log else 0)
        why = why_new_epoch(
            last=(epochs[-1], log[-1].head) if epochs else None,
            stored=self._rows.fingerprint,
            now=node.home.fingerprint,
            mark=node.home.mark,
            clock_fell=self.clock.has_fallen(self.wall_ms()),
        )
        now = node.around.clockwork.now
        self._detector.tick(now, now, self.wall_ms() / 1000 - gap)
        self._last_epoch = node.home.mark[0]
        self.new_epoch = why
        if why is not None and cursors_may_be_ahead(why):
            # by true time: that a clock set back by more than the time since the last such jump leaves cursors
            # ahead is known, and stands in docs/testing.md
            true_s = int(WALL_START_S + node.around.clockwork.now)
            self._rows.seq = max(self._rows.seq, true_s << SEQ_JUMP_BITS)

    def wall_ms(self) -> int:
        node = self._node
        return int((WALL_START_S + node.around.clockwork.now + node.home.wall_ahead) * 1000)

    def look_at_clocks(self) -> None:
        """Once a second and before each write: a wall clock that jumped against the boot clock ends the epoch."""
        now = self._node.around.clockwork.now
        for event in self._detector.tick(now, now, self.wall_ms() / 1000):
            if isinstance(event, WallJumped):
                self._node.around.trace.count("epochs after a clock jump")
                self.end_epoch("the clock jumped")

    def end_epoch(self, why: str) -> None:
        self.new_epoch = self.new_epoch or why

    def may_say(self) -> bool:
        """Counts why not."""
        node = self._node
        why = None
        if node.paused:
            why = "on a full disk"
        elif node.key in node.book.revoked:
            why = "to a revoked key"
        elif node.book.ruling.freezes.on(node.key, None, None) is not None:
            why = "under a freeze"
        if why is not None:
            node.around.trace.count(f"posts refused {why}")
        return why is None

    def post(self, count: int, size: int) -> None:
        """``count`` messages of ``size`` bytes; acknowledged when the disk has them."""
        if self.may_say():
            self.submit(partial(self._write, count, size))

    def submit(self, work: Callable[[], list[Entry]]) -> None:
        """Entries of our own: while a fork is ended they wait."""
        if self._still is not None:
            self._waiting.append(work)
            return
        self._under_way += 1
        node = self._node
        node.disk.submit(Job(work, node.guard(self._posted), node.guard(self._post_lost)))

    def _posted(self, entries: list[Entry]) -> None:
        if entries:
            self._node.posted(entries)
        self._landed()

    def _write(self, count: int, size: int) -> list[Entry]:
        contents: list[Mapping[str, object]] = []
        for _ in range(count):
            self._posts += 1
            contents.append({"n": self._posts, "text": "x" * size})
        return self.write(Kind.POST, contents)

    def write(self, kind: Kind, contents: Sequence[Mapping[str, object]]) -> list[Entry]:
        """Within a commit."""
        self.look_at_clocks()
        rows, me = self._rows, self._node.key
        made = self.begin_epoch() if self.new_epoch else []
        epoch = made[0].epoch if made else rows.epochs(me)[-1]
        head = made[0].head if made else rows.head(me, epoch)
        for content in contents:
            head = made[-1].head if made else head
            made.append(self.entry(epoch, head, kind, content))
        made = self._node.before_writing(made)
        rows.append(made)
        self.new_epoch = None
        return made

    def begin_epoch(
        self, adopts: tuple[tuple[int, int, bytes], ...] = (), again: int = 0, hlc: int | None = None
    ) -> list[Entry]:
        """Its open, not yet in the log; within a commit."""
        rows, me = self._rows, self._node.key
        epochs = rows.epochs(me)
        epoch = epochs[-1] if epochs else 0
        previous = (epoch, *rows.head(me, epoch)) if epoch else None
        if self.clock.has_fallen(self.wall_ms()):
            self.clock = HybridClock()
        said = Open(previous, b"", None, self.new_epoch or "a fork", adopts, again)
        rows.fingerprint = self._node.home.fingerprint.text()
        return [self.entry(self._fresh(epoch), START, Kind.OPEN, said.content(), hlc)]

    def write_on_disk(self, count: int, size: int) -> list[Entry]:
        """Before the run begins: its first entries, with nobody told."""
        return self._write(count, size)

    # -- while a fork is ended --------------------------------------------------------------------------

    def when_still(self, then: Callable[[], None]) -> None:
        """``then`` as soon as nothing is being written; what is said from now on waits for ``go_on``."""
        self._still = then
        if not self._under_way:
            then()

    def go_on(self) -> None:
        self._still = None
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            if self.may_say():
                self.submit(work)

    def _landed(self) -> None:
        self._under_way -= 1
        if self._still is not None and not self._under_way:
            self._still()

    def _fresh(self, epoch: int) -> int:
        chance = self._node.around.rng.getrandbits(EPOCH_CHANCE_BITS)
        return fresh_epoch(max(epoch, self._last_epoch), self.wall_ms(), chance)

    def entry(
        self, epoch: int, head: Head, kind: Kind, content: Mapping[str, object], hlc: int | None = None
    ) -> Entry:
        node = self._node
        salt = node.around.rng.randbytes(SALT_BYTES)
        stamp = self.clock.tick(self.wall_ms()) if hlc is None else hlc
        return make(node.signer, node.around.colony, epoch, head, stamp, kind, pack_payload(salt, content))

    def _post_lost(self) -> None:
        self.end_epoch("a commit failed")
        self._landed()
