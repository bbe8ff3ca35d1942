"""Writing our own log: drafts become signed entries inside the writer's transaction.

Drafts gather while the last commit syncs and go into the next one together. The head of our log moves with
the commit and never before; a commit that failed ends the epoch, for nobody can say what reached the disk.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiosqlite

from maw.core.clock import HybridClock, wall_ms
from maw.core.colony import READERS, Card, Open, Said
from maw.core.content import Content
from maw.core.editing import Edit
from maw.core.entry import (
    SALT_BYTES,
    START,
    Entry,
    Kind,
    Position,
    make,
    pack_content,
    pack_payload,
    unpack_content,
)
from maw.core.heeding import Heed
from maw.core.identity import Signer
from maw.core.log import EPOCH_CHANCE_BITS, fresh_epoch
from maw.core.once import KEYS_KEPT_MS, Asked
from maw.core.presence import Presence
from maw.core.progress import Progress
from maw.core.seal_keys import SealKey
from maw.core.souls import Soul
from maw.errors import Conflict, InternalError, MawError, Refused, Unavailable
from maw.store.asides import SetAside
from maw.store.fold import Fold
from maw.store.state import State
from maw.store.writer import Closing, Writer

MAX_DRAFTS: Final = 10_000
MAX_DRAFTS_A_COMMIT: Final = 1_000
_CHECKED: Final[Mapping[int, Callable[[Content], object]]] = {
    **READERS,
    Kind.HEED: Heed.read,
    Kind.PROGRESS: Progress.read,
    Kind.PRESENCE: Presence.read,
    Kind.EDIT: Edit.read,
    Kind.SEAL_KEY: SealKey.read,
    Kind.SOUL: Soul.read,
}


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a draft. ``seq``: where it is visible, None for what is no message.

    ``position`` is None for a repeated request that an earlier run of the daemon answered.
    """

    position: Position | None
    seq: int | None
    repeated: bool = False
    said_ms: int = 0
    received_ms: int = 0
    """The times as they are stored: what everybody will be shown."""


Known = dict[bytes, tuple[bytes, Written | int]]
"""By mark: what was asked for, and what it led to, the seq where an earlier commit did it."""


@dataclass(slots=True)
class _Draft:
    kind: Kind
    content: bytes
    """Packed."""
    said: Said | None
    once: Asked | None
    local: Callable[[Fold], None] | None
    done: asyncio.Future[Written]
    about: int | None
    result: Written | None = None
    error: MawError | None = None


