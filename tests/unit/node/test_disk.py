"""The reserve of free disk: below it read-only, back a little above it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from maw.node.disk import DiskGuard

MIB = 1 << 20


def test_it_says_so_once_each_way_and_does_not_flap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1000]
    monkeypatch.setattr(
        "maw.node.disk.os.statvfs", lambda _: SimpleNamespace(f_bavail=free[0], f_frsize=MIB, f_flag=0)
    )
    told: list[str | None] = []
    guard = DiskGuard(tmp_path, 256 * MIB, told.append)
    for free[0] in (1000, 256, 255, 100, 256, 281, 282, 1000, 256):
        guard.check()
    assert [bool(what) for what in told] == [True, False]
    assert "less free than the 256 MiB" in (told[0] or "")
    assert guard.free == 256 * MIB


def test_the_real_disk_is_looked_at(tmp_path: Path) -> None:
    told: list[str | None] = []
    DiskGuard(tmp_path, 0, told.append).check()
    assert told == []
    DiskGuard(tmp_path, 1 << 62, told.append).check()
    assert len(told) == 1


def test_read_only_and_unanswering_disks_are_told_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str | None] = []
    guard = DiskGuard(tmp_path, 256 * MIB, told.append)
    state = SimpleNamespace(f_bavail=1000, f_frsize=MIB, f_flag=0)

    def asked(_: Path) -> SimpleNamespace:
        if state.f_bavail is None:
            raise OSError(5, "Input/output error")
        return state

    monkeypatch.setattr("maw.node.disk.os.statvfs", asked)
    guard.check()
    state.f_flag = os.ST_RDONLY
    guard.check()
    guard.check()
    state.f_bavail = None
    guard.check()
    state.f_bavail, state.f_flag = 1000, 0
    guard.check()
    assert len(told) == 3
    assert "read-only" in (told[0] or "")
    assert "does not answer: Input/output error" in (told[1] or "")
    assert told[2] is None
