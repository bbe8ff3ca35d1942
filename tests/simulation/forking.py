"""What the runtime does about forks: looks at the disk, notes disputes, takes the branch that counts; as
``maw.node.forking``, ``maw.node.reclaiming`` and ``maw.store.forks``. The rules are those of ``maw.core.forks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from maw.core.effects import CheckAdoption, CheckFork, CheckProof, Effect, KeepOwn, ReadBranch, Seek, Send
from maw.core.entry import START, Entry, Kind, unpack_payload
from maw.core.forks import Parting, Verdict, adoptions, common_end, compact, judge, ladder, where_they_part
from maw.core.frames import Fork, Locate, Proof
from maw.core.identity import NodeId
from tests.simulation.disk import Job, RefusedError, page_of
from tests.simulation.late import Late, adoption_of, came_late, lacking, runs_through, said_again, unsaid

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

PAUSE_S: Final = 5.0
"""Between two epochs that were opened to end a fork of our own."""
Place = tuple[NodeId, int]


class Forking:
    """One process's hand on forked logs; made anew at each start."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._rows = node.disk.rows
        self._busy = False
        self._not_before = 0.0

    def start(self) -> None:
        """What was disputed when the process ended is disputed still, unless its author has spoken since; and what
        he said may not have been carried out everywhere."""
        forks = self._node.replicator.forks
        for proof in self._rows.proofs.values():
            forks.disputed(proof)
        for (author, _), log in self._rows.logs.items():
            if said := adoptions(log[0]):
                forks.adopted(author, said)

    def carry_out(self, effect: CheckFork | CheckProof | CheckAdoption | ReadBranch | Seek | KeepOwn) -> None:
        match effect:
            case CheckFork():
                self._check_fork(effect)
            case CheckProof():
                self._check_proof(effect)
            case CheckAdoption():
                self._check_adoption(effect)
            case ReadBranch():
                self._answer(effect)
            case Seek():
                self._seek(effect)
            case KeepOwn():
                self._keep(effect)

    # -- what the disk knows ------------------------------------------------------------------------------

    def _run_from(self, place: Place, seq: int) -> Sequence[Entry]:
        log = self._rows.logs.get(place, [])
        return page_of(log, seq - 1, self._node.around.knobs.page) if seq <= len(log) else ()

    def _find_parting(self, place: Place, run: Sequence[Entry]) -> Parting | None:
        found = where_they_part(self._run_from(place, run[0].seq), run)
        if found is None:
            return None
        since, exact = found
        adoption = adoption_of(self._rows, *place)
        settled = adoption is not None and runs_through(self._rows, *place, adoption.head) is True
        return Parting(*place, since, exact, tuple(run[since - run[0].seq :]), adoption, settled)

    # -- contradictions -----------------------------------------------------------------------------------

    def _check_fork(self, effect: CheckFork) -> None:
        place = (effect.author, effect.epoch)
        if effect.author == self._node.key:
            late = came_late(self._rows, effect.author, effect.epoch, effect.entries)
            if late is not None:
                self._say_again(effect.epoch, late)
                return
        found = self._find_parting(place, effect.entries)
        if found is None:
            ours = self._run_from(place, effect.entries[0].seq)
            common = common_end(ours, effect.entries, self._rows.head(*place).seq)
            if common is not None:
                self._seek(Seek(effect.link, *place, common))
            return
        match judge(self._node.key, found):
            case Verdict.LOCATE:
                self._seek(Seek(effect.link, *place))
            case Verdict.TAKE:
                self._take(found)
            case Verdict.GATHER:
                node = self._node
                self._feed(node.replicator.forks.gather(effect.link, *place, found.run, node.now))
            case Verdict.RECLAIM:
                self._reclaim(found)
            case Verdict.DISPUTE:
                self._contradicted(effect, found)
            case Verdict.NOTHING:
                node, run = self._node, effect.entries
                if effect.author != node.key and lacking(run, said_again(self._rows, *place)[0]):
                    self._feed(node.replicator.show_author(*place, run, node.now, effect.link))

    def _contradicted(self, effect: CheckFork, found: Parting) -> None:
        place = (found.author, found.epoch)
        known = self._rows.proofs.get(place)
        ours, other = compact(self._run_from(place, found.since)), compact(found.run)
        if not ours or not other or (known and known.one[0].seq <= found.since):
            return
        self._dispute(Proof(*place, ours, other))
        if known:
            return
        shown = self._run_from(place, effect.entries[0].seq)
        self._node.do([Send(effect.link, Fork(*place, tuple(shown)))])
        if not found.exact:
            self._node.do(self._node.replicator.forks.narrow(effect.link, *place))

    def _dispute(self, proof: Proof) -> None:
        place, node = (proof.author, proof.epoch), self._node

        def work() -> None:
            self._rows.proofs[place] = proof

        def done(_: None) -> None:
            node.do(node.replicator.disputed(*place, proof))

        self._submit(work, done)

    def _check_proof(self, effect: CheckProof) -> None:
        node, place = self._node, (effect.author, effect.epoch)
        adoption = adoption_of(self._rows, *place)
        if adoption is not None and effect.one[0].seq <= adoption.head.seq:
            return
        if effect.author != node.key:
            self._dispute(Proof(*place, effect.one, effect.other))
            return
        for run in (effect.one, effect.other):
            if self._find_parting(place, run) is not None:
                node.do(node.replicator.forks.own_disputed(effect.epoch, run[0].seq, node.now))

    # -- the author's word --------------------------------------------------------------------------------

    def _check_adoption(self, effect: CheckAdoption) -> None:
        node, place = self._node, (effect.author, effect.epoch)
        if runs_through(self._rows, *place, effect.adoption.head) is False:
            node.do(node.replicator.forks.seek(*place, node.now))
        elif place in self._rows.proofs:

            def done(_: None) -> None:
                node.do(node.replicator.settled(*place, node.now))

            def lost() -> None:
                node.do(node.replicator.forks.postponed(*place, effect.adoption))

            self._submit(lambda: self._rows.proofs.pop(place, None), done, lost)

    def _take(self, found: Parting) -> None:
        """The branch that counts, for ours."""
        node, place = self._node, (found.author, found.epoch)
        page = node.around.knobs.page
        if shown := unsaid(self._rows, found.author, found.epoch, found.since, page):
            self._feed(node.replicator.show_author(*place, shown, node.now))
            return  # the next tick tries again

        def work() -> None:
            self._let_go(found)
            self._rows.append(found.run)
            node.marking.fold(found.run)
            self._rows.proofs.pop(place, None)

        def done(_: None) -> None:
            node.note(f"takes the branch {node.around.names.span(found.run)} that its author adopted")
            node.around.trace.count("branches given up for the one that counts")
            node.do(node.replicator.replaced(*place, found.since, found.run, node.now))

        self._submit(work, done)

    def _let_go(self, found: Parting) -> list[tuple[Entry, int | None]]:
        log = self._rows.logs[found.author, found.epoch]
        keep = log[found.since - 2].head if found.since > 1 else START
        if len(log) < found.since - 1 or keep.id != found.run[0].prev:
            raise RefusedError("the log has moved on meanwhile")
        lifted = self._rows.lift(
            (found.author, found.epoch), keep.seq, keep_shown=found.author == self._node.key
        )
        self._node.once |= {entry.id for entry, _ in lifted}
        self._node.disk.sync()
        return lifted

    # -- our own log --------------------------------------------------------------------------------------

    def _reclaim(self, found: Parting) -> None:
        """The others' branch for ours; what of ours it lacks is said again in a new epoch."""
        if self._node.replicator.own_is_coming(found.epoch) or not self._may():
            return
        node, writing = self._node, self._node.writing
        adopts = ((found.epoch, found.run[-1].seq, found.run[-1].id),)

        def work() -> list[Entry]:
            said, _ = said_again(self._rows, node.key, found.epoch)
            lifted = [
                (old, shown) for old, shown in self._let_go(found)
                if old.kind != Kind.OPEN and (shown is not None or (old.seq, old.id) not in said)
            ]  # fmt: skip
            self._rows.append(found.run)
            hlc = lifted[0][0].hlc if lifted else None
            made = writing.begin_epoch(adopts=adopts, again=1 + len(lifted), hlc=hlc)
            self._rows.append(made, self._publish_again(made, lifted))
            return made

        def done(made: list[Entry]) -> None:
            node.note(f"takes back {node.around.names.span(found.run)}, says again {len(made) - 1}")
            node.around.trace.count("forks of an honest log ended by its author")
            # rolled back to before this, and linked with nobody who has it, it would be said twice: testing.md, Open
            node.disasters += 1
            node.forked = True
            node.marking.own_log_returned()
            node.do(node.replicator.replaced(node.key, found.epoch, found.since, found.run, node.now))
            self._opened(made)

        self._write(work, done)

    def _publish_again(
        self, made: list[Entry], lifted: Sequence[tuple[Entry, int | None]]
    ) -> dict[bytes, int]:
        """In the epoch that ``made`` begins; where what is shown here already stays."""
        shown: dict[bytes, int] = {}
        for old, index in lifted:
            content: dict[str, Any] = unpack_payload(old.payload or b"")
            content["was"] = [old.epoch, old.seq, old.id]
            entry = self._node.writing.entry(made[-1].epoch, made[-1].head, Kind(old.kind), content, old.hlc)
            made.append(entry)
            self._node.around.said_again(old, entry)
            if index is not None:
                shown[entry.id] = index
        return shown

    def _say_again(self, epoch: int, late: Late) -> None:
        """A branch of our log that was not adopted comes back late, with what nobody else had."""
        if self._node.replicator.own_is_coming(epoch) or not self._may():
            return
        node = self._node
        lifted = [(entry, None) for entry in late.lost if entry.kind != Kind.OPEN]

        def work() -> list[Entry]:
            adopts = ((epoch, *late.head),)
            made = node.writing.begin_epoch(adopts=adopts, again=1 + len(lifted), hlc=lifted[0][0].hlc)
            self._rows.append(made, self._publish_again(made, lifted))
            return made

        def done(made: list[Entry]) -> None:
            node.note(f"says again {len(made) - 1} of a branch that came late")
            node.around.trace.count("branches that came late said again")
            node.disasters += 1
            self._opened(made)

        node.forked = True
        self._write(work, done)

    def _keep(self, effect: KeepOwn) -> None:
        """Nobody shows the other branch: ours counts."""
        if not self._may():
            return
        node, writing = self._node, self._node.writing

        def work() -> list[Entry]:
            log = self._rows.logs[node.key, effect.epoch]
            head = log[min(effect.since, len(log)) - 1].head
            made = writing.begin_epoch(adopts=((effect.epoch, *head),), again=1)
            self._rows.append(made)
            return made

        node.forked = True
        self._write(work, self._opened)

    def _opened(self, made: list[Entry]) -> None:
        self._node.writing.new_epoch = None
        self._node.posted(made)

    def _may(self) -> bool:
        return not self._busy and self._node.now >= self._not_before and not self._node.paused

    def _write(self, work: Callable[[], list[Entry]], done: Callable[[list[Entry]], None]) -> None:
        """While nothing else of ours is being written."""
        self._busy = True

        def over() -> None:
            self._busy = False
            self._not_before = self._node.now + PAUSE_S
            self._node.writing.go_on()

        def ended(made: list[Entry]) -> None:
            done(made)
            over()

        self._node.writing.when_still(lambda: self._submit(work, ended, over))

    # -- asking and answering -----------------------------------------------------------------------------

    def _seek(self, effect: Seek) -> None:
        log = self._rows.logs.get((effect.author, effect.epoch), [])
        heads = [log[seq - 1].head for seq in ladder(len(log))]
        if effect.common is not None:
            heads = [effect.common, *(head for head in heads if head.seq < effect.common.seq)]
        self._feed([Send(effect.link, Locate(effect.author, effect.epoch, tuple(heads)))])

    def _answer(self, effect: ReadBranch) -> None:
        place = (effect.author, effect.epoch)
        common = next(
            (h for h in sorted(effect.heads, reverse=True) if runs_through(self._rows, *place, h)), START
        )
        run = self._run_from(place, common.seq + 1)
        self._node.do(self._node.replicator.forks.branch_read(effect.link, *place, run))

    def _feed(self, effects: Sequence[Effect]) -> None:
        self._node.do([e for e in effects if not isinstance(e, Send) or e.link in self._node.linked.values()])

    def _submit(
        self, work: Callable[[], Any], done: Callable[[Any], None], lost: Callable[[], None] = lambda: None
    ) -> None:
        node = self._node
        node.disk.submit(Job(work, node.guard(done), node.guard(lost)))
