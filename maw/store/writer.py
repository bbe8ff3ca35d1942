"""The one task that writes: jobs queue, and all that are queued go into one transaction.

Laws
  1. Only this task touches the writing connection; a caller who gives up leaves nothing open behind.
  2. A job's future resolves after the COMMIT that holds its rows, never before.
  3. One bad job does not take others along: each has a savepoint when it is not alone.
  4. When anything was rolled back, ``on_rollback`` rereads what memory believed of the database.
  5. ``after`` callbacks run in commit order, before any later job begins.
  6. A job that is alone may leave its last rows to the COMMIT (``Closing``): all of it is one visit to the
     connection's thread then, BEGIN too.

No job waits for company: while one commit syncs, the next ones gather.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import aiosqlite

from maw.errors import MawError, Unavailable
from maw.store.connection import WritingConnection
from maw.store.rows import Statement, execute_all

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_QUEUED: Final = 4096
MAX_JOBS_A_COMMIT: Final = 256
CHECKPOINT_IDLE_S: Final = 1.0
CHECKPOINT_PATIENCE_MS: Final = 100
"""How long a checkpoint waits for a reader that is in its way: nothing is written meanwhile, and it comes again."""
BUSY_MS: Final = 5000
TRUNCATE_ABOVE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Closing(Generic[T]):
    """What a work returns that leaves its last rows to the writer. ``named``: what to raise for an error of theirs."""

    result: T
    statements: Sequence[Statement]
    named: Callable[[Exception], Exception]


Work = Callable[[aiosqlite.Connection], Awaitable[T | Closing[T]]]


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: asyncio.Future[Any]
    after: Callable[[Any], None] | None


class Writer:
    """Group commit over one connection."""

    def __init__(
        self,
        conn: WritingConnection,
        path: Path,
        *,
        on_rollback: Callable[[], Awaitable[None]],
        on_trouble: Callable[[str | None], None] = lambda trouble: None,
    ) -> None:
        self._conn = conn
        self._wal = path.with_name(path.name + "-wal")
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue(MAX_QUEUED)
        self._on_rollback = on_rollback
        self._on_trouble = on_trouble
        self._closing = False
        self._ended = False
        self._to_scrub = False
        self.trouble: str | None = None
        """Why the last commit failed; None when it did not."""
        self.commits = 0
        self.changes = 0
        """Another number whenever the database, or what memory has of it, may say something else. It moves right behind
        the commit, so who has read it before he read rows has never too new a number."""
        self._busy_since: float | None = None

    def busy_s(self) -> float:
        """Seconds that the transaction or checkpoint at hand has taken so far; 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    async def submit(self, work: Work[T], after: Callable[[T], None] | None = None) -> T:
        """Run ``work(connection)`` in the next transaction; its result, once that is durable.

        ``after(result)`` runs on the loop right behind the commit. Raises what the work raised, or
        Unavailable when the disk would not take it. A full queue makes the caller wait.
        """
        if self._closing:
            raise _stopping()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Job(work, done, after))
        return await done

    def submit_nowait(self, work: Work[T], after: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Like ``submit``; raises asyncio.QueueFull when too much is waiting, Unavailable when nobody writes
        any more. What is being written may still bring jobs of its own after ``close``.
        """
        if self._ended:
            raise _stopping()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Job(work, done, after))
        return done

    def scrub(self) -> None:
        """What was deleted is to leave the write-ahead log too, as soon as nothing else is to be written."""
        self._to_scrub = True
        if self._queue.empty():
            self._queue.put_nowait(None)  # it may be waiting for work

    async def close(self) -> None:
        """Takes no more; ``run`` ends when all that was accepted is done."""
        self._closing = True
        await self._queue.put(None)

    async def run(self) -> None:
        """Runs until closed. Ends with everything written and the WAL truncated."""
        try:
            await self._run()
        finally:
            self._ended = True
            while not self._queue.empty():  # only after a fault: nobody shall wait for ever
                if (job := self._queue.get_nowait()) is not None:
                    _fail(job, _stopping())

    async def _run(self) -> None:
        while True:
            try:
                # under load something waits already, and a timer would be for nothing
                job = await (
                    asyncio.wait_for(self._queue.get(), CHECKPOINT_IDLE_S)
                    if self._queue.empty()
                    else self._queue.get()
                )
            except TimeoutError:
                self._busy_since = time.monotonic()
                await self._checkpoint("TRUNCATE" if self._to_scrub else "PASSIVE")
                self._busy_since = None
                if self._to_scrub:  # a reader was in the way
                    continue
                job = await self._queue.get()
            self._busy_since = time.monotonic()
            jobs = [job]
            while len(jobs) < MAX_JOBS_A_COMMIT and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            work = [item for item in jobs if item is not None]
            if work:
                await self._transact(work)
                await self._checkpoint_if_large()
            self._busy_since = None
            if self._closing and self._queue.empty():
                await self._checkpoint("TRUNCATE")
                return

    async def _transact(self, jobs: list[_Job]) -> None:
        results: list[tuple[_Job, Any]] = []
        changes = self._conn.total_changes
        closing: Closing[Any] | None = None
        alone = len(jobs) == 1
        try:
            self._conn.begin()
            for job in jobs:
                if not alone:
                    await self._conn.execute("SAVEPOINT job")
                try:
                    result = await job.work(self._conn)
                    if isinstance(result, Closing):
                        closing, result = result, result.result
                        if not alone:
                            await self._close(closing)
                    results.append((job, result))
                except sqlite3.OperationalError:
                    raise
                except Exception as error:  # one job's fault is its own: the others go on
                    if alone:
                        raise
                    await self._conn.execute("ROLLBACK TO job")
                    self.changes += 1
                    await self._on_rollback()
                    _fail(job, _as_raised(error))
                if not alone:
                    await self._conn.execute("RELEASE job")
            if alone and closing is not None:
                await self._close(closing, ("COMMIT", ()))
            else:
                await self._conn.execute("COMMIT")
        except Exception as error:  # the transaction is lost as a whole: say so to everybody in it
            await self._roll_back()
            await self._on_rollback()
            self._note(error)
            for job in jobs:
                _fail(job, _as_raised(error))
            return
        self.commits += 1
        self.changes += self._conn.total_changes != changes
        if (
            self.trouble and self._conn.total_changes != changes
        ):  # a commit of nothing asks nothing of the disk
            self.trouble = None
            self._on_trouble(None)
        for job, result in results:
            if job.after:
                job.after(result)
            if not job.done.done():
                job.done.set_result(result)

    async def _close(self, closing: Closing[Any], *more: Statement) -> None:
        try:
            await execute_all(self._conn, [*closing.statements, *more])
        except Exception as error:
            named = closing.named(error)
            raise named from (None if named is error else error)

    async def _roll_back(self) -> None:
        self.changes += 1  # what was in memory meanwhile may have been read
        self._conn.forget_begin()
        if self._conn.in_transaction:
            await self._conn.execute("ROLLBACK")

    def _note(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            self.trouble = str(error)
            self._on_trouble(self.trouble)

    async def _checkpoint_if_large(self) -> None:
        # WAL grows by what was committed since the last checkpoint; looking at its size costs one stat
        if self.commits % 64 == 0 and self._wal_bytes() > TRUNCATE_ABOVE_BYTES:
            await self._checkpoint("TRUNCATE")

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    async def _checkpoint(self, mode: str) -> None:
        try:
            await self._conn.execute_fetchall(f"PRAGMA busy_timeout = {CHECKPOINT_PATIENCE_MS}")
            try:
                rows = await self._conn.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")
            finally:
                await self._conn.execute_fetchall(f"PRAGMA busy_timeout = {BUSY_MS}")
            if mode == "TRUNCATE" and not next(iter(rows))[0]:  # 1: a reader was in the way
                self._to_scrub = False
        except sqlite3.Error as error:  # a reader is in the way, or the disk is full: the WAL keeps all of it
            log.warning("the write-ahead log could not be folded in: %s", error)


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)


def _stopping() -> Unavailable:
    return Unavailable("this node is stopping", hint="try again when it is up: `maw status`")


def _as_raised(error: Exception) -> Exception:
    """What the callers are told: maw's own errors as they are, the disk's as Unavailable."""
    if isinstance(error, MawError):
        return error
    if isinstance(error, sqlite3.Error):
        return Unavailable(
            f"the database could not be written: {error}",
            code="cannot_write",
            hint="nothing was accepted; `maw doctor` looks at the disk",
        )
    return error
