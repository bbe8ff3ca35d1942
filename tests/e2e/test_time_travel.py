"""Nodes that are put back in time, copied, robbed of files: real daemons, and a checker of every acknowledged word.

``World.check`` is what each story ends with: whatever any daemon ever acknowledged stands on every node once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until
from tests.e2e.world import LOSABLE, World, inbox, other_ports, put_back, states, texts, told, users

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def world(make_home: MakeHome, tmp_path: Path) -> Iterator[World]:
    made = World(make_home, tmp_path)
    made.pair()
    made.say(made.mbp, "before: from mbp")
    made.say(made.oracle, "before: from oracle")
    made.check()
    yield made
    for daemon in made.started:
        daemon.__exit__(None, None, None)


@pytest.fixture
def night(world: World) -> Path:
    """mbp as it was last night; since then a day has passed."""
    world.stop(world.mbp)
    copy = world.copy(world.mbp, "night")
    world.start(world.mbp)
    world.linked(world.mbp)
    for n in range(20):
        world.say(world.mbp, f"today {n}", "arthur")
    world.mail(world.mbp, "neo", "for you alone", "arthur")
    world.check()
    wait_until(lambda: inbox(world.oracle, "neo") == ["for you alone"], "neo has his mail")
    return copy


def in_the_dark(world: World, count: int = 3) -> None:
    """mbp speaks before any peer can tell it what it has forgotten."""
    world.stop(world.oracle)
    world.start(world.mbp)
    for n in range(count):
        world.say(world.mbp, f"in the dark {n}", "arthur")
    world.mail(world.mbp, "neo", "are you there?", "arthur")
    world.start(world.oracle)


def test_a_database_restored_beside_its_key(world: World, night: Path) -> None:
    """The mark beside the key is ahead of it: a new epoch, and nothing contradicts."""
    world.stop(world.mbp)
    put_back(night, world.mbp.home, only=LOSABLE)
    in_the_dark(world)
    world.check()
    assert "older than what this node has already said" in told(world.mbp, "recovery")
    assert sorted(inbox(world.oracle, "neo")) == ["are you there?", "for you alone"]
    assert not [a for a in world.oracle.ask("GET", "/api/status")[1]["alerts"] if a["kind"] == "fork"]


def test_a_whole_directory_restored_and_silent_until_it_links(world: World, night: Path) -> None:
    world.stop(world.mbp)
    put_back(night, world.mbp.home)
    world.start(world.mbp)
    world.check()
    world.say(world.mbp, "and on")
    world.check()


def test_a_whole_directory_restored_that_speaks_first(world: World, night: Path) -> None:
    """Mark, file and boot say that nothing has happened: this makes a true fork, and it is put right."""
    world.stop(world.mbp)
    put_back(night, world.mbp.home)
    in_the_dark(world)
    world.check()
    assert "was put back" in told(world.mbp, "own_fork")
    assert sorted(inbox(world.oracle, "neo")) == ["are you there?", "for you alone"], "each once"
    world.say(world.mbp, "and on")
    world.say(world.oracle, "and on too")
    world.check()
    world.stop()
    world.start()
    world.check()


def test_put_back_twice_and_killed_while_it_is_put_right(world: World, night: Path) -> None:
    """Each time another branch, and no clean end anywhere."""
    for round_ in range(2):
        world.mbp.kill()
        put_back(night, world.mbp.home)
        world.stop(world.oracle)
        world.start(world.mbp)
        for n in range(15):
            world.say(world.mbp, f"in the dark {round_} {n}", "arthur")
        world.start(world.oracle)
        wait_until(lambda: "linked" in states(world.mbp), "they meet", 30)
        world.mbp.kill()
        world.start(world.mbp)
        world.check()


def test_a_copied_directory_beside_the_original_and_alone(world: World) -> None:
    world.stop(world.mbp)
    twin = Daemon(world.copy(world.mbp, "twin"))
    world.started.append(twin)
    other_ports(twin.home)
    world.start(world.mbp)
    world.linked(world.mbp)
    twin.start()
    assert "two running nodes hold the key" in told(world.oracle, "copied_host")
    world.say(world.mbp, "I am the one")
    world.say(twin, "no, I am")
    wait_until(lambda: "I am the one" in texts(world.oracle), "the first is heard", 20)
    assert "no, I am" not in texts(world.oracle), "the newer one is not"
    world.stop(world.mbp)
    world.linked(twin)
    world.check(world.oracle, twin)
    world.stop(twin)
    world.start(world.mbp)
    world.check()
    world.say(world.mbp, "and on")
    world.check()


def test_a_copy_and_its_original_that_both_spoke_alone(world: World) -> None:
    """Same boot, same machine; only the file is another: neither knows of the other's words."""
    world.stop()
    twin = Daemon(world.copy(world.mbp, "twin"))
    world.started.append(twin)
    other_ports(twin.home)
    for one, text in ((twin, "the copy's"), (world.mbp, "the original's")):
        one.start()
        world.say(one, text)
        world.stop(one)
    world.start(world.oracle, twin)
    world.linked(twin)
    wait_until(lambda: "the copy's" in texts(world.oracle), "oracle has the copy's", 20)
    world.stop(twin)
    world.start(world.mbp)
    world.check()
    world.stop(world.mbp)
    world.start(twin)
    world.check(world.oracle, twin)


