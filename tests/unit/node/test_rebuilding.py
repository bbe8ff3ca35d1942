"""The power goes while a repaired database takes the damaged one's place: done again, nothing is missing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maw.errors import BadConfig
from maw.node.home import NodeHome
from maw.node.rebuilding import SAVED, rebuild, was_cut_short
from maw.node.restoring import check_finished
from tests.conftest import MakeHome
from tests.integration.nodes import running


class PowerCut(BaseException):
    pass


SAID = [f"said {n}" for n in range(5)]


@pytest.fixture
def home(make_home: MakeHome) -> NodeHome:
    made = make_home("mbp")

    async def say() -> None:
        async with running(made) as host:
            for text in SAID:
                await host.post("owner", text)

    asyncio.run(say())
    return made


async def read(home: NodeHome) -> list[str]:
    async with running(home) as host:
        return await host.channel()


def texts(database: Path) -> int:
    with closing(sqlite3.connect(database)) as conn:
        (count,) = conn.execute("SELECT count(*) FROM messages").fetchone()
    return int(count)


@pytest.mark.parametrize("after", range(4))
def test_cut_short_anywhere_it_is_finished(
    home: NodeHome, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """After so many files have moved: the write-ahead log goes first, and belongs to what is left behind."""
    (home.path / "colony.db-wal").touch()
    (home.path / "colony.db-shm").touch()
    moved: list[Path] = []
    rename, unlink = Path.rename, Path.unlink

    def cut(self: Path, target: Any) -> Path:
        if self.parent == home.path and self.name.startswith("colony.db"):
            if len(moved) == after:
                raise PowerCut
            moved.append(self)
        return rename(self, target)

    def keep(self: Path, missing_ok: bool = False) -> None:
        if self == home.unfinished_restore:
            raise PowerCut
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        patched.setattr(Path, "unlink", keep)
        with pytest.raises(PowerCut):
            rebuild(home)
    assert was_cut_short(home)
    with pytest.raises(BadConfig):
        check_finished(home)
    done = rebuild(home)
    check_finished(home)
    assert not (home.path / SAVED).exists()
    assert texts(home.database) == 5
    assert done.report.sound
    assert texts(done.aside / "colony.db") == 5, "the old one is whole, in one place"
    assert len(list(home.path.glob("damaged-*"))) == 1
    assert asyncio.run(read(home)) == SAID


def test_cut_short_before_its_last_step_it_is_finished_too(
    home: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def keep(self: Path, missing_ok: bool = False) -> None:
        if self == home.unfinished_restore:
            raise PowerCut
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", keep)
        with pytest.raises(PowerCut):
            rebuild(home)
    assert texts(home.database) == 5
    rebuild(home)
    check_finished(home)
    assert texts(home.database) == 5
