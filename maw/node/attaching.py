"""The files of messages, as who may read a message may have them: listed, fetched from other hosts, opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from maw.core.files import File
from maw.core.identity import NodeId
from maw.errors import NotFound, Unavailable
from maw.node.borrowing import Borrowing, Fetched
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter, file_json
from maw.node.shelf import Shelf
from maw.node.store import Store
from maw.node.talking import Talking
from maw.node.uploads import Uploads
from maw.store import attached

HERE: Final = "here"
IN_VAIN: Final = "in_vain"


class Attached(NamedTuple):
    """The files of one message, and the node that said it."""

    seq: int
    author: NodeId
    files: tuple[File, ...]

    def file(self, n: int) -> File:
        """By its number, from 1. Raises NotFound."""
        if not 0 < n <= len(self.files):
            many = f"it has {len(self.files)}" if self.files else "it has none"
            raise NotFound(f"that message has no file {n}: {many}", code="no_file")
        return self.files[n - 1]


class Attaching:
    """``linked``: whether there is a link to a node now."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        uploads: Uploads,
        borrowing: Borrowing,
        presenter: Presenter,
        directory: Directory,
        talking: Talking,
        linked: Callable[[NodeId], bool],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._uploads = uploads
        self._borrowing = borrowing
        self._presenter = presenter
        self._directory = directory
        self._talking = talking
        self._linked = linked

    async def of(self, ref: str, agent_key: bytes | None) -> Attached:
        """NotFound as for the message itself, for who may not read it too."""
        row = await self._talking.find(ref, agent_key)
        return Attached(row.seq, self._presenter.position(row).author, self._presenter.said(row).files)

    def listed(self, message: Attached) -> list[Json]:
        """Each with where it is."""
        return [
            self._json(message, n, Fetched(HERE if self._shelf.has(file.hash) else "away", 0))
            for n, file in enumerate(message.files, 1)
        ]

    async def fetch(self, message: Attached, n: int, seconds: float, *, anew: bool) -> Json:
        """Have it here: as it stands when it is, when nobody who is linked gives it, or after ``seconds``. One that is
        here is looked through: what is damaged is fetched again. Raises NotFound, Unavailable, TooMany."""
        file = message.file(n)
        if self._shelf.has(file.hash):
            await self._uploads.check(file)
        if not self._shelf.has(file.hash) and not await self._store.writer.submit(
            lambda conn: attached.note(conn, message.seq, message.files)
        ):
            raise NotFound("that message was redacted, or its time is over", code="no_file")
        found = await self._borrowing.fetch(file, message.author, seconds, anew=anew)
        return self._json(message, n, found)

    def _json(self, message: Attached, n: int, found: Fetched) -> Json:
        file = message.file(n)
        here = found.state == HERE
        return {
            "n": n,
            **file_json(file),
            "state": found.state,
            "fetched": file.size if here else found.bytes,
            "through": None if found.through is None else self._directory.name_of(found.through),
            "holder": self._directory.name_of(message.author),
            "linked": message.author == self._store.me or self._linked(message.author),
        }

    async def open(self, message: Attached, n: int, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``first`` to before ``end`` of a file that is here. Raises Unavailable."""
        file = message.file(n)
        if not self._shelf.has(file.hash):
            holder = self._directory.name_of(message.author)
            raise Unavailable(
                f"{file.name} is not on this host: {holder} has it",
                code="file_not_here",
                hint="POST …/fetch brings it here; the command: maw fetch ID",
            )
        return await self._uploads.open(file, first, end)
