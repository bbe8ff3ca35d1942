"""Carries out what the machine decides on forks: looks at the disk, notes disputes, takes the branch that counts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Final

import aiosqlite

from maw.core.effects import CheckAdoption, CheckFork, CheckProof, KeepOwn, ReadBranch, Seek, Send
from maw.core.entry import Entry
from maw.core.forks import Parting, Verdict, common_end, judge
from maw.core.frames import Fork, Locate, Proof
from maw.core.identity import short_key
from maw.core.replication import Replicator
from maw.errors import LinkError, MawError
from maw.node.authoring import wall_clock_ms
from maw.node.folds import Folds
from maw.node.reactions import Feed
from maw.node.reclaiming import Reclaiming
from maw.node.store import Store
from maw.store import forks, late
from maw.store.fold import Fold
from maw.store.logs import run_from
from maw.store.replacing import cut, head_at, seen_before

log = logging.getLogger(__name__)

_UNREADABLE: Final = (LinkError, sqlite3.Error)


class Forking:
    """``feed`` asks the machine and carries out what it says."""

    def __init__(
        self,
        store: Store,
        reclaiming: Reclaiming,
        folds: Folds,
        feed: Feed,
    ) -> None:
        self._store = store
        self._reclaiming = reclaiming
        self._folds = folds
        self._feed = feed

    async def start(self, machine: Replicator) -> None:
        """What was disputed when the node ended is disputed still, unless its author has spoken since; and what he
        said may not have been carried out everywhere."""
        for proof in await forks.proofs(self._store.db, self._store.state):
            machine.forks.disputed(proof)
        for author, said in await forks.all_adoptions(self._store.db):
            machine.forks.adopted(author, said)

    # -- contradictions -----------------------------------------------------------------------------

    async def check_fork(self, effect: CheckFork) -> None:
        try:
            if effect.author == self._store.me and await self._came_late(effect):
                return
            found = await forks.find_parting(
                self._store.db, self._store.state, effect.author, effect.epoch, effect.entries
            )
            if found is None:
                await self._look_further(effect)
                return
            match judge(self._store.me, found):
                case Verdict.LOCATE:
                    await self.seek(Seek(effect.link, effect.author, effect.epoch))
                case Verdict.TAKE:
                    await self._take(found)
                case Verdict.GATHER:
                    self._feed(
                        lambda machine, now: machine.forks.gather(
                            effect.link, effect.author, effect.epoch, found.run, now
                        )
                    )
                case Verdict.RECLAIM:
                    await self._reclaiming.take(found)
                case Verdict.DISPUTE:
                    await self._contradicted(effect, found)
                case Verdict.NOTHING:
                    await self._pass_on(effect)
        except _UNREADABLE as error:
            self._folds.unreadable(effect.author, error)
        except MawError as error:
            log.warning(
                "a fork of %s could not be dealt with yet: %s", short_key(effect.author), error.message
            )

    async def _came_late(self, effect: CheckFork) -> bool:
        branch = await late.came_late(
            self._store.db, self._store.state, self._store.me, effect.epoch, effect.entries
        )
        if branch is not None:
            await self._reclaiming.say_again(effect.epoch, branch)
        return branch is not None

    async def _pass_on(self, effect: CheckFork) -> None:
        """Whoever shows a branch that does not count may have words on it that its author does not know of."""
        author, epoch, run = effect.author, effect.epoch, effect.entries
        if author != self._store.me and await late.is_unsaid(
            self._store.db, self._store.state, author, epoch, run
        ):
            self._feed(lambda machine, now: machine.show_author(author, epoch, run, now, effect.link))

    async def _look_further(self, effect: CheckFork) -> None:
        """A run that contradicts nothing: what it is to be compared with may lie further up."""
        author, epoch = effect.author, effect.epoch
        ours = await run_from(self._store.db, self._store.state, author, epoch, effect.entries[0].seq)
        common = common_end(ours, effect.entries, self._store.state.head(author, epoch).seq)
        if common is not None:
            await self.seek(Seek(effect.link, author, epoch, common))

    async def _contradicted(self, effect: CheckFork, found: Parting) -> None:
        known = self._store.state.logs[found.author, found.epoch].disputed
        proof = await forks.make_proof(self._store.db, self._store.state, found)
        if proof is None or 0 < known <= found.since:
            return
        await self._dispute(proof)
        if known:
            return  # only where the branches part is known better now
        ours = await run_from(
            self._store.db, self._store.state, found.author, found.epoch, effect.entries[0].seq
        )
        if ours:
            shown = Send(effect.link, Fork(found.author, found.epoch, tuple(ours)))
            self._feed(lambda machine, now: [shown])
        if not found.exact:
            self._feed(lambda machine, now: machine.forks.narrow(effect.link, found.author, found.epoch))

    async def _dispute(self, proof: Proof) -> None:
        async def write(conn: aiosqlite.Connection) -> None:
            now = wall_clock_ms()
            await forks.note_dispute(conn, self._folds.new(now), proof, now)

        await self._store.writer.submit(write)
        self._feed(lambda machine, now: machine.disputed(proof.author, proof.epoch, proof))

    async def check_proof(self, effect: CheckProof) -> None:
        """Somebody proves that a log has forked, of which we may hold either branch, or nothing."""
        author, epoch = effect.author, effect.epoch
        try:
            adoption = await forks.adoption_of(self._store.db, self._store.state, author, epoch)
            if adoption is not None and effect.one[0].seq <= adoption.head.seq:
                return  # its author has ended it; who shows it will hear so
            if author != self._store.me:
                await self._dispute(Proof(author, epoch, effect.one, effect.other))
                return
            for run in (effect.one, effect.other):
                if (
                    await forks.find_parting(self._store.db, self._store.state, author, epoch, run)
                    is not None
                ):
                    self._own_disputed(epoch, run[0].seq)
        except _UNREADABLE as error:
            self._folds.unreadable(author, error)
        except MawError as error:
            log.warning("a fork of %s could not be noted yet: %s", short_key(author), error.message)

    def _own_disputed(self, epoch: int, since: int) -> None:
        self._feed(lambda machine, now: machine.forks.own_disputed(epoch, since, now))

    # -- the author's word --------------------------------------------------------------------------

    async def check_adoption(self, effect: CheckAdoption) -> None:
        author, epoch = effect.author, effect.epoch
        try:
            ours = await forks.runs_through(
                self._store.db, self._store.state, author, epoch, effect.adoption.head
            )
            if ours is False:
                self._feed(lambda machine, now: machine.forks.seek(author, epoch, now))
                return
            log_row = self._store.state.logs.get((author, epoch))
            if log_row is None or not log_row.disputed:
                return
            # where our chain does not reach so far: follow on, whoever shows another branch then tells
            await self._store.writer.submit(
                lambda conn: forks.end_dispute(conn, self._store.state, author, epoch)
            )
            self._feed(lambda machine, now: machine.settled(author, epoch, now))
        except _UNREADABLE as error:
            self._folds.unreadable(author, error)
        except MawError as error:
            log.warning("a settled fork of %s could not be noted yet: %s", short_key(author), error.message)
            self._feed(lambda machine, now: machine.forks.postponed(author, epoch, effect.adoption))

    async def keep_own(self, effect: KeepOwn) -> None:
        try:
            await self._reclaiming.keep(effect.epoch, effect.since)
        except MawError as error:
            log.warning("our own fork could not be ended yet: %s", error.message)
            self._own_disputed(effect.epoch, effect.since)

    async def _take(self, found: Parting) -> None:
        """The branch that counts, for ours."""
        author, epoch, run = found.author, found.epoch, found.run
        if unsaid := await late.unsaid(self._store.db, self._store.state, author, epoch, found.since):
            self._feed(lambda machine, now: machine.show_author(author, epoch, unsaid, now))
            return  # the next tick tries again

        async def write(conn: aiosqlite.Connection) -> Fold:
            row = self._store.state.logs[author, epoch]
            keep = await head_at(conn, row, found.since - 1)
            if keep is None or keep.id != run[0].prev:
                raise LinkError("the log has moved on meanwhile", code="stale_batch")
            fold = self._folds.new(wall_clock_ms())
            fold.again = await seen_before(conn, self._store.state, run)
            await cut(conn, self._store.state, row, keep)
            _fold_all(fold, run)
            await fold.write(conn)
            await forks.end_dispute(conn, self._store.state, author, epoch)
            return fold

        def after(fold: Fold) -> None:
            self._feed(lambda machine, now: machine.replaced(author, epoch, found.since, run, now))
            self._folds.took(fold, author)

        await self._store.writer.submit(write, after)
        log.warning("took the branch of %s that it adopted, from seq %d on", short_key(author), found.since)

    # -- asking and answering -----------------------------------------------------------------------

    async def seek(self, effect: Seek) -> None:
        heads = await forks.own_ladder(self._store.db, self._store.state, effect.author, effect.epoch)
        if effect.common is not None:
            heads = [effect.common, *(head for head in heads if head.seq < effect.common.seq)]
        ask = Send(effect.link, Locate(effect.author, effect.epoch, tuple(heads)))
        self._feed(lambda machine, now: [ask])

    async def answer(self, effect: ReadBranch) -> None:
        entries: Sequence[Entry] = []
        try:
            entries = await forks.branch_after(
                self._store.db, self._store.state, effect.author, effect.epoch, effect.heads
            )
        except _UNREADABLE as error:
            self._folds.unreadable(effect.author, error)
        self._feed(
            lambda machine, now: machine.forks.branch_read(effect.link, effect.author, effect.epoch, entries)
        )


def _fold_all(fold: Fold, run: Sequence[Entry]) -> None:
    for entry in run:
        fold.add(entry)
