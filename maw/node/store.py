"""This node and its database: what nearly every part of a node stands on."""

from __future__ import annotations

from dataclasses import dataclass

from maw.core.identity import NodeId
from maw.store.database import Database
from maw.store.state import State
from maw.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Store:
    """``db`` is for reading, ``writer`` alone writes; ``state`` is what memory knows of what is written."""

    me: NodeId
    db: Database
    state: State
    writer: Writer
