"""Nodes for runs that measure: the same machines, without what only checks or tells, so that a thousand fit.

Checked are the runs with faults; here is counted. What the nodes of a run have in common they share: an entry is one
object wherever it is held, and a signature that was found good or bad once is not worked out again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from maw.core.effects import Link
from maw.core.entry import Entry
from maw.core.frames import Entries, Frame
from maw.core.identity import Signer
from tests.simulation.node import SimNode, Surroundings
from tests.simulation.trace import Names
from tests.simulation.watcher import Watcher


class Quiet(Watcher):
    """Sees nothing."""

    def link_up(self, link: Link) -> None: ...

    def brought(self, link: Link, entries: object) -> None: ...

    def says(self, link: Link, frame: Frame) -> None: ...

    def received(self, link: Link) -> None: ...


class Nameless(Names):
    """The names of a trace that nobody reads."""

    def span(self, entries: tuple[Entry, ...] | list[Entry]) -> str:
        return ""

    def frame(self, frame: Frame) -> str:
        return ""


class LeanNode(SimNode):
    """Nobody reads on it and nothing befalls its disk. ``arrived``: entries that came over its links, in all."""

    def __init__(self, around: Surroundings, index: int, signer: Signer) -> None:
        super().__init__(around, index, signer)
        around.names = Nameless()
        self.watcher = Quiet(self)
        self.arrived = 0

    @property
    def sent_twice(self) -> int:
        """Of what arrived, what was of no use: all that is held and not its own came once."""
        own = sum(len(log) for (author, _), log in self.disk.rows.logs.items() if author == self.key)
        return self.arrived - (len(self.disk.rows.visible) - own)

    def _receive(self, link: Link, frame: Frame) -> None:
        if isinstance(frame, Entries):
            self.arrived += len(frame.entries)
        self.do(self.replicator.receive(link, frame, self.now))

    def note(self, line: str) -> None: ...

    def _read_on(self) -> None: ...

    def _check_disk(self) -> None: ...


@contextmanager
def shared() -> Iterator[None]:
    """Signatures are worked out once for all nodes, and nobody looks for garbage: there are no cycles worth it."""
    known: dict[bytes, bool] = {}
    holds = Entry.signature_holds

    def remembered(self: Entry) -> bool:
        if self.id not in known:  # the id covers header and signature
            known[self.id] = holds(self)
        return known[self.id]

    Entry.signature_holds = remembered  # type: ignore[method-assign]
    gc.disable()
    try:
        yield
    finally:
        Entry.signature_holds = holds  # type: ignore[method-assign]
        gc.enable()