@pytest.mark.parametrize("also", [(), ("node.mark",), ("node.mark", "maw.lock")], ids=len)
def test_a_deleted_database_comes_back_from_the_peers(
    world: World, night: Path, also: tuple[str, ...]
) -> None:
    assert night.exists()
    cursor = world.mbp.channel()[-1]["seq"]
    world.stop(world.mbp)
    for name in (*LOSABLE, *also):
        (world.mbp.home / name).unlink(missing_ok=True)
    in_the_dark_without_agents(world)
    world.check()
    assert "the database was new" in told(world.mbp, "recovery")
    seqs = [item["seq"] for item in world.mbp.channel()]
    assert min(seqs) > cursor, "an old cursor repeats, and skips nothing"


def in_the_dark_without_agents(world: World) -> None:
    """A node that lost its database has lost its agents too, until its log comes back."""
    world.start(world.mbp)
    wait_until(lambda: "arthur" in users(world.mbp), "its agents came back with its log", 30)
    world.say(world.mbp, "here again", "arthur")


def test_only_the_key_is_left(world: World, night: Path) -> None:
    """No trust either: it says the ways out, and one of them works."""
    assert night.exists()
    world.stop(world.mbp)
    colony = world.oracle.ask("GET", "/api/status")[1]["colony"]
    key = world.oracle.ask("GET", "/api/whoami", agent="owner")[1]["node_key"]
    address = mesh_address(world.oracle)
    for name in (*LOSABLE, "node.mark", "trust.copy"):
        (world.mbp.home / name).unlink(missing_ok=True)
    code, said = world.mbp.fails()
    assert code == 2, said
    assert "peers.toml" in said
    assert "Traceback" not in said
    (world.mbp.home / "peers.toml").write_text(
        f'[colony]\nid = "{colony}"\n[[peer]]\nname = "oracle"\nkey = "{key}"\naddresses = ["{address}"]\n'
    )
    in_the_dark_without_agents(world)
    world.check()


def mesh_address(daemon: Daemon) -> str:
    mesh = daemon.ask("GET", "/api/status")[1]["mesh"]
    return str(mesh[0]["address"])


def all_rows(database: Path) -> list[str]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        rows = list(db.iterdump())
    db.close()
    return rows


def _no_key(home: NodeHome) -> None:
    home.key.unlink()


def _a_strangers(home: NodeHome) -> None:
    from maw.core.identity import Signer
    from maw.node.home import key_file_bytes

    home.key.unlink()
    home.key.write_bytes(key_file_bytes("node", Signer(os.urandom(32)).seed))
    home.key.chmod(0o600)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_no_key, ("node.key is not there", "backup", "recovery")),
        (_a_strangers, ("another key", "node.key")),
    ],
)
def test_a_deleted_key(world: World, break_it: Callable[[NodeHome], None], words: tuple[str, ...]) -> None:
    """Nothing goes on under another key in silence: the ways out are said, and the old key is one."""
    world.stop(world.mbp)
    home = NodeHome(world.mbp.home)
    key, rows = home.key.read_bytes(), all_rows(home.database)
    break_it(home)
    code, said = world.mbp.fails()
    assert code == 2, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert all_rows(home.database) == rows, "nothing was changed"
    home.key.write_bytes(key)
    home.key.chmod(0o600)
    world.start(world.mbp)
    world.say(world.mbp, "here again")
    world.check()


