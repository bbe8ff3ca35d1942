"""One change to one file of others: planned, shown, carried out, recorded; and undone."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maw.agents.installing import files
from maw.agents.installing.files import Found
from maw.agents.installing.record import Entry, Record, digest
from maw.errors import BadInput


class Piece(Protocol):
    """What maw puts into a file, as text rules. ``put`` and ``take`` may raise BadInput on what they cannot read."""

    @property
    def kind(self) -> str: ...

    def put(self, text: str) -> str:
        """``text``, which holds nothing of maw's, with its piece in it."""

    def take(self, text: str, before: str | None) -> str:
        """``text`` without maw's piece; ``before``: how it was before maw came, where it is known."""

    def is_current(self, text: str) -> bool:
        """Whether exactly this piece is in it."""

    def is_there(self, text: str) -> bool:
        """Whether it holds anything of maw's."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a file. ``new`` None: it is removed; ``new`` as ``found.text``: nothing is to be done."""

    found: Found
    new: str | None
    entry: Entry | None

    @property
    def path(self) -> Path:
        return self.found.path

    @property
    def is_none(self) -> bool:
        return self.new == self.found.text

    def diff(self) -> str:
        """As ``diff -u`` writes it; empty where nothing changes."""
        old, new = (self.found.text or ""), (self.new or "")
        names = (
            "/dev/null" if self.found.text is None else str(self.path),
            "/dev/null" if self.new is None else str(self.path),
        )
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
        return "".join(f"{line}\n" for line in lines)


def installing(piece: Piece, path: Path, within: Path, record: Record) -> Change:
    """The change that puts ``piece`` into the file, or brings what an older maw put there up to date."""
    found = files.look(path, within)
    text = found.text or ""
    entry = record.entry(found.path)
    with _named(found.path):
        if found.text is not None and piece.is_current(text):
            return Change(found, found.text, entry)
        before: str | None = found.text
        if entry is not None and record.is_as_left(found.path, found.text):
            before = entry.before
        elif piece.is_there(text):
            before = piece.take(text, entry.before if entry is not None else None)
        new = piece.put(before or "")
    folders = entry.folders if entry is not None else []
    return Change(found, new, Entry(piece.kind, before, digest(new), folders))


def removing(piece: Piece, path: Path, within: Path, record: Record) -> Change:
    """The change that takes maw's piece out: what was there before, where nobody edited the file since."""
    found = files.look(path, within)
    entry = record.entry(found.path)
    if found.text is None:
        return Change(found, None, None)
    with _named(found.path):
        if entry is not None and record.is_as_left(found.path, found.text):
            return Change(found, entry.before, None)
        if not piece.is_there(found.text):
            return Change(found, found.text, None)
        before = entry.before if entry is not None else None
        left = piece.take(found.text, before)
        return Change(found, left if left or before else None, None)


def carry_out(change: Change, record: Record) -> None:
    """The record first, so that a change is never there without the way back."""
    before = record.entries.get(str(change.path))
    if change.entry is not None and change.entry != before:
        record.entries[str(change.path)] = change.entry
        record.write()
    if not change.is_none:
        _write(change, record, before)
    if change.entry is None and record.entries.pop(str(change.path), None) is not None:
        record.write()


def _write(change: Change, record: Record, before: Entry | None) -> None:
    if change.new is None:
        files.delete(change.found, [Path(one) for one in before.folders] if before is not None else [])
        return
    made = files.write(change.found, change.new)
    if made and change.entry is not None:
        entry = change.entry
        folders = [*entry.folders, *map(str, made)]
        record.entries[str(change.path)] = Entry(entry.kind, entry.before, entry.after, folders)
        record.write()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors inside say which file it is, and that nothing was changed."""
    try:
        yield
    except BadInput as error:
        hint = error.hint or "nothing was changed: mend the file, and run the same again"
        raise BadInput(f"{path}: {error.message}", code=error.code, hint=hint) from None
