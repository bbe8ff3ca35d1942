"""Entries that are held and not shown, and why: for now, or for good; and rows that a database will not have."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from maw.core.transcript import plain_words


class UnfoldableError(Exception):
    """The database will not have the rows of this job, and it is not the disk: what an entry says must be at
    fault. ``take_carefully`` finds which."""


class Withheld(Exception):
    """An entry is held and not shown, for ``why``; it is folded again when that ends."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def unread(kind: int) -> str:
    """Why an entry of a kind that this version does not know is withheld; a version that does reads it then."""
    return f"kind {kind}"


@dataclass(slots=True)
class SetAside:
    """An entry whose payload could not be folded."""

    id: str
    why: str


def reason(error: Exception) -> str:
    """One line that says what was wrong; the kind of error too where it is none that a reader raises."""
    words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return plain_words(words)[:200]


def named(error: Exception) -> Exception:
    """Of the disk: full, read-only, failing (Operational), damaged (just DatabaseError); else the rows are at fault."""
    is_disk = isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
    return error if is_disk or isinstance(error, MemoryError) else UnfoldableError(reason(error))
