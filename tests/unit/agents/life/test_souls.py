"""A broken soul is noticed, put aside and restored; a sound one costs two looks at the disk; nothing is led astray."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from maw.agents.life import ensouling, git, guarding, souls
from maw.agents.life.home import AgentHome, read_home, write_home
from maw.agents.life.pulse import only_pulse
from maw.agents.life.souls import COLONY, COPY, GIT, check_soul, note_synced, put, read_soul
from maw.cli import souls as cli
from maw.core.souls import MAX_SOUL_BYTES, soul_hash
from maw.errors import Conflict, NotFound, NotRunning, Refused

SOUL = "# scout\n\nI look around, and I say what I see.\n"
LATER = 10.0


@pytest.fixture
def home(tmp_path: Path) -> AgentHome:
    write_home(tmp_path / "scout", "scout", soul=SOUL)
    return read_home(tmp_path / "scout")


def look(home: AgentHome, colony: souls.Fetch | None = None) -> souls.Checked:
    """A while after whatever was written."""
    return check_soul(home, colony, now=time.time() + LATER)


def commit(folder: Path) -> None:
    who = ("-c", "user.name=o", "-c", "user.email=o@example.org")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "soul")):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def broken(home: AgentHome) -> list[bytes]:
    return [one.read_bytes() for one in sorted(home.folder.glob("soul.md.broken-*"))]


def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(home: AgentHome) -> bytes | None:
        raise AssertionError("nothing has changed: nobody reads it")

    monkeypatch.setattr(souls, "read_soul", read)


def test_what_is_as_it_was_is_not_read_again(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    first = look(home)
    assert (first.hash, first.fault, first.synced) == (soul_hash(SOUL), None, False)
    note_synced(home, soul_hash(SOUL))
    no_files(monkeypatch)
    assert look(home).synced and look(home).sound


def test_what_was_written_a_moment_ago_is_looked_at_again(home: AgentHome) -> None:
    assert check_soul(home).sound
    info = home.soul.stat()
    home.soul.write_text("x" * len(SOUL))
    os.utime(home.soul, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert check_soul(home).hash == soul_hash("x" * len(SOUL))


def test_a_home_that_came_from_another_host_tells_its_soul_there(home: AgentHome, tmp_path: Path) -> None:
    look(home)
    note_synced(home, soul_hash(SOUL))
    assert look(home).synced
    shutil.copytree(home.folder, tmp_path / "moved")
    assert not look(read_home(tmp_path / "moved")).synced
    check_soul(home)
    shutil.copytree(home.folder, tmp_path / "again")
    assert not look(read_home(tmp_path / "again")).synced


def test_what_its_owner_wrote_is_the_soul_now(home: AgentHome) -> None:
    look(home)
    note_synced(home, soul_hash(SOUL))
    home.soul.write_text(SOUL + "And I am kind.\n")
    changed = look(home)
    assert (changed.fault, changed.synced) == (None, False)
    assert broken(home) == []


@pytest.mark.parametrize(
    "data", [b"", b"\0" * len(SOUL), SOUL.encode()[:20], b"\xff\xfe", b"x" * (MAX_SOUL_BYTES + 1)]
)
def test_a_broken_one_is_put_aside_and_restored(home: AgentHome, data: bytes) -> None:
    look(home)
    home.soul.write_bytes(data)
    found = look(home)
    assert (found.restored_from, found.hash) == (COPY, soul_hash(SOUL))
    assert home.soul.read_text() == SOUL and broken(home) == [data]
    assert found.broken is not None and "restored from" in str(found.words(home))
    assert look(home).fault is None
    home.soul.write_bytes(data)
    look(home)
    assert broken(home) == [data], "the same once more is kept once"


def test_a_missing_one_comes_back(home: AgentHome) -> None:
    look(home)
    home.soul.unlink()
    assert look(home).restored_from == COPY
    assert home.soul.read_text() == SOUL and broken(home) == []


def test_git_first_and_the_version_that_was_known_wherever_it_is(home: AgentHome) -> None:
    commit(home.folder)
    look(home)
    home.soul.write_bytes(b"")
    assert look(home).restored_from == GIT
    home.soul.write_text(SOUL + "Not committed yet.\n")
    look(home)
    home.soul.write_bytes(b"")
    assert look(home).restored_from == COPY, "git has an older one"
    assert home.soul.read_text() == SOUL + "Not committed yet.\n"
    for part in ("soul.json", "soul.known"):
        (home.own / part).unlink()
    home.soul.write_bytes(b"")
    assert look(home).restored_from == GIT, "older is better than none"
    assert home.soul.read_text() == SOUL


def test_from_the_colony_where_nobody_else_has_it(home: AgentHome) -> None:
    def ask() -> str:
        return SOUL

    home.soul.write_bytes(b"")
    assert look(home).sound is False
    assert home.soul.read_bytes() == b"" and broken(home) == [], "nothing is changed where nothing is found"

    def nobody() -> str:
        raise NotRunning("no daemon")

    assert look(home, nobody).sound is False
    found = look(home, ask)
    assert (found.restored_from, found.synced) == (COLONY, True)
    home.soul.write_text(SOUL)
    assert look(home, lambda: "\0").sound, "a sound file asks nobody"


def test_a_broken_version_restores_nothing(home: AgentHome) -> None:
    home.soul.write_text("<<<<<<< a\n=======\n>>>>>>> b\n")
    commit(home.folder)
    assert look(home, lambda: "a\0b").sound is False


def test_a_link_is_replaced_and_never_written_through(home: AgentHome, tmp_path: Path) -> None:
    away = home.folder / "kept" / "scout.md"
    away.parent.mkdir()
    away.write_text(SOUL)
    commit(away.parent)
    home.soul.unlink()
    home.soul.symlink_to(away)
    assert look(home).hash == soul_hash(SOUL)
    away.write_bytes(b"")
    for part in ("soul.json", "soul.known"):
        (home.own / part).unlink()
    found = look(home)
    assert found.restored_from == GIT and found.broken is not None
    assert away.read_bytes() == b"" and not home.soul.is_symlink() and home.soul.read_text() == SOUL
    assert found.broken.is_symlink() and found.broken.readlink() == away
    trap = tmp_path / "trap"
    trap.write_text("keys")
    (home.folder / "soul.md.new").symlink_to(trap)
    put(home, b"# new\n")
    assert trap.read_text() == "keys" and home.soul.read_text() == "# new\n"


def test_no_link_leads_out_of_the_home(home: AgentHome, tmp_path: Path) -> None:
    private = tmp_path / "private.txt"
    private.write_text("what I earn\n")
    home.soul.unlink()
    (home.folder / "out").symlink_to("..")
    home.soul.symlink_to("out/private.txt")
    assert home.soul.read_text() == "what I earn\n"
    with pytest.raises(Refused, match="leads out of the home"):
        read_soul(home)
    home.soul.unlink()
    home.soul.symlink_to("soul.md")
    with pytest.raises(Refused):
        read_soul(home)


def test_no_pipe_and_nobody_elses_folder(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.folder.chmod(0o777)
    with pytest.raises(Refused, match="everybody may write"):
        put(home, b"x")
    home.folder.chmod(0o700)
    home.soul.unlink()
    os.mkfifo(home.soul)
    with pytest.raises(Refused, match="is no file"):
        read_soul(home)
    home.soul.unlink()
    home.soul.write_text(SOUL)
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(Refused, match="not looked after"):
        check_soul(home)


def test_a_hostile_repository_runs_nothing(home: AgentHome, tmp_path: Path) -> None:
    commit(home.folder)
    ran = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    hooks = home.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_bytes(script.read_bytes())
        (hooks / name).chmod(0o755)
    with (home.folder / ".git" / "config").open("a") as file:
        file.write(
            f'[core]\n\tfsmonitor = {script}\n\tpager = {script}\n\tsshCommand = {script}\n\thooksPath = {hooks}\n'
            f'[alias]\n\tls-tree = !{script}\n\tcat-file = !{script}\n[protocol "ext"]\n\tallow = always\n'
            f'[remote "origin"]\n\turl = ext::{script}\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
            f'[diff "x"]\n\ttextconv = {script}\n[filter "x"]\n\tsmudge = {script}\n'
            "[extensions]\n\tpartialClone = origin\n"
        )  # fmt: skip
    (home.folder / ".gitattributes").write_text("* filter=x diff=x\n")
    assert git.committed(home.soul) == SOUL.encode()
    blob = subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "rev-parse", "HEAD:soul.md"], cwd=home.folder, capture_output=True,
        check=True, env={"PATH": os.environ["PATH"], "GIT_ALLOW_PROTOCOL": "none"},
    ).stdout.decode().strip()  # fmt: skip
    (home.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert git.committed(home.soul) is None, "what is not here is not fetched"
    assert not ran.exists()


class Daemon:
    """As far as a soul needs one."""

    def __init__(self) -> None:
        self.soul: str | None = None
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str) -> Any:
        self.asked.append((path, None))
        if path == "/api/whoami":
            return Body({"agent": "scout@here"})
        if self.soul is None:
            raise NotFound("no soul", code="no_soul")
        return Body({"text": self.soul})

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        if path == "/api/souls":
            self.soul = body["text"]
            return Body({"hash": soul_hash(body["text"]), "changed": True})
        return Body({})


class Body:
    def __init__(self, body: Any) -> None:
        self.body = body


def test_the_colony_is_told_once_and_a_human_where_it_was_broken(home: AgentHome) -> None:
    daemon: Any = Daemon()
    lines: list[str] = []
    log = home.log.read_text()

    def no_daemon() -> Any:
        raise NotRunning("the daemon is not running")

    def after() -> souls.Checked:
        return ensouling.look_after(home, lambda: daemon, lines.append)

    assert not ensouling.look_after(home, no_daemon, lines.append).synced
    assert lines == ["the soul was not told to the Colony: the daemon is not running"]
    lines.clear()
    after()
    after()
    assert [path for path, _ in daemon.asked] == ["/api/souls"] and daemon.soul == SOUL
    daemon.asked.clear()
    assert lines == [] and home.log.read_text() == log
    home.soul.write_bytes(b"")
    assert ensouling.look_after(home, no_daemon, lines.append).restored_from == COPY
    assert "restored from its own copy" in lines[0] and lines[0] in home.log.read_text()
    assert home.soul.read_text() == SOUL
    after()
    after()
    told = {"kind": "soul", "text": lines[0]}
    over = {"kind": "soul", "text": ""}
    assert daemon.asked == [("/api/trouble", told), ("/api/trouble", over)], "once, until the next look at it"


def test_what_goes_on_is_told_once_and_settled_when_it_ends(home: AgentHome) -> None:
    daemon: Any = Daemon()
    home.soul.write_bytes(b"")
    for _ in range(2):
        assert not ensouling.look_after(home, lambda: daemon, lambda _: None).sound
    home.soul.write_text(SOUL)
    for _ in range(2):
        assert ensouling.look_after(home, lambda: daemon, lambda _: None).synced
    texts = [body["text"] for path, body in daemon.asked if path == "/api/trouble"]
    assert texts[1:] == [""] and "is empty" in texts[0]


def test_told_by_hand_it_is_the_owners_alone(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a runner wrote whose starter was killed is no soul; and a home that came along has no .maw yet."""
    daemon: Any = Daemon()
    monkeypatch.setattr(cli, "_door", lambda _: daemon)
    shutil.rmtree(home.own)
    cli.sync(folder=str(home.folder))
    assert daemon.soul == SOUL and ensouling.look_after(home, lambda: daemon, lambda _: None).synced
    guarding.begin(home)
    home.soul.write_text("# the runner's\n")
    cli.sync(folder=str(home.folder))
    assert daemon.soul == home.soul.read_text() == SOUL
    with only_pulse(home):
        for command in (cli.sync, cli.check):
            with pytest.raises(Conflict, match="is running"):
                command(folder=str(home.folder))
