"""How much of the disk blobs take: quota, eviction, and what nobody needs any more.

Of what is here, a file's own author's node may be the only one that has it: such originals are never evicted. Copies of
others' files are, those first that nobody used for longest; whoever wants one again fetches it again. A copy is only
what another's message names and none of ours: what nobody is known to name may be an original whose message was lost
with the database (maw.store.attached).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Collection
from typing import Final

import aiosqlite

from maw.config import FilesConfig
from maw.core.filenames import size_words
from maw.errors import MawError, Unavailable
from maw.node.authoring import wall_clock_ms
from maw.node.indexing import in_thread
from maw.node.store import Store
from maw.store import attached
from maw.store.blobs import BlobFolder, Held

log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Shelf:
    """``held``: every blob here, by hash. ``busy``: those being fetched now, which are nobody's to drop.
    ``recovering``: our own log is on its way back, and what is our own is not known yet."""

    def __init__(
        self,
        folder: BlobFolder,
        config: FilesConfig,
        store: Store,
        read_only: Callable[[], str | None],
        busy: Callable[[], Collection[bytes]],
        recovering: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.config = config
        self._store = store
        self._read_only = read_only
        self._busy = busy
        self._recovering = recovering
        self.held: dict[bytes, Held] = {}
        self._reserved = 0
        self.moving = asyncio.Lock()
        """Held while files are dropped or put in another's place."""

    async def load(self) -> None:
        """To be called before anything else."""
        self.held = await in_thread(self.folder.scan)

    @property
    def used(self) -> int:
        return sum(one.size for one in self.held.values())

    @property
    def quota(self) -> int:
        return self.config.quota_mib << 20

    def json(self) -> dict[str, int]:
        return {"held": len(self.held), "bytes": self.used, "quota_bytes": self.quota}

    def has(self, name: bytes) -> bool:
        """Whether it is here, whole."""
        one = self.held.get(name)
        return one is not None and one.whole

    def look_at(self, name: bytes) -> None:
        """It may be another than before: what there is of it counts."""
        found = self.folder.look_at(name)
        if found is None:
            self.held.pop(name, None)
        else:
            self.held[name] = found

    def use(self, name: bytes) -> None:
        """Somebody reads it now."""
        if (one := self.held.get(name)) is not None:
            self.held[name] = one._replace(used=time.time())
            self.folder.touch(name)

    async def reserve(self, size: int) -> None:
        """Room for so many more bytes, until ``release``. Raises Unavailable when there is none."""
        self.check_writable()
        if self.used + self._reserved + size > self.quota:
            await self._evict(self.used + self._reserved + size - self.quota)
        if (over := self.used + self._reserved + size - self.quota) > 0:
            raise Unavailable(
                f"the files here take {size_words(self.used)} of {size_words(self.quota)}, and"
                f" {size_words(over)} more would be needed",
                code="files_full",
                hint="raise [files] quota_mib in maw.toml, or `maw redact` messages whose files nobody needs",
            )
        self._reserved += size

    def release(self, size: int) -> None:
        self._reserved -= size

    def check_writable(self) -> None:
        """Raises Unavailable."""
        if (why := self._read_only()) is not None:
            raise Unavailable(why, code="read_only", hint="reading goes on; `maw doctor` says more")

    async def _evict(self, size: int) -> None:
        """Copies of others' files, the least recently used first, until ``size`` bytes are free."""
        async with self.moving:
            copies = await self.copies() - set(self._busy())
            for name, one in sorted(self.held.items(), key=lambda item: item[1].used):
                if size <= 0:
                    return
                if name in copies:
                    await self.drop(name)
                    size -= one.size

    def _ours(self) -> list[int]:
        state = self._store.state
        ours = {self._store.me, *state.former_me}
        return [row.n for row in state.nodes.values() if row.key in ours]

    async def copies(self) -> set[bytes]:
        """Blobs that others have as well, or had; none while our own log is not back: another's message may name what
        is ours."""
        return set() if self._recovering() else await attached.copies(self._store.db, self._ours())

    async def drop(self, name: bytes) -> None:
        self.held.pop(name, None)
        try:
            await in_thread(self.folder.drop, name)
        except OSError as error:
            log.warning("a file of %s could not be removed: %s", self.folder.path, error)

    async def sweep(self) -> None:
        """Drop what no message names any more, and copies that nobody used for long. Raises MawError."""
        before, ours = wall_clock_ms() - attached.UPLOAD_MS, self._ours()

        async def look(conn: aiosqlite.Connection) -> set[bytes]:
            certain = not self._recovering() and not await attached.is_unread(conn, ours)
            return await attached.look(conn, self.held.keys() | set(self._busy()), before, certain=certain)

        async with self.moving:
            gone = await self._store.writer.submit(look)
            if self.config.keep_days:
                copies, old = await self.copies(), time.time() - self.config.keep_days * DAY_S
                gone |= {name for name, one in self.held.items() if name in copies and one.used < old}
            for name in gone:
                if name not in self._busy():
                    await self.drop(name)


def disk_trouble(error: OSError, what: str) -> MawError:
    """The disk's own word as an error that says what to do."""
    full = error.errno in _FULL
    return Unavailable(
        f"{what} could not be written: {error.strerror or error}",
        code="disk_full" if full else "cannot_write",
        hint="nothing was kept of it; make room on the disk, then try again"
        if full
        else "`maw doctor` looks at the disk",
    )
