"""Our own log, found in two branches: after a database was put back under us, or a copy of this host spoke.

The others' branch is taken, for they hold what this node acknowledged once; what of ours it lacks is published
again in a new epoch, marked ``was``, so that nothing is lost and nobody is told of a message twice. All in one
commit. It says which branch counts, and the mesh settles on it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Sequence
from typing import Any, Final

import aiosqlite

from maw.core.effects import Alert
from maw.core.entry import SALT_BYTES, Entry, Head, Kind, Position, make, pack_payload, unpack_payload
from maw.core.forks import Parting
from maw.core.identity import Signer
from maw.core.message_ids import message_id
from maw.core.redaction import not_beyond
from maw.core.sealing import words_of
from maw.errors import LinkError, Refused
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.folds import Folds
from maw.node.reactions import Feed
from maw.node.receipts import Receipts
from maw.store.fold import Fold
from maw.store.late import Late
from maw.store.redacting import forget_shown
from maw.store.replacing import Lifted, Seen, head_at, lift, published_again
from maw.store.state import State
from maw.store.writer import Writer

log = logging.getLogger(__name__)

MAX_AGAIN: Final = 10_000
"""Entries that are published again: where a fork lies further back, somebody made it on purpose."""
PAUSE_S: Final = 5.0
PAUSE_MAX_S: Final = 3600.0
"""Between two epochs that were opened for this: forks without end must not become epochs without end."""
_NOWHERE: Final = -1


class Reclaiming:
    """``feed`` as of ``Forking``; ``coming``: as ``Replicator.own_is_coming``; ``monotonic``: seconds."""

    def __init__(
        self,
        signer: Signer,
        state: State,
        writer: Writer,
        authoring: Callable[[], Authoring],
        receipts: Receipts,
        folds: Folds,
        feed: Feed,
        *,
        coming: Callable[[int], bool],
        alert: Callable[[Alert], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._signer = signer
        self._state = state
        self._writer = writer
        self._authoring = authoring
        self._receipts = receipts
        self._folds = folds
        self._feed = feed
        self._coming = coming
        self._alert = alert
        self._monotonic = monotonic
        self._not_before = 0.0
        self._pause = PAUSE_S
        self._busy = False

    async def take(self, found: Parting) -> None:
        """The others' branch of our log for ours. Raises MawError when it cannot be done (yet)."""
        if self._coming(found.epoch) or not self._may():
            return
        me, epoch, run = self._signer.node, found.epoch, found.run
        ours = self._state.head(me, epoch).seq - found.since + 1
        if ours > MAX_AGAIN:
            self._tell(
                f"this node's log (epoch {epoch}) exists in two branches, of which this host's has {ours} entries of"
                " its own: too many to publish again by itself. Its key may be in two hands: `maw revoke`, or"
                " `maw key rotate`"
            )
            return
        authoring = self._authoring()

        async def write(conn: aiosqlite.Connection) -> tuple[Fold, Fold, list[Entry], int]:
            now_ms = wall_clock_ms()
            row = self._state.logs[me, epoch]
            keep = await head_at(conn, row, found.since - 1)
            if keep is None or keep.id != run[0].prev:
                raise LinkError("our log has moved on meanwhile", code="stale_batch")
            off = await lift(conn, row, keep)
            gone = [item.shown for item in off if item.entry.payload is None and item.shown is not None]
            await forget_shown(conn, self._state, gone)
            # put back to before we ended this fork, and given by others what we published again of it then
            said = await published_again(conn, self._state, me, epoch)
            lifted = [item for item in off if _says_something(item, keep) and not _is_said(item, said)]
            taken = self._folds.new(now_ms)
            for entry in run:
                taken.add(entry)
            await taken.write(conn)
            fresh = self._folds.new(now_ms)
            entries: list[Entry] = []
            await authoring.begin_epoch(
                conn, fresh, entries, now_ms, "this log was found in two branches",
                adopts=((epoch, *found.through),), again=2 + len(lifted),
                hlc=lifted[0].entry.hlc if lifted else None,
            )  # fmt: skip
            renamed = {message_id(old): message_id(now_at) for old, now_at in said.values()}
            self._publish_again(fresh, entries, lifted, keep, renamed)
            await fresh.write(conn)
            return taken, fresh, entries, len(lifted)

        def after(done: tuple[Fold, Fold, list[Entry], int]) -> None:
            taken, fresh, entries, _ = done
            self._receipts.void(epoch, found.since - 1, wall_clock_ms())
            self._feed(lambda machine, now: machine.replaced(me, epoch, found.since, run, now))
            authoring.opened_for(entries, fresh.set_aside)
            self._feed(lambda machine, now: machine.forks.committed(entries))
            self._folds.took(taken, me)

        self._busy = True
        try:
            async with authoring.still():
                *_, again = await self._writer.submit(write, after)
        finally:
            self._busy = False
        self._done()
        self._tell(
            f"this node's log had two branches since {message_id(Position(me, epoch, found.since))}: its database was"
            f" put back, or a copy of this host spoke. The branch that others hold was taken, and {again} entries that"
            " only this host held were published again; nothing is lost. If nobody put anything back, the key is in"
            " two hands: `maw revoke`, or `maw key rotate`"
        )

    async def keep(self, epoch: int, since: int) -> None:
        """Nobody shows the other branch of our log, which differs at ``since``: ours is the one that counts. What is
        adopted is near there, so that whoever is shown the branch sees it. Raises MawError."""
        head = self._state.head(self._signer.node, epoch)
        if not head.seq or not self._may():
            return
        authoring = self._authoring()

        async def write(conn: aiosqlite.Connection) -> tuple[Fold, list[Entry]]:
            now_ms = wall_clock_ms()
            fold = self._folds.new(now_ms)
            entries: list[Entry] = []
            held = await head_at(conn, self._state.logs[self._signer.node, epoch], since)
            if held is None:
                held = self._state.head(self._signer.node, epoch)
            await authoring.begin_epoch(
                conn, fold, entries, now_ms, "this log was forked", adopts=((epoch, *held),), again=2
            )
            await fold.write(conn)
            return fold, entries

        self._busy = True
        try:
            async with authoring.still():
                await self._writer.submit(
                    write, lambda done: authoring.opened_for(done[1], done[0].set_aside)
                )
        finally:
            self._busy = False
        self._done()
        self._tell(
            f"somebody shows another branch of this node's log (epoch {epoch}), and no host that is linked has it:"
            " this host's branch is the one that counts. If nobody put a database back, the key is in two hands:"
            " `maw revoke`, or `maw key rotate`"
        )

    async def say_again(self, epoch: int, late: Late) -> None:
        """A branch of our log that was not adopted comes back late, with what nobody else had. Raises MawError."""
        lifted = [item for one in late.lost if _says_something(item := Lifted(one, None), late.keep)]
        if not lifted or self._coming(epoch) or not self._may():
            return
        authoring = self._authoring()

        async def write(conn: aiosqlite.Connection) -> tuple[Fold, list[Entry]]:
            now_ms = wall_clock_ms()
            fold = self._folds.new(now_ms)
            entries: list[Entry] = []
            await authoring.begin_epoch(
                conn, fold, entries, now_ms, "a branch of this log came back late",
                adopts=((epoch, *late.head),), again=2 + len(lifted), hlc=lifted[0].entry.hlc,
            )  # fmt: skip
            self._publish_again(fold, entries, lifted, late.keep, {})
            await fold.write(conn)
            return fold, entries

        def after(done: tuple[Fold, list[Entry]]) -> None:
            authoring.opened_for(done[1], done[0].set_aside)
            self._folds.took(done[0], self._signer.node)

        self._busy = True
        try:
            async with authoring.still():
                await self._writer.submit(write, after)
        finally:
            self._busy = False
        self._done()
        self._tell(
            f"a host that was away holds another branch of this node's log (epoch {epoch}): {len(lifted)} entries that"
            " only it had were published again; nothing is lost. If nobody put a database back, the key is in two"
            " hands: `maw revoke`, or `maw key rotate`"
        )

    def _publish_again(
        self,
        fold: Fold,
        entries: list[Entry],
        lifted: Sequence[Lifted],
        keep: Head,
        renamed: dict[str, str],
    ) -> None:
        """In the epoch that ``entries`` begin; what is shown here stays where it is shown. ``renamed``: ids of what was
        published again before, old and new."""
        shown: dict[bytes, Seen] = {}
        fold.again = shown
        for old, seq, content_key in ((item.entry, item.shown, item.key) for item in lifted):
            content = _still_said(old, keep) or {}
            spoken_of = content if content_key is None else words_of(old, content_key)[1]
            for key in spoken_of.keys() & {"reply", "edits"}:
                if (now_at := renamed.get(str(spoken_of[key]))) is not None:
                    content[key] = now_at  # of what is sealed it stands beside the box
            content["was"] = [old.epoch, old.seq, old.id]
            payload = pack_payload(os.urandom(SALT_BYTES), content)
            last = entries[-1]
            entry = make(self._signer, last.colony, last.epoch, last.head, old.hlc, old.kind, payload)
            old_id = message_id(old.position)
            renamed[old_id] = message_id(entry.position)
            fold.fresh_key = content_key
            if seq is not None:
                shown[entry.id] = Seen(seq, _NOWHERE, old_id)
            fold.add(entry)
            entries.append(entry)

    def _may(self) -> bool:
        if self._busy or self._monotonic() < self._not_before:
            return False  # the contradiction is shown again
        if self._authoring().read_only:
            raise Refused("the disk takes nothing now", code="read_only")
        return True

    def _done(self) -> None:
        now = self._monotonic()
        if now > self._not_before + PAUSE_MAX_S:
            self._pause = PAUSE_S
        self._not_before = now + self._pause
        self._pause = min(PAUSE_MAX_S, 2 * self._pause)

    def _tell(self, text: str) -> None:
        log.warning("%s", text)
        self._alert(Alert("own_fork", "this node", text))


def _says_something(item: Lifted, keep: Head) -> bool:
    """Opens and cards are of their epoch, receipts are given again, and what has no payload says nothing more."""
    if item.entry.payload is None or item.entry.kind in (Kind.OPEN, Kind.CARD, Kind.RECEIPT):
        return False
    return _still_said(item.entry, keep) is not None


def _is_said(item: Lifted, said: Container[bytes]) -> bool:
    """What is shown still is shown from nowhere else."""
    return item.shown is None and item.entry.id in said


def _still_said(entry: Entry, keep: Head) -> dict[str, Any] | None:
    """What an entry says after its branch was cut behind ``keep``: a redaction no longer what it said of what stood
    there, for that is gone, and others' words stand in its place."""
    content = unpack_payload(entry.payload or b"")
    return not_beyond(content, entry.epoch, keep.seq) if entry.kind == Kind.REDACT else content
