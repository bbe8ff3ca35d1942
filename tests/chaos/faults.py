"""What is done to hosts: each kind of fault has a beginning and an end."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from tests.chaos import schedule
from tests.chaos.box import Box, Heads, heads_in
from tests.chaos.effects import TABLE, look, lost, until_seen
from tests.chaos.schedule import Fault

Lost = Callable[[Box, str, Sequence[Heads]], None]
"""Told when the database of a host goes away, and by which kind of fault: with the heads of all that is kept."""


class Faults:
    """Carries them out. ``lost`` hears of each loss of a database, before the daemon comes back."""

    def __init__(self, boxes: Sequence[Box], lost: Lost) -> None:
        self._boxes = boxes
        self._lost = lost
        self._copies: dict[Fault, Path] = {}
        self._taken: dict[Fault, int] = {}

    def prepare(self, fault: Fault) -> None:
        """The copy that a rollback puts back is taken while the host is well."""
        box = self._boxes[fault.hosts[0]]
        self._copies[fault] = box.copy_database(f"{fault.at:g}.db")

    def begin(self, fault: Fault) -> None:
        box = self._boxes[fault.hosts[0]]
        match fault.kind:
            case schedule.CUT:
                box.host.cut()
            case schedule.CUT_PAIR:
                other = self._boxes[fault.hosts[1]]
                _deafen(box, other)
                _deafen(other, box)
            case schedule.DEAF:
                _deafen(box, self._boxes[fault.hosts[1]])
            case schedule.WG_DOWN:
                box.host.wg_down()
            case schedule.KILL:
                box.kill()
            case schedule.STOP:
                box.signal(signal.SIGSTOP)
            case schedule.RESTART:
                box.terminate()
            case schedule.CLOCK:
                box.set_clock(fault.amount)
            case schedule.FULL:
                box.fill()
            case schedule.ROLLBACK | schedule.DELETE:
                before = box.heads()
                box.kill()
                self._taken[fault] = lost(before, self._lose(box, fault.kind, self._copies.pop(fault, None)))
            case _:
                raise AssertionError(f"nobody knows how to begin {fault.kind}")

    def seen(self, fault: Fault) -> str | None:
        """What it does to its host, once it can be seen; None when it cannot."""
        seen = until_seen(lambda: look(fault, self._boxes))
        if seen is None or fault.kind not in schedule.DISASTERS:
            return seen
        return f"{self._taken[fault]:,} entries taken away" if self._taken[fault] else None

    def end(self, fault: Fault) -> None:
        box = self._boxes[fault.hosts[0]]
        match fault.kind:
            case schedule.CUT:
                box.host.heal()
            case schedule.CUT_PAIR | schedule.DEAF:
                for number in fault.hosts:
                    _hear_again(self._boxes[number])
            case schedule.WG_DOWN:
                box.host.wg_up()
            case schedule.STOP:
                box.signal(signal.SIGCONT)
            case schedule.CLOCK:
                box.set_clock(0)
            case schedule.FULL:
                box.free()
            case _:
                box.up()

    def _lose(self, box: Box, kind: str, copy: Path | None) -> Heads:
        """The heads of what is put back."""
        kept = [other.heads() for other in self._boxes if other is not box]
        left: Heads = {}
        if copy is not None:
            with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as conn:
                left = heads_in(conn)
            kept.append(left)
        self._lost(box, kind, kept)
        box.put_back(copy)
        return left


def _deafen(box: Box, other: Box) -> None:
    """``box`` hears nothing of ``other`` any more; what it says itself still arrives."""
    rule = f"add table {TABLE}; add chain {TABLE} in {{ type filter hook input priority 0; }};"
    rule += f" add rule {TABLE} in ip saddr {other.host.underlay} counter drop"
    box.host.run(["nft", rule])


def _hear_again(box: Box) -> None:
    box.host.run(["nft", "delete", "table", *TABLE.split()], check=False)


def is_kept(epoch: int, seq: int, author: str, kept: Iterable[Heads]) -> bool:
    """Whether any of these heads reaches the entry at this place."""
    return any(heads.get((author, epoch), 0) >= seq for heads in kept)
