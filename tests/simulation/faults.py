"""What befalls the nodes of a run, when, and how it ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from maw.core.freezing import NODE, Target, freeze_statement, thaw_statement
from maw.core.redaction import redaction_statement
from maw.core.revocation import revocation_statement
from maw.core.statement import Statement
from tests.simulation.disk import CRASH_POINTS, Rows
from tests.simulation.node import SimNode, Surroundings
from tests.simulation.writing import WALL_START_S, Home

DAY_S = 86_400.0
SLOW_PACE = 40.0
ONCE = frozenset({"apart", "revoked", "freeze"})
JUMPS_S = (-8 * 3600.0, -3600.0, -100.0, 100.0, 3600.0, 8 * 3600.0)


class Faults:
    """Each method is one fault happening once, to somebody."""

    def __init__(self, around: Surroundings, rng: random.Random) -> None:
        self._around = around
        self._nodes = around.nodes
        self._knobs = around.knobs
        self._rng = rng
        self._later = around.clockwork.after

    def plan(self, start: float) -> None:
        """Everything is planned within the knobs' span."""
        knobs, rng = self._knobs, self._rng
        for fault, befall in self._all().items():
            if knobs.has(fault):
                most = 3 if fault in knobs.hostile or len(self._nodes) < 6 else 3 + len(self._nodes) // 2
                most = 1 if fault in ONCE else most
                for _ in range(rng.randint(1, most)):
                    self._around.clockwork.at(start + rng.uniform(0, knobs.span), befall)

    def _all(self) -> dict[str, Callable[[], None]]:
        return {
            "link_loss": self.lose_link,
            "partition": self.part,
            "one_way": self.part_one_way,
            "apart": self.part_for_a_day,
            "revoked": self.revoke,
            "freeze": self.freeze_by_word,
            "redacted": self.redact,
            "censor": self.redact_anothers,
            "crash": partial(self.crash, power=False),
            **{point: partial(self.crash_around_commit, point) for point in CRASH_POINTS},
            "power_cut": partial(self.crash, power=True),
            "frozen": self.freeze,
            "disk_refuses": self.refuse,
            "disk_full": self.fill,
            "slow_disk": self.slow_disk,
            "restored": self.restore,
            "deleted": self.delete,
            "copied": self.copy,
            "snapshot": self.snapshot,
            "forked": partial(self.snapshot, unseen=True),
            "clock_jump": self.jump_clock,
        }

    # -- the network ----------------------------------------------------------------------------------------

    def lose_link(self) -> None:
        if living := self._around.network.living():
            self._around.network.kill(self._rng.choice(living))

    def _groups(self) -> tuple[set[int], set[int]]:
        size = self._rng.randint(1, max(1, self._knobs.nodes // 2))
        one = set(self._rng.sample(range(self._knobs.nodes), size))
        return one, set(range(self._knobs.nodes)) - one

    def part(self) -> None:
        one, other = self._groups()
        self.cut_off({(a, b) for a in one for b in other} | {(b, a) for a in one for b in other})

    def part_one_way(self) -> None:
        one, other = self._groups()
        self.cut_off({(a, b) for a in one for b in other})

    def part_for_a_day(self) -> None:
        """Two halves hear nothing of each other for a day, on which each goes on."""
        one, other = self._groups()
        clockwork = self._around.clockwork
        self._around.trace.count("hours that two halves were apart", int(DAY_S // 3600))
        self.cut_off({(a, b) for a in one for b in other} | {(b, a) for a in one for b in other}, DAY_S)
        begin = self._knobs.span + 15.0
        self._later(begin, setattr, clockwork, "pace", SLOW_PACE)
        self._later(DAY_S - begin, setattr, clockwork, "pace", 1.0)
        for _ in range(self._rng.randint(4, 12)):
            node = self._rng.choice(self._nodes)
            self._later(self._rng.uniform(0, DAY_S), node.post, 1, 50)
        for _ in range(self._rng.randint(0, 8)):
            self._later(self._rng.uniform(0, DAY_S), partial(self.crash, power=True))

    def cut_off(self, directions: set[tuple[int, int]], seconds: float | None = None) -> None:
        """Nobody reaches anybody in these directions (from, to), for a while."""
        network = self._around.network
        fresh = directions - network.cut
        network.cut |= fresh
        for wire in network.living():
            if (wire.ends[0].node.index, wire.ends[1].node.index) in fresh:
                self._around.trace.count("links cut by a partition")
                network.kill(wire)
        seconds = self._rng.uniform(0.2, 6) if seconds is None else seconds
        self._later(seconds, network.cut.difference_update, fresh)

    # -- processes --------------------------------------------------------------------------------------------

    def crash(self, *, power: bool) -> None:
        node = self._rng.choice(self._nodes)
        if node.alive:
            if power:
                self._around.trace.count("power cuts")
            node.crash(power=power)
            self._later(self._rng.uniform(0.05, 5), self.start, node)

    def crash_around_commit(self, point: str) -> None:
        """Falls over at this point of its next commit."""
        node = self._rng.choice(self._nodes)
        node.disk.crash_at = point
        node.disk.fall_over = partial(self._fall_over, node)

    def _fall_over(self, node: SimNode) -> None:
        if node.alive:
            node.crash(power=self._knobs.has("power_cut"))
            self._later(self._rng.uniform(0.05, 5), self.start, node)

    def start(self, node: SimNode) -> None:
        if not node.alive:
            node.start()

    def freeze(self) -> None:
        node = self._rng.choice(self._nodes)
        node.freeze()
        self._later(self._rng.choice((0.3, 3.0, 11.0)), node.thaw)

    # -- disks ------------------------------------------------------------------------------------------------

    def refuse(self) -> None:
        disk = self._rng.choice(self._nodes).disk
        if self._rng.random() < 0.5:
            disk.refuse_one = True
            return
        disk.refusing = True
        self._later(self._rng.choice((0.05, 1.0, 4.0)), setattr, disk, "refusing", False)

    def fill(self) -> None:
        disk = self._rng.choice(self._nodes).disk
        disk.full = True
        self._later(self._rng.uniform(1, 8), setattr, disk, "full", False)

    def slow_disk(self) -> None:
        disk = self._rng.choice(self._nodes).disk
        disk.slowness = self._rng.choice((10.0, 100.0))
        self._later(self._rng.uniform(0.5, 4), setattr, disk, "slowness", 1.0)

    # -- time travel --------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """A copy of the database replaces it some time later; what lies beside the key stays."""
        node = self._rng.choice(self._nodes)
        self._later(self._rng.uniform(0.1, 3), self._put_back, node, node.disk.rows.copy(), node.disasters)

    def _put_back(self, node: SimNode, copy: Rows, disasters: int) -> None:
        if self._is_of_its_past(node, disasters):
            # a copy written into the same file is told by the mark beside the key, which knows our own log only
            epoch = max(copy.epochs(node.key), default=0)
            told = (epoch, copy.head(node.key, epoch).seq) < node.home.mark
            if not told or self._rng.random() < 0.5:
                node.home.file += 1
            self._replace(node, copy, "entries lost by a restored database")

    def _is_of_its_past(self, node: SimNode, disasters: int) -> bool:
        """Copies go back to where a node has been, not to what it would have been without another disaster."""
        return node.alive and node.disasters == disasters

    def delete(self) -> None:
        node = self._rng.choice(self._nodes)
        if node.alive:
            node.home.file += 1
            self._replace(node, Rows(), "entries lost by a deleted database")

    def copy(self) -> None:
        """Another machine goes on with an old copy of the directory, later the first one again."""
        node = self._rng.choice(self._nodes)
        copy = node.disk.rows.copy()
        if copy.epochs(node.key):  # else it has not even begun
            self._later(
                self._rng.uniform(0.1, 3), self._take_over, node, copy, node.home.mark, node.disasters
            )

    def _take_over(self, node: SimNode, copy: Rows, mark: tuple[int, int], disasters: int) -> None:
        """The agents go along with their cursors; those of the first machine wait there for its return."""
        if not self._is_of_its_past(node, disasters):
            return
        first, left = node.home, (node.disk.rows, node.reader.cursor)
        node.home = replace(first, machine=first.machine + 1000, mark=mark)
        self._replace(node, copy, "entries lost by an old copy of a directory")
        self._later(self._rng.uniform(2, 5), self._come_back, node, first, *left)

    def _come_back(self, node: SimNode, first: Home, rows: Rows, cursor: int) -> None:
        if node.alive:
            node.home, node.reader.cursor = first, cursor
            self._replace(node, rows, "entries lost by an old copy of a directory")

    def snapshot(self, *, unseen: bool = False) -> None:
        """A virtual machine goes back to an old image of itself: disk, mark, boot id, its agents with their
        cursors, all but true time. ``unseen``: its clocks do not show it either, so it goes on with its log where
        others hold more of it already, and forks it."""
        node = self._rng.choice(self._nodes)
        now = self._around.clockwork.now
        left = (node.disk.rows.copy(), replace(node.home), now, node.reader.cursor, node.disasters)
        self._later(self._rng.uniform(2.5, 6), self._roll_back, node, *left, unseen)

    def _roll_back(
        self, node: SimNode, rows: Rows, home: Home, taken: float, cursor: int, disasters: int, unseen: bool
    ) -> None:
        if self._is_of_its_past(node, disasters):
            node.reader.cursor = cursor
            node.home = replace(home, wall_ahead=node.home.wall_ahead)
            gap = 0.0 if unseen else self._around.clockwork.now - taken
            self._replace(node, rows, "entries lost by an old snapshot of a machine", resumed=gap)
            if (
                unseen and self._rng.random() < 0.5
            ):  # one half hears the new branch while the other has the old
                one, other = self._groups()
                self.cut_off({(a, b) for a in one for b in other} | {(b, a) for a in one for b in other})

    def _replace(self, node: SimNode, rows: Rows, what: str, *, resumed: float | None = None) -> None:
        """Another database lies here. Trust decided on this host comes back from the copy beside the key."""
        around, now = self._around, self._around.clockwork.now
        node.crash()
        old = node.disk.rows
        rows.statements, rows.pins, rows.used, rows.joining = old.statements, old.pins, old.used, old.joining
        lost = {entry.id for entry in old.visible} - {entry.id for entry in rows.visible}
        node.disk.replace(rows)
        node.disasters += 1
        node.reader.database_replaced()
        around.trace.count(what, len(lost))
        around.trace.note(now, f"n{node.index}: {what}: {len(lost)}")
        # who is going to be revoked gives nothing back
        staying = [o for o in around.honest if not (self._knobs.has("revoked") and o is self._nodes[-1])]
        elsewhere = {around.root(e.id) for other in staying for e in other.disk.rows.visible}
        for entry_id in {around.root(entry_id) for entry_id in lost} - elsewhere:
            around.acknowledged.pop(entry_id, None)
        if resumed is None:
            # cursors go on from the wall clock's seconds: two disasters within one would meet the same numbers
            self._later(self._rng.uniform(1.1, 3), self.start, node)
            if self._knobs.has("disk_refuses"):  # and what it is given back is refused once
                self._later(self._rng.uniform(1.1, 4), setattr, node.disk, "refuse_one", True)
        else:
            node.start(slept_unknowing=resumed)
            node.writing.look_at_clocks()  # a crash within the second before it looks would hide the jump

    # -- the operators' word --------------------------------------------------------------------------------

    def revoke(self) -> None:
        """The last node's key is revoked, on a host that holds some of its log; what is above that is void."""
        gone = self._nodes[-1]
        node = self._rng.choice(self._nodes[:-1])
        if not node.serves_readers:
            self._later(1.0, self.revoke)
            return
        around = self._around
        heads = node.disk.rows.heads().get(gone.key, {})
        word = revocation_statement(
            around.operator, around.colony, gone.key, heads, (), "stolen", self._now_ms()
        )
        around.revoked[gone.key] = dict(heads)
        around.trace.note(
            around.clockwork.now, f"n{node.index} revokes n{gone.index} from {len(heads)} epochs on"
        )
        around.trace.count("nodes locked out by a revocation")
        node.insist([word])

    def freeze_by_word(self) -> None:
        """A node is told to be silent, and later that it may speak; each by an operator on some host."""
        target = Target(NODE, node=self._rng.choice(self._nodes).key)
        around = self._around
        word = freeze_statement(around.operator, around.colony, target, "drill", self._now_ms())
        self._rng.choice(self._around.honest).insist([word])
        if self._rng.random() < 0.7:
            self._later(self._rng.uniform(1, 8), self._thaw, word)

    def _thaw(self, word: Statement) -> None:
        around = self._around
        lifted = thaw_statement(around.operator, around.colony, [word.id], self._now_ms())
        self._rng.choice(around.honest).insist([lifted])

    def _now_ms(self) -> int:
        return int((WALL_START_S + self._around.clockwork.now) * 1000)

    # -- words taken back -------------------------------------------------------------------------------------

    def redact(self) -> None:
        """By who said it, or by an operator on any host; he may speak of what is to come, too."""
        staying = [
            o for o in self._around.honest if not (self._knobs.has("revoked") and o is self._nodes[-1])
        ]
        author, host = self._rng.choice(staying), self._rng.choice(staying)
        if self._rng.random() < 0.7:
            if author.serves_readers:
                author.redacting.redact()
            return
        logs = [(place, log) for place, log in host.disk.rows.logs.items() if place[0] == author.key]
        if not logs:
            return
        (_, epoch), log = self._rng.choice(logs)
        first = self._rng.randint(1, len(log))
        ranges = ((first, first + self._rng.choice((0, 0, 1, 5))),)
        around, at = self._around, self._now_ms()
        word = redaction_statement(around.operator, around.colony, author.key, epoch, ranges, "drill", at)
        host.insist([word])

    def redact_anothers(self) -> None:
        """The hostile node rules over words that are not its own."""
        self._nodes[-1].redacting.redact_anothers(self._rng.choice(self._around.honest).key)

    # -- clocks -------------------------------------------------------------------------------------------------

    def jump_clock(self) -> None:
        for node in self._rng.sample(self._nodes, self._rng.randint(1, 2)):
            jumps = self._rng.choice((1, 1, 6))  # a clock that two sources pull at jumps again and again
            for at in range(jumps):
                self._later(1.1 * at, self._jump, node.home, self._rng.choice(JUMPS_S))

    def _jump(self, home: Home, by: float) -> None:
        home.wall_ahead += by

    # -- the end ------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        self._around.trace.note(self._around.clockwork.now, "healing")
        self._around.agents_rest = True
        self._around.network.cut.clear()
        for node in self._nodes:
            node.disk.refusing = node.disk.refuse_one = node.disk.full = False
            node.disk.crash_at = None
            node.disk.slowness = 1.0
            node.thaw()
            self.start(node)
