"""Backups made, listed, rotated, cut short; and put back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maw.config import load_config
from maw.core.identity import Signer
from maw.errors import BadConfig, BadInput, Conflict, NotFound, Refused, Unavailable
from maw.node.backup_record import last_backup
from maw.node.backups import MAKING, Made, check_files, list_backups, make_backup, read_backup
from maw.node.home import NodeHome, hold_lock, key_file_bytes, read_key, write_new
from maw.node.restoring import check_finished, restore
from maw.store.copying import open_readonly
from tests.conftest import MakeHome
from tests.integration.nodes import running

SUNDAY = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


async def talked(make_home: MakeHome, texts: int = 3) -> NodeHome:
    home = make_home("mbp")
    async with running(home) as host:
        for n in range(texts):
            await host.post("owner", f"hi {n}")
    return home


def make(home: NodeHome, **more: Any) -> Made:
    return make_backup(home, **{"name": "mbp", **more})


def damage(database: Path) -> None:
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("UPDATE entries SET payload = zeroblob(40) WHERE place = (1 << 40) + 3")
        conn.commit()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_it_holds_what_is_needed_and_no_secret(make_home: MakeHome) -> None:
    home = await talked(make_home)
    made = make(home, now=SUNDAY)
    folder = home.backups / "maw-mbp-20261122T030000Z"
    assert made.backup.path == folder
    assert names(folder) == ["colony.db", "manifest.json", "maw.toml", "peers.toml", "trust.copy"]
    assert made.backup.messages == 3
    assert made.backup.own == (made.backup.own[0], 8)
    assert made.report.sound
    assert [path.stat().st_mode & 0o777 for path in (home.backups, folder)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert read_backup(folder) == made.backup
    check_files(made.backup)
    assert list_backups(home.backups) == ([made.backup], [])
    last = last_backup(home)
    assert (last.good_at, last.good_path, last.problem) == (SUNDAY, str(folder), None)


async def test_with_the_key_when_asked(make_home: MakeHome) -> None:
    home = await talked(make_home)
    made = make(home, with_key=True)
    assert made.backup.with_key
    assert read_key(made.backup.path / "node.key").node == read_key(home.key).node


async def test_it_is_made_while_the_node_talks(make_home: MakeHome) -> None:
    import asyncio

    home = make_home("mbp")
    async with running(home) as host:
        said = [await host.post("owner", f"{n}") for n in range(50)]
        task = asyncio.ensure_future(asyncio.to_thread(make, home))
        while not task.done():
            said.append(await host.post("owner", "more"))
        made = await task
    assert made.report.findings == []
    assert 50 <= made.backup.messages <= len(said)


async def test_rotation_keeps_the_newest_and_one_a_week(make_home: MakeHome) -> None:
    home = await talked(make_home)
    for day in range(16):
        made = make(home, keep=3, weeks=3, now=SUNDAY + timedelta(days=day))
    assert names(home.backups) == [
        "maw-mbp-20261129T030000Z", "maw-mbp-20261205T030000Z", "maw-mbp-20261206T030000Z",
        "maw-mbp-20261207T030000Z",
    ]  # fmt: skip
    assert made.removed == ("maw-mbp-20261122T030000Z", "maw-mbp-20261204T030000Z")


async def test_rotation_leaves_other_nodes_and_strangers_alone(make_home: MakeHome, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "holiday.jpg").write_text("x")
    (shared / "maw-notes").mkdir()
    one, other = make_home("mbp"), make_home("oracle")
    make_backup(other, shared, name="oracle", now=SUNDAY)
    for day in range(3):
        make_backup(one, shared, name="mbp", keep=1, weeks=0, now=SUNDAY + timedelta(days=day))
    assert names(shared) == [
        "holiday.jpg", "maw-mbp-20261124T030000Z", "maw-notes", "maw-oracle-20261122T030000Z"
    ]  # fmt: skip


async def test_a_damaged_database_is_copied_told_of_and_lets_no_sound_one_go(make_home: MakeHome) -> None:
    home = await talked(make_home)
    sound = make(home, now=SUNDAY)
    damage(home.database)
    made = make(home, keep=1, weeks=0, now=SUNDAY + timedelta(days=1))
    assert not made.backup.sound
    assert made.removed == ()
    again = make(home, keep=1, weeks=0, now=SUNDAY + timedelta(days=2))
    assert again.removed == (made.backup.path.name,), "one damaged is enough"
    assert [one.sound for one in list_backups(home.backups)[0]] == [False, True]
    last = last_backup(home)
    assert last.good_at == sound.backup.made_at
    assert last.problem is not None and "damaged" in last.problem


async def test_what_is_no_whole_backup_is_not_listed(make_home: MakeHome) -> None:
    home = await talked(make_home)
    for day in range(5):
        make(home, now=SUNDAY + timedelta(days=day))
    folders = sorted(home.backups.iterdir())
    (folders[0] / "manifest.json").unlink()
    (folders[1] / "manifest.json").write_text("{}")
    (folders[2] / "trust.copy").unlink()
    with (folders[3] / "colony.db").open("ab") as file:
        file.write(b"x")
    fields = json.loads((folders[4] / "manifest.json").read_text())
    found, broken = list_backups(home.backups)
    assert [one.path for one in found] == [folders[4]]
    assert len(broken) == 4
    fields["files"]["../../../etc/passwd"] = {"bytes": 1, "sha256": ""}
    (folders[4] / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(BadInput, match="other files"):
        read_backup(folders[4])


async def test_one_that_was_cut_short_is_removed_by_the_next(make_home: MakeHome) -> None:
    home = await talked(make_home)
    left = home.backups / f"{MAKING}maw-mbp-x"
    left.mkdir(parents=True)
    (left / "colony.db").write_text("half")
    assert list_backups(home.backups) == ([], [])
    make(home)
    assert not left.exists()


async def test_two_at_once_are_refused(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await talked(make_home)

    def meanwhile(*_: object) -> None:
        with pytest.raises(Conflict, match="another backup"):
            make(home)

    monkeypatch.setattr("maw.node.backups._check_room", meanwhile)
    make(home)
    assert len(list_backups(home.backups)[0]) == 1


async def test_what_stands_in_the_way_is_told_and_noted(make_home: MakeHome, tmp_path: Path) -> None:
    home = await talked(make_home)
    with pytest.raises(NotFound, match="mounted"):
        try:
            make(home, folder=tmp_path / "usb")
        except NotFound as error:
            raise NotFound(f"{error.message} {error.hint}") from None
    assert "usb" in str(last_backup(home).problem)
    with pytest.raises(Unavailable, match="MiB free"):
        make(home, reserve=1 << 60)
    assert names(home.backups) == []
    home.database.unlink()
    with pytest.raises(BadConfig, match=r"colony\.db is not there"):
        make(home)
    assert names(home.backups) == []


# -- put back --------------------------------------------------------------------------------------------


async def test_on_a_new_host_with_the_key_in_it(make_home: MakeHome, tmp_path: Path) -> None:
    made = make(await talked(make_home), with_key=True)
    new = NodeHome(tmp_path / "new")
    done = restore(new, made.backup.path)
    assert (done.aside, done.kept, done.notes) == (None, (), ())
    assert names(new.path) == [
        "colony.db",
        "maw.lock",
        "maw.toml",
        "node.key",
        "peers.toml",
        "seal.keys",
        "trust.copy",
    ]
    assert {path.stat().st_mode & 0o777 for path in new.path.iterdir()} == {0o600}
    async with running(new) as host:
        assert await host.channel() == ["hi 0", "hi 1", "hi 2"]
        old = made.backup.own
        await host.post("owner", "here again")
        assert host.node.state.newest_epoch(host.me)[0] > old[0], "a new epoch, on whatever host"
        assert host.node.state.seq >= int(SUNDAY.timestamp() - 400 * 86400) << 20, "no cursor skips"


async def test_it_opens_a_new_epoch_though_host_and_file_are_the_same(make_home: MakeHome) -> None:
    """The mark went with the disk, and the file system gave the same inode again: nothing else would tell."""
    home = await talked(make_home)
    made = make(home)
    home.mark.unlink()
    restore(home, made.backup.path, force=True)
    async with running(home) as host:
        assert host.node._opened.new_epoch == "the database was never run here"


async def test_with_the_key_kept_apart(make_home: MakeHome, tmp_path: Path) -> None:
    home = await talked(make_home)
    made = make(home)
    new = NodeHome(tmp_path / "new")
    with pytest.raises(BadInput, match=r"no node\.key"):
        restore(new, made.backup.path)
    wrong = tmp_path / "wrong.key"
    write_new(wrong, key_file_bytes("node", Signer(b"w" * 32).seed))
    with pytest.raises(Refused, match="is the key of"):
        restore(new, made.backup.path, key=wrong)
    assert not new.database.exists()
    assert "node.key" in restore(new, made.backup.path, key=home.key).taken


async def test_a_database_that_can_be_used_is_only_moved_aside_when_told_so(make_home: MakeHome) -> None:
    home = await talked(make_home)
    made = make(home)
    async with running(home) as host:
        await host.post("owner", "later")
    with pytest.raises(Conflict, match="can be used"):
        restore(home, made.backup.path)
    config = home.config.read_bytes()
    done = restore(home, made.backup.path, force=True)
    assert done.aside is not None
    assert "colony.db" in names(done.aside)
    assert set(done.kept) == {"node.key", "maw.toml", "peers.toml", "trust.copy"}
    assert home.config.read_bytes() == config
    async with running(home) as host:
        assert await host.channel() == ["hi 0", "hi 1", "hi 2"]
    with closing(sqlite3.connect(done.aside / "colony.db")) as conn:
        assert conn.execute("SELECT count(*) FROM messages").fetchone() == (4,)


@pytest.mark.parametrize("how", ["garbage", "gone", "page"])
async def test_a_broken_database_gives_way_unasked(make_home: MakeHome, how: str) -> None:
    home = await talked(make_home, 300)
    made = make(home)
    if how == "garbage":
        home.database.write_bytes(b"garbage" * 1000)
    elif how == "gone":
        home.database.unlink()
    else:
        data = bytearray(home.database.read_bytes())
        data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
        home.database.write_bytes(data)
    done = restore(home, made.backup.path)
    assert done.aside is not None or how == "gone"
    async with running(home) as host:
        assert len(await host.channel()) == 300


async def test_not_while_a_daemon_runs(make_home: MakeHome) -> None:
    home = await talked(make_home)
    made = make(home)
    with hold_lock(home), pytest.raises(Conflict, match="another maw daemon"):
        restore(home, made.backup.path, force=True)


async def test_another_nodes_backup(make_home: MakeHome) -> None:
    home, other = await talked(make_home), make_home("oracle")
    without = make_backup(other, name="oracle")
    with pytest.raises(BadInput, match="here is another node's"):
        restore(home, without.backup.path, force=True)
    made = make_backup(other, name="oracle", with_key=True)
    with pytest.raises(Refused, match="the backup is of"):
        restore(home, made.backup.path)
    done = restore(home, made.backup.path, force=True)
    assert done.aside is not None
    assert {"node.key", "node.mark", "maw.toml", "colony.db", "trust.copy"} <= set(names(done.aside))
    assert read_key(home.key).node == read_key(other.key).node
    assert load_config(home.config).name == "oracle"


@pytest.mark.parametrize("file", ["colony.db", "trust.copy", "maw.toml"])
async def test_a_backup_with_a_flipped_bit_is_refused(make_home: MakeHome, tmp_path: Path, file: str) -> None:
    made = make(await talked(make_home), with_key=True)
    path = made.backup.path / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    new = NodeHome(tmp_path / "new")
    with pytest.raises(BadInput, match=f"{file} is not what was written"):
        restore(new, made.backup.path)
    assert names(new.path) == ["maw.lock"]


async def test_cut_short_no_daemon_starts_and_the_same_again_finishes_it(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await talked(make_home)
    made = make(home)
    rename = Path.rename
    renames = 0
    for fails_at in (1, 2):
        renames = 0

        def cut(self: Path, target: Path, at: int = fails_at) -> Path:
            nonlocal renames
            if self.name.startswith("colony.db"):
                renames += 1
                if renames == at:
                    raise OSError(5, "cut")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", cut)
        with pytest.raises(Unavailable, match="could not be finished"):
            restore(home, made.backup.path, force=True)
        with pytest.raises(BadConfig, match="cut short"):
            check_finished(home)
        monkeypatch.setattr(Path, "rename", rename)
        restore(home, made.backup.path)
        check_finished(home)
        async with running(home) as host:
            assert await host.channel() == ["hi 0", "hi 1", "hi 2"]


async def test_a_bare_database_goes_where_key_and_settings_are(make_home: MakeHome, tmp_path: Path) -> None:
    home = await talked(make_home)
    bare = tmp_path / "copy.db"
    shutil.copy(make(home).backup.database, bare)
    home.database.unlink()
    restore(home, bare)
    async with running(home) as host:
        assert await host.channel() == ["hi 0", "hi 1", "hi 2"]
    with pytest.raises(BadInput):
        restore(NodeHome(tmp_path / "new"), bare, key=home.key)
    with pytest.raises(NotFound):
        restore(home, tmp_path / "nothing")


# -- trust ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_restore_does_not_undo_what_was_decided_since(make_home: MakeHome, by_hand: bool) -> None:
    from tests.integration.nodes import pair

    home, other = make_home("mbp"), make_home("oracle")
    async with running(home) as host, running(other) as guest:
        await pair(host, guest)
        made = make(home)
        await host.service.forget_peer(await host.owner(), "oracle")
        gone = guest.me
    if by_hand:
        for path in home.path.glob("colony.db*"):
            path.unlink()
        shutil.copy(made.backup.database, home.database)
    else:
        restore(home, made.backup.path, force=True)
    with closing(open_readonly(home.database)) as conn:
        assert conn.execute("SELECT count(*) FROM pins").fetchone() == (1,), "the backup still trusts it"
    async with running(home) as host:
        assert gone in host.node.membership.book.forgotten
        assert gone not in host.node.membership.book.trusted
