"""Other versions of maw, built from this one: its tree copied and changed, and daemons that run from there.

``tomorrow`` is the next minor version: a new kind of entry, a new frame, a new type of statement, new fields in what
there is already. It writes into its log what it hears of them. ``speaking`` changes the versions of the protocol.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import maw
from tests.e2e.daemons import Daemon

VERSION: Final = "99.0.0"

_MODULE: Final = '''"""What this version has beyond the one before it."""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from maw.core import colony, effects, frames, replication, transcript
from maw.core.entry import Kind, unpack_payload
from maw.core.statement import sign_statement
from maw.node import node
from maw.node.authoring import wall_clock_ms
from maw.store import fold

log = logging.getLogger(__name__)
LAST = max(kind for kind in Kind if kind is not Kind.NOTE)


@dataclass(frozen=True, slots=True)
class Wave:
    text: str


frames._NUMBERS[Wave] = 4242
frames._DECODERS[4242] = (1, Wave)
_fields = frames._fields


def fields(frame):
    """A frame of its own, and one field more in others."""
    if isinstance(frame, Wave):
        return (frame.text,)
    more = ("more",) if isinstance(frame, (frames.Have, frames.Follow, frames.Credit)) else ()
    return (*_fields(frame), *more)


frames._fields = fields
_link_up, _receive = replication.Replicator.link_up, replication.Replicator.receive


def link_up(self, link, peer, now):
    return [effects.Send(link, Wave("good morning")), *_link_up(self, link, peer, now)]


def receive(self, link, frame, now):
    if isinstance(frame, Wave):
        log.info("WAVE %s", frame.text)
        return []
    return _receive(self, link, frame, now)


replication.Replicator.link_up, replication.Replicator.receive = link_up, receive
_fold = fold.Fold._fold


def fold_note(self, entry, place, said):
    if entry.kind == Kind.NOTE:
        log.info("NOTE %s", unpack_payload(entry.payload)["text"])
        return None
    return _fold(self, entry, place, said)


fold.Fold._fold = fold_note
_hello_map = transcript._hello_map


def hello_map(hello):
    said = _hello_map(hello)
    return {**said, "weather": "fine", "features": sorted({*said["features"], "waves"})}


transcript._hello_map = hello_map


def with_mood(content):
    return lambda self: {**content(self), "mood": "fine"}


for kind in (colony.Card, colony.AgentCard, colony.Said, colony.NewChannel):
    kind.content = with_mood(kind.content)
_make_housekeeping = node.Node._make_housekeeping


async def keep(self):
    """Says what is in the file ``note``; praises somebody when told so."""
    note, praise = self.home.path / "note", self.home.path / "praise"
    if note.exists():
        text = note.read_text()
        await self.authoring.say(Kind.NOTE, {"text": text})
        note.unlink()
    if praise.exists():
        book = self.membership.book
        word = sign_statement(self.signer, "praise", book.colony, wall_clock_ms(), {"text": praise.read_text()})
        await self.membership.keep([word])
        self.runtime.carry_out(self.runtime.machine.gossip.committed([word], None))
        praise.unlink()


def make_housekeeping(self):
    made = _make_housekeeping(self)
    made.chores["tomorrow"] = lambda: keep(self)
    return made


node.Node._make_housekeeping = make_housekeeping
'''

_MINOR: Final = (
    ("__init__.py", '__version__ = "', f'__version__ = "{VERSION}"\n_before = "'),
    ("core/entry.py", "    OPEN = 1\n", "    OPEN = 1\n    NOTE = 4242\n"),
    (
        "daemon.py",
        "\nlog = logging.getLogger(__name__)\n",
        "\nimport maw.tomorrow\n\nlog = logging.getLogger(__name__)\n",
    ),
)


def tomorrow(folder: Path) -> Path:
    """The next minor version, in ``folder``: what to put on the Python path."""
    (_copy(folder) / "tomorrow.py").write_text(_MODULE)
    return _changed(folder, *_MINOR)


def speaking(folder: Path, versions: tuple[int, ...]) -> Path:
    """This version, in ``folder``, with these versions of the protocol."""
    _copy(folder)
    now = "VERSIONS: Final = (1,)"
    return _changed(folder, ("core/transcript.py", now, f"VERSIONS: Final = {versions}"))


def _copy(folder: Path) -> Path:
    source = Path(maw.__file__).parent
    return Path(shutil.copytree(source, folder / "maw", ignore=shutil.ignore_patterns("__pycache__")))


def _changed(folder: Path, *changes: tuple[str, str, str]) -> Path:
    for name, before, after in changes:
        path = folder / "maw" / name
        text = path.read_text()
        assert text.count(before) == 1, (
            f"{name} has moved on: {before!r} stands there {text.count(before)} times"
        )
        path.write_text(text.replace(before, after))
    return folder


class Versioned(Daemon):
    """A daemon that runs from ``tree``; None: from this one."""

    def __init__(self, home: Path, tree: Path | None = None) -> None:
        super().__init__(home)
        self.tree = tree

    def environment(self) -> dict[str, str]:
        own = super().environment()
        return own if self.tree is None else {**own, "PYTHONPATH": str(self.tree), "PYTHONSAFEPATH": "1"}