def wall_clock_ms() -> int:
    """Milliseconds since 1970; never less, though a clock may say so: entries and frames have no sign."""
    return max(0, time.time_ns() // 1_000_000)


class Authoring:
    """The one way anything of ours gets into our log. ``last_epoch``: the newest that we ever wrote in, which
    a lost or older database does not know."""

    def __init__(
        self,
        signer: Signer,
        colony: bytes,
        state: State,
        writer: Writer,
        clock: HybridClock,
        *,
        instance: bytes,
        fingerprint: str,
        new_epoch: str | None,
        last_epoch: int,
        recovery: bytes | None,
        card: Callable[[], Card],
        on_committed: Callable[[Sequence[Entry], list[SetAside]], None],
    ) -> None:
        self._signer = signer
        self.colony = colony
        self._state = state
        self._writer = writer
        self._clock = clock
        self._instance = instance
        self._fingerprint = fingerprint
        self._new_epoch = new_epoch
        self._last_epoch = last_epoch
        self._recovery = recovery
        self._card = card
        self._on_committed = on_committed
        self._drafts: list[_Draft] = []
        self._flushing = False
        self._under_way: set[asyncio.Future[Any]] = set()
        self._still = False
        self.read_only: str | None = None
        """Why nothing is accepted at the moment; None when all is well."""
        self.barred: str | None = None
        """Why nobody would take what this node says; None when its key is good."""
        self.recovering = False
        """Our own log is coming back: a request with a key may stand in what is not here yet."""

    def end_epoch(self, why: str) -> None:
        """The next write begins a new epoch."""
        self._new_epoch = self._new_epoch or why

    def epoch_opened(self) -> None:
        """An epoch was opened by other means (joining a Colony): writing goes on in it."""
        self._new_epoch = None

    def opened_for(self, entries: Sequence[Entry], set_aside: list[SetAside]) -> None:
        """``begin_epoch`` was used by another hand (see ``still``), and this is durable."""
        self._new_epoch = None
        self._on_committed(entries, set_aside)

    async def say(
        self,
        kind: Kind,
        content: Mapping[str, Any],
        *,
        said: Said | None = None,
        once: Asked | None = None,
        local: Callable[[Fold], None] | None = None,
        about: int | None = None,
    ) -> Written:
        """Durable when it returns. ``local`` runs just before the entry is folded, within the transaction; a
        MawError that it raises, having changed nothing, is raised here. ``about``: the seq of the message that an entry
        which is none itself is about; a request that is made again is answered by it.

        Raises Unavailable when the disk or the queue is full, or it cannot be told yet whether ``once`` was answered;
        Conflict when it was used otherwise, and InternalError for what nobody could read: such an entry would be set
        aside by everyone who gets it.
        """
        if self.barred:
            raise Refused(
                self.barred,
                code="revoked",
                hint="if this is your host: stop it, then `maw key rotate --recovery FILE`, and start it again",
            )
        if self.read_only:
            raise Unavailable(
                self.read_only, code="read_only", hint="reading goes on; `maw doctor` says more"
            )
        if once is not None and self.recovering:
            raise recovering()
        if len(self._drafts) >= MAX_DRAFTS:
            raise _busy()
        draft = _Draft(
            kind,
            _packed(kind, content, said),
            said,
            once,
            local,
            asyncio.get_running_loop().create_future(),
            about,
        )
        self._drafts.append(draft)
        self._flush()
        return await draft.done

    async def forget_old_keys(self) -> None:
        """Idempotency keys are remembered for a day."""
        before = wall_clock_ms() - KEYS_KEPT_MS

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("DELETE FROM idempotency WHERE at < ?", (before,))

        await self._writer.submit(write)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing of ours is being written while the block lasts; what is said meanwhile waits for its end."""
        self._still = True
        try:
            while self._under_way:
                await asyncio.wait(self._under_way)
            yield
        finally:
            self._still = False
            self._flush()

    def _flush(self) -> None:
        if self._drafts and not self._flushing and not self._still:
            self._flushing = True
            taken: list[_Draft] = []
            try:
                job = self._writer.submit_nowait(lambda conn: self._write(conn, taken), self._committed)
            except (asyncio.QueueFull, Unavailable) as problem:
                self._flushing = False
                error = problem if isinstance(problem, Unavailable) else _busy()
                drafts, self._drafts = self._drafts, []
                for draft in drafts:
                    _reject(draft, error)
                return
            self._under_way.add(job)
            job.add_done_callback(lambda future: self._flushed(future, taken))

    async def _write(
        self, conn: aiosqlite.Connection, taken: list[_Draft]
    ) -> tuple[Fold, list[Entry]] | Closing[tuple[Fold, list[Entry]]]:
        """Runs in the writer. From here on a later ``say`` belongs to the next commit."""
        if len(self._drafts) > 1:
            # begins the transaction: on the way to the disk's thread and back more are heard, who go along
            await conn.execute_fetchall("SELECT 1")
        taken += self._drafts[:MAX_DRAFTS_A_COMMIT]
        del self._drafts[:MAX_DRAFTS_A_COMMIT]
        self._flushing = False
        self._flush()
        now_ms = wall_clock_ms()
        fold = Fold(self._state, self._signer.node, now_ms)
        entries: list[Entry] = []
        known = await _known_keys(conn, [draft.once for draft in taken if draft.once])
        if self._new_epoch:
            await self.begin_epoch(conn, fold, entries, now_ms, self._new_epoch)
        epoch, head = self._state.newest_epoch(self._signer.node)
        salts = os.urandom(SALT_BYTES * len(taken))
        for at, draft in enumerate(taken):
            if draft.once and self._settled(draft, known):
                continue
            if draft.local and not _claimed(draft, fold):
                continue
            payload = salts[at * SALT_BYTES : (at + 1) * SALT_BYTES] + draft.content
            entry = make(
                self._signer, self.colony, epoch, head, self._clock.tick(now_ms), draft.kind, payload
            )
            head = entry.head
            entries.append(entry)
            said_ms = wall_ms(entry.hlc)
            draft.result = Written(
                entry.position, fold.add(entry, draft.said), said_ms=said_ms, received_ms=now_ms
            )
            if fold.set_aside:
                raise _unreadable(draft.kind, fold.set_aside[-1].why)
            if draft.once:
                seq = draft.about if draft.result.seq is None else draft.result.seq
                assert seq is not None
                known[draft.once.mark] = (draft.once.request, draft.result)
                fold.answered(draft.once.mark, draft.once.request, seq, now_ms)
        if (
            len(taken) > 1
        ):  # for the same reason; who is alone has his answer sooner by one visit for all of it
            await fold.write(conn)
            return fold, entries
        return await fold.close(conn, (fold, entries))

    def _settled(self, draft: _Draft, known: Known) -> bool:
        """This key was used before: the same request gets the same answer, another one an error."""
        assert draft.once is not None
        used = known.get(draft.once.mark)
        if used is None:
            return False
        request, result = used
        if request != draft.once.request:
            draft.error = Conflict(
                "this Idempotency-Key was used for another message", code="key_reused", hint="use a new key"
            )
        elif isinstance(result, int):
            draft.result = Written(None, result, repeated=True)
        else:
            draft.result = Written(result.position, result.seq, repeated=True)
        return True

    async def begin_epoch(
        self,
        conn: aiosqlite.Connection,
        fold: Fold,
        entries: list[Entry],
        now_ms: int,
        why: str,
        *,
        adopts: tuple[tuple[int, int, bytes], ...] = (),
        again: int = 0,
        hlc: int | None = None,
    ) -> None:
        """Within a transaction: its open and our card, into ``fold`` and ``entries``. ``hlc``: their stamp, where
        what follows is older than now."""
        epoch, head = self._state.newest_epoch(self._signer.node)
        previous = (epoch, head.seq, head.id) if epoch else None
        if self._clock.has_fallen(now_ms):
            self._clock.begin_anew()
        fresh = fresh_epoch(max(epoch, self._last_epoch), now_ms, secrets.randbits(EPOCH_CHANCE_BITS))
        recovery = self._recovery if previous is None else None
        begin = Open(previous, self._instance, recovery, why, adopts, again)
        at = START
        for kind, content in ((Kind.OPEN, begin.content()), (Kind.CARD, self._card().content())):
            payload = pack_payload(os.urandom(SALT_BYTES), content)
            stamp = self._clock.tick(now_ms) if hlc is None else hlc
            entry = make(self._signer, self.colony, fresh, at, stamp, kind, payload)
            at = entry.head
            entries.append(entry)
            fold.add(entry)
        await conn.execute("INSERT OR REPLACE INTO meta VALUES ('fingerprint', ?)", (self._fingerprint,))

    def _committed(self, result: tuple[Fold, list[Entry]]) -> None:
        fold, entries = result
        if entries and entries[0].kind == Kind.OPEN:
            self._new_epoch = None
        self._on_committed(entries, fold.set_aside)

    def _flushed(self, job: asyncio.Future[Any], taken: list[_Draft]) -> None:
        self._under_way.discard(job)
        error = job.exception()
        if error is not None:
            if not taken:
                # the transaction failed before our turn came: what waits has not been touched
                self._flushing = False
                taken, self._drafts = self._drafts, []
            self.end_epoch("a commit failed")
        for draft in taken:
            if draft.done.done():
                continue
            if error is not None:
                draft.done.set_exception(error)
            elif draft.error is not None:
                draft.done.set_exception(draft.error)
            else:
                assert draft.result is not None
                draft.done.set_result(draft.result)


def _packed(kind: Kind, content: Mapping[str, Any], said: Said | None) -> bytes:
    """Checked as whoever gets it will check it. What is ``said`` was: the doors let nothing else in."""
    try:
        packed = pack_content(content)
        if said is None and (read := _CHECKED.get(kind)):
            read(unpack_content(packed))
    except (ValueError, TypeError, OverflowError) as error:  # UnicodeEncodeError is a ValueError
        raise _unreadable(kind, str(error)) from error
    return packed


def _unreadable(kind: Kind, why: str) -> InternalError:
    return InternalError(f"an entry of kind {kind.name.lower()} was made that nobody could read: {why}")


def _busy() -> Unavailable:
    return Unavailable("too much is waiting to be written", code="busy", hint="try again in a second")


def recovering() -> Unavailable:
    """Whether a request was answered before cannot be told, until our own log is back."""
    return Unavailable(
        "what this node said before its database was lost is still coming back from its peers, and this request may be"
        " in it",
        code="recovering",
        hint="it comes by itself: try again in a second, with the same Idempotency-Key",
    )


def _claimed(draft: _Draft, fold: Fold) -> bool:
    assert draft.local is not None
    try:
        draft.local(fold)
    except MawError as error:
        draft.error = error
        return False
    return True


def _reject(draft: _Draft, error: MawError) -> None:
    if not draft.done.done():
        draft.done.set_exception(error)


_KNOWN: Final = "SELECT request, seq FROM idempotency WHERE key IN (?, ?) AND agent IN (0, ?)"


async def _known_keys(conn: aiosqlite.Connection, wanted: Sequence[Asked]) -> Known:
    """Requests that were answered before."""
    known: Known = {}
    for once in wanted:
        for request, seq in await conn.execute_fetchall(_KNOWN, (once.mark, *once.former)):
            known[once.mark] = (request, seq)
    return known
