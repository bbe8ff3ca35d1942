"""What agents make of messages for them, and what their authors hear of it; as ``maw.node.marking``,
``maw.node.reporting`` and ``maw.store.progress``.

Every message is for the agent of one other node, which its id draws. That agent is shown it, reads and settles it, now
and then, after it became visible there; what is told is gathered and read by the daemon's own ``maw.core.progress``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.progress import Group, Mark, Progress, gather
from maw.core.states import ACKED, MARKS
from tests.simulation.disk import Job
from tests.simulation.trace import Violation

if TYPE_CHECKING:
    from tests.simulation.node import SimNode, Surroundings

SHARE: Final = 0.3
"""Of the messages that wait for an agent, he looks at so many each time."""
LIED: Final = "marks of others' agents, told by a liar"
LIES: Final = 60
"""So many are told in a run: who lies on is never silent."""
AGENT: Final = slice(0, 16)
"""Of a node's key: the id of its agent."""


def recipient(around: Surroundings, entry: Entry) -> SimNode:
    """Whose agent this message is for; said again it is for the same."""
    return around.nodes[around.root(entry.id)[0] % len(around.nodes)]


class Marking:
    """One process's hand on the marks; made anew at each start."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._rows = node.disk.rows
        self._returned = True

    # -- the agent ----------------------------------------------------------------------------------------

    def poll(self) -> None:
        """The agent looks: some of what waits for him gets further."""
        around = self._node.around
        if not around.knobs.has("marked") or around.agents_rest:
            return
        for entry in list(self._mailbox()):
            rank = self._rows.marks.get(entry.id, 0)
            if rank < len(MARKS) and around.marking.random() < SHARE:
                self.mark(entry, around.marking.randint(rank + 1, len(MARKS)))

    def _mailbox(self) -> Iterator[Entry]:
        node = self._node
        return (
            entry
            for entry in self._rows.visible
            if entry.kind == Kind.POST
            and entry.payload is not None
            and entry.author != node.key
            and recipient(node.around, entry) is node
        )

    def mark(self, entry: Entry, rank: int) -> None:
        """It got so far, once the disk has it."""
        node = self._node

        def work() -> None:
            rows = self._rows
            if rows.marks.get(entry.id, 0) < rank and any(one.id == entry.id for one in rows.visible):
                rows.marks[entry.id] = rows.untold[entry.id] = rank
                rows.fresh_marks.append((node.around.root(entry.id), rank))

        node.disk.submit(Job(work, node.guard(lambda _: None), node.guard(lambda: None)))

    # -- telling authors ----------------------------------------------------------------------------------

    def tell(self) -> None:
        """Once a second."""
        node = self._node
        if self._returned and self._rows.ahead:
            self._look_again()
        if self._rows.untold and not node.paused and node.key not in node.book.revoked:
            node.writing.submit(self._write)
        if node.hostile and node.around.knobs.has("marked"):
            self._lie()

    def _write(self) -> list[Entry]:
        due = {entry.id: self._rows.untold[entry.id] for entry in self._due()}
        progress, marks = gather(self._mark(entry) for entry in self._due())
        if not marks:
            self._rows.untold.clear()  # of branches that gave way
            return []
        made = self._node.writing.write(Kind.PROGRESS, [progress.content()])
        for mark in marks:
            if self._rows.untold.get(mark.id) == due[mark.id]:
                del self._rows.untold[mark.id]
        return made

    def _due(self) -> list[Entry]:
        return [entry for entry in self._rows.visible if entry.id in self._rows.untold]

    def _mark(self, entry: Entry) -> Mark:
        state = MARKS[self._rows.untold[entry.id] - 1]
        at = self._node.writing.wall_ms()
        return Mark(*entry.position, entry.id, self._node.key[AGENT], state, at, "inbox")

    def _lie(self) -> None:
        """Of messages for others, and of its own that it never saw: nobody is to believe the first."""
        node, rng = self._node, self._node.around.marking
        posts = [
            entry for entry in self._rows.visible if entry.kind == Kind.POST and entry.author != node.key
        ]
        told = node.around.trace.counts[LIED]
        if (
            not posts
            or rng.random() < 0.7
            or told > LIES
            or node.around.agents_rest
            or not node.writing.may_say()
        ):
            return
        some = rng.sample(posts, min(len(posts), 5))
        agent = rng.choice(node.around.nodes).key[AGENT]
        progress, _ = gather(Mark(*entry.position, entry.id, agent, ACKED, 0, "") for entry in some)
        node.writing.submit(lambda: node.writing.write(Kind.PROGRESS, [progress.content()]))
        node.around.trace.count(LIED, len(some))

    # -- what is told of our own ----------------------------------------------------------------------------

    def own_log_returned(self) -> None:
        self._returned = True

    def fold(self, entries: Iterable[Entry]) -> None:
        """Within the commit that brings these."""
        for entry in entries:
            if entry.kind == Kind.PROGRESS and entry.author != self._node.key and not self._take(entry):
                self._rows.ahead.append(entry)

    def _look_again(self) -> None:
        self._returned = False
        node = self._node

        def work() -> None:
            waiting, self._rows.ahead = self._rows.ahead, []
            self.fold(waiting)

        node.disk.submit(Job(work, node.guard(lambda _: None), node.guard(self.own_log_returned)))

    def _take(self, entry: Entry) -> bool:
        """False: it speaks of what of our log is not here, and is to be looked into again."""
        try:
            progress = Progress.read(unpack_payload(entry.payload or b""))
        except ValueError:  # set aside
            return True
        me = self._node.key
        ours = {number for number, (author, *_) in enumerate(progress.logs) if author == me}
        heads = [(epoch, head) for author, epoch, head in progress.logs if author == me]
        if any(len(self._rows.logs.get((me, epoch), [])) < head.seq for epoch, head in heads):
            return False
        groups = [group for group in progress.groups if group.log in ours]
        return not [group for group in groups if not self._believe(entry, progress, group)]

    def _believe(self, entry: Entry, progress: Progress, group: Group) -> bool:
        around = self._node.around
        _, epoch, head = progress.logs[group.log]
        log: Sequence[Entry] = self._rows.logs[self._node.key, epoch]
        if group.agent != entry.author[AGENT]:
            return True
        if log[head.seq - 1].id != head.id:
            return False  # of another branch
        for seq in group.seqs():
            message = log[seq - 1]
            if message.kind != Kind.POST or message.payload is None:
                continue
            teller = around.by_key[entry.author]
            if recipient(around, message) is not teller:
                continue
            root, rank = around.root(message.id), MARKS.index(group.state) + 1
            if self._rows.progress.get(root, 0) < rank:
                self._rows.progress[root] = rank
                around.trace.count("marks that authors heard of")
                if not teller.hostile:
                    _check(self._node, teller, root, rank)
        return not any(log[seq - 1].position in self._rows.rules.missing for seq in group.seqs())


def _check(author: SimNode, teller: SimNode, root: bytes, rank: int) -> None:
    reached = teller.disk.high_marks.get(root, 0)
    if rank > reached:
        raise Violation(
            "ahead",
            f"n{author.index} heard from n{teller.index} that a message is {MARKS[rank - 1]}, and it was never"
            f" more than {('there', *MARKS)[reached]}",
        )
