"""Backups, restores and repairs of real daemons: killed in the middle, on full disks, with flipped bits."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from maw.errors import Unavailable
from maw.node import backups
from maw.node.home import NodeHome
from maw.store.copying import open_readonly
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.e2e.conftest import need
from tests.e2e.daemons import MAW, Daemon, MakeDaemon
from tests.e2e.lab import requirements_missing, wait_until

pytestmark = pytest.mark.timeout(180)


def say(node: Daemon, count: int, words: str) -> list[str]:
    connection = node.connect()
    texts = [f"{words} {n}" for n in range(count)]
    for text in texts:
        connection.request(
            "POST", "/api/channels/general/messages", json.dumps({"text": text}),
            {"X-Maw-Agent": "owner", "Content-Type": "application/json"},
        )  # fmt: skip
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        answer.read()
    connection.close()
    return texts


def texts(node: Daemon) -> list[str]:
    return [message["text"] for message in node.channel()]


def pair(one: Daemon, other: Daemon) -> None:
    line = json.loads(one.maw("invite", "--json"))["line"]
    other.maw("join", line)


def begun(making: subprocess.Popen[bytes], folder: Path) -> bool:
    return making.poll() is not None or any(folder.glob(".making-*"))


def test_killed_at_any_moment_no_half_backup_is_listed(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    say(node, 60, "x" * 30_000)
    folder = node.home / "backups"
    random_ = random.Random(7)
    halves = 0
    for _ in range(8):
        making = subprocess.Popen([*MAW, "backup"], env=node.environment(), stdout=-3, stderr=-3)
        wait_until(partial(begun, making, folder), "it has begun")
        time.sleep(random_.random() * 0.15)
        making.send_signal(signal.SIGKILL)
        making.wait(10)
        halves += any(folder.glob(".making-*"))
        found, broken = backups.list_backups(folder)
        assert broken == []
        for one in found:
            node.maw("verify", str(one.path))
    assert halves, "none was hit in the middle: this shows nothing"
    made = json.loads(node.maw("backup", "--json"))
    assert made["sound"]
    assert not list(folder.glob(".making-*"))


def test_a_full_disk_leaves_nothing_half(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(requirements_missing())
    home = make_home("mbp")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        with pytest.raises(Unavailable, match="MiB free"):
            backups.make_backup(home, disk, name="mbp")
        monkeypatch.setattr(backups, "_check_room", lambda *_: None)  # somebody else filled it meanwhile
        with pytest.raises(Unavailable):
            backups.make_backup(home, disk, name="mbp")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_dead_disk_a_new_host_and_everything_is_back(daemon: MakeDaemon, tmp_path: Path) -> None:
    mbp, oracle = daemon("mbp"), daemon("oracle")
    pair(mbp, oracle)
    early = say(mbp, 20, "early")
    made = json.loads(mbp.maw("backup", "--with-key", "--json"))
    kept = tmp_path / "usb"
    shutil.copytree(made["path"], kept)
    late = [*say(mbp, 20, "late"), *say(oracle, 20, "theirs")]
    wait_until(lambda: set(early + late) <= set(texts(oracle)), "the peer has all")
    mbp.kill()
    shutil.rmtree(mbp.home)
    new = Daemon(tmp_path / "new")
    said = new.maw("restore", str(kept))
    assert "next: start it" in said
    try:
        new.start()
        wait_until(lambda: set(early + late) <= set(texts(new)), "what came after the backup is back", 30)
        assert len(texts(new)) == 60, "and nothing twice"
        again = say(new, 1, "again")
        wait_until(lambda: again[0] in texts(oracle), "and it speaks on")
    finally:
        new.__exit__(None, None, None)


def test_it_refuses_while_the_daemon_runs(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    path = json.loads(node.maw("backup", "--json"))["path"]
    done = subprocess.run(
        [*MAW, "restore", path, "--force"],
        env=node.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "another maw daemon" in done.stderr


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_mended_and_nothing_acknowledged_is_lost(daemon: MakeDaemon, seed: int) -> None:
    """Bits flipped anywhere in the file of a stopped node: it is repaired, started, and has everything."""
    random_ = random.Random(seed)
    mbp, oracle = daemon("mbp"), daemon("oracle")
    pair(mbp, oracle)
    said = [*say(mbp, 150, "ours"), *say(oracle, 150, "theirs")]
    wait_until(lambda: set(said) == set(texts(mbp)) == set(texts(oracle)), "both have all", 30)
    assert mbp.stop() == 0
    database = mbp.home / "colony.db"
    data = bytearray(database.read_bytes())
    for _ in range(6):
        bit = random_.randrange(8 * 4096, 8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
    database.write_bytes(data)
    done = subprocess.run(
        [*MAW, "verify", "--repair"], env=mbp.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 6), done.stderr
    assert "Traceback" not in done.stderr
    mbp.start()

    def whole() -> bool:
        found = texts(mbp)
        return set(said) <= set(found) and not any("damaged" in text for text in found)

    wait_until(whole, f"everything is back: {done.stdout}{done.stderr}", 60)
    assert len(texts(mbp)) == len(said), "and nothing twice"
    with closing(open_readonly(NodeHome(mbp.home).database)) as conn:
        report = verify_database(conn)
    assert report.findings == []


def flip_in_place(database: Path, marks: list[bytes]) -> int:
    """One bit in each of these texts as they lie in the file, written as a disk that rots would: past everybody."""
    data = database.read_bytes()
    flipped = 0
    with database.open("r+b") as file:
        for mark in marks:
            at = data.find(mark)
            if at >= 0:
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
                flipped += 1
    return flipped


def verified(node: Daemon) -> bool:
    done = subprocess.run([*MAW, "verify"], env=node.environment(), capture_output=True, check=False)
    return done.returncode == 0


def alerts(node: Daemon) -> set[str]:
    return {alert["kind"] for alert in json.loads(node.maw("status", "--json"))["alerts"]}


@pytest.mark.parametrize("told_to", [True, False])
def test_bits_flipped_under_a_running_daemon_are_mended_without_a_restart(
    daemon: MakeDaemon, told_to: bool
) -> None:
    """It notices by itself; `maw verify --repair` has it done at once. Whatever is read meanwhile is whole or is
    said to be damaged."""
    mbp, oracle = daemon("mbp"), daemon("oracle")
    pair(mbp, oracle)
    said = [*say(mbp, 100, "ours"), *say(oracle, 100, "theirs")]
    wait_until(lambda: set(said) == set(texts(mbp)) == set(texts(oracle)), "both have all", 30)
    before = texts(mbp)
    marks = [text.encode() for text in (said[7], said[50], said[110], said[180])]
    database = mbp.home / "colony.db"
    wait_until(lambda: all(mark in database.read_bytes() for mark in marks), "the log is folded in", 20)
    assert flip_in_place(database, marks) == len(marks)
    before += say(mbp, 1, "later")  # after a commit SQLite reads from the disk what it remembered until then
    said.append(before[-1])
    served = texts(mbp)
    assert all(text in said or "damaged on this disk" in text for text in served)
    if told_to:
        done = subprocess.run(
            [*MAW, "verify", "--repair"], env=mbp.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert texts(mbp) == before
    wait_until(lambda: texts(mbp) == before and verified(mbp), "all is whole again", 60)
    wait_until(lambda: "damaged" not in alerts(mbp), "and it is told of no more", 30)
    mbp.maw("verify")
    again = say(mbp, 1, "again")
    wait_until(lambda: again[0] in texts(oracle), "it speaks on")


@pytest.mark.parametrize("torn", ["first page", "last quarter", "emptied middle"])
def test_what_is_left_of_a_torn_file_is_saved_and_the_rest_fetched(daemon: MakeDaemon, torn: str) -> None:
    mbp, oracle = daemon("mbp"), daemon("oracle")
    pair(mbp, oracle)
    long = "x" * 800  # more pages of entries than of empty tables: a tear is to leave some of them
    said = [*say(mbp, 150, f"ours {long}"), *say(oracle, 150, f"theirs {long}")]
    wait_until(lambda: set(said) == set(texts(mbp)) == set(texts(oracle)), "both have all", 30)
    assert mbp.stop() == 0
    database = mbp.home / "colony.db"
    data = database.read_bytes()
    half = len(data) // 2 & ~4095
    if torn == "first page":
        database.write_bytes(bytes(4096) + data[4096:])
    elif torn == "last quarter":
        database.write_bytes(data[: half + half // 2 & ~4095])
    else:
        database.write_bytes(data[: half // 2] + bytes(half) + data[half // 2 + half :])
    code, refused = mbp.fails()
    assert code == 2, refused
    assert "maw verify --repair" in refused
    done = subprocess.run(
        [*MAW, "verify", "--repair"], env=mbp.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 6) and "written anew" in done.stderr, done.stdout + done.stderr
    mbp.start()
    wait_until(lambda: set(said) <= set(texts(mbp)), f"everything is back: {done}", 60)
    assert len(texts(mbp)) == len(said), "and nothing twice"
    wait_until(lambda: "owner" in mbp.maw("agent", "list"), "its agents are back too", 30)
    again = say(mbp, 1, "again")
    wait_until(lambda: again[0] in texts(oracle), "and it speaks on")