def test_a_lost_key_is_replaced_by_the_recovery_key_and_all_is_kept(world: World) -> None:
    """The ways out that are said work: the second is a new key for the same host, agents and mail."""
    old = world.mbp.maw("key").strip()
    recovery = world.mbp.home / "recovery.key"
    off_host = shutil.move(recovery, world.tmp_path / "off-host.key")
    world.say(world.mbp, "said under the old key", "arthur")
    world.mail(world.oracle, "arthur", "for arthur", "neo")
    world.check()
    wait_until(lambda: inbox(world.mbp, "arthur") == ["for arthur"], "arthur has his mail")
    world.stop(world.mbp)
    (world.mbp.home / "node.key").unlink()
    _, said = world.mbp.fails()
    assert "maw key rotate --recovery FILE --old KEY" in " ".join(said.split()), said
    world.mbp.maw("key", "rotate", "--recovery", str(off_host), "--old", old, "--why", "its file was lost")
    world.start(world.mbp)
    assert world.mbp.maw("key").strip() != old
    world.linked(world.mbp)
    world.say(world.mbp, "said under the new one", "arthur")
    world.check()
    for daemon in (world.mbp, world.oracle):
        by = {item["text"]: item["author"] for item in daemon.channel()}
        assert by["said under the new one"] == "arthur@mbp"
        assert by["said under the old key"].startswith("arthur@mbp"), "with a piece of the old key"
    assert inbox(world.mbp, "arthur") == ["for arthur"]
    world.mail(world.oracle, "arthur", "and this", "neo")
    wait_until(lambda: inbox(world.mbp, "arthur") == ["for arthur", "and this"], "mail finds him")
    assert "its file was lost" in world.oracle.maw("revoke")


def test_a_new_host_for_one_that_is_gone_with_its_key(world: World, make_home: MakeHome) -> None:
    """No key, no recovery key, no disk: what it said stays with the others, and who takes its place is told apart."""
    world.say(world.mbp, "the last word", "arthur")
    world.check()
    world.stop(world.mbp)
    operator = (world.mbp.home / "operator.key").rename(world.tmp_path / "off-host.key")
    shutil.rmtree(world.mbp.home)
    fresh = Daemon(make_home("mbp").path).start()
    world.started.append(fresh)
    fresh.maw("join", world.oracle.maw("invite").strip())
    world.linked(fresh)
    world.check(world.oracle, fresh)
    said = told(world.oracle, "name")
    assert "mbp" in said
    gone = next(peer for peer in world.oracle.ask("GET", "/api/peers")[1] if peer["state"] != "linked")
    world.oracle.maw("revoke", gone["key"], "--why", "its disk died", "--key", str(operator))
    world.say(fresh, "in its place")
    world.check(world.oracle, fresh)
    wait_until(lambda: "name" not in kinds(world.oracle), "there is one mbp now", 20)


def kinds(daemon: Daemon) -> set[str]:
    return {alert["kind"] for alert in daemon.ask("GET", "/api/status")[1]["alerts"]}


def test_a_database_swapped_under_a_stopped_process(world: World, night: Path) -> None:
    """As a snapshot of the disk is rolled back under a virtual machine that is paused: what it says from then on
    would go into a file that nobody will open again."""
    process = world.mbp.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    database = world.mbp.home / "colony.db"
    for name in LOSABLE:
        (world.mbp.home / name).unlink(missing_ok=True)
    database.write_bytes((night / "colony.db").read_bytes())
    process.send_signal(signal.SIGCONT)
    assert "that this node has open" in told(world.mbp, "disk")
    status, refused = world.mbp.ask("POST", "/api/channels/general/messages", {"text": "x"}, agent="owner")
    assert (status, refused["error"]["code"]) == (503, "read_only")
    world.mbp.kill()
    world.start(world.mbp)
    world.say(world.mbp, "here again")
    world.check()
