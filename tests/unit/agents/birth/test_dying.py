"""A death: what would be lost is said first, and nothing is deleted before what is kept was read back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from maw.agents.birth import dying, ends
from maw.agents.birth.dying import Death, Ending, verify
from maw.agents.birth.engine import Engine, Told
from maw.agents.birth.far import Here
from maw.agents.birth.journal import opened
from maw.errors import MawError, NotFound, Refused, Unavailable
from maw.ops.machine import Ran
from tests.unit.agents.birth.world import Killed

FILES = {"scout/soul.md": b"# scout\n", "scout/memory/log.md": b"what I learnt\n" * 1000}


def packed(files: Mapping[str, bytes]) -> tuple[bytes, dict[str, str]]:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w|gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return data.getvalue(), {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}


@dataclass
class Body:
    """The far host: what is left of scout there, and what was done, in order. ``kill``: as in `World`."""

    left: set[str] = field(default_factory=lambda: {"timers", "agent", "home"})
    done: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unread: int = 0
    work: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    damage: bool = False
    kill: int | None = None
    calls: int = 0

    name = "vault"

    def moment(self) -> None:
        self.calls += 1
        if self.calls == self.kill:
            raise Killed

    def get(self, path: str, **_: object) -> Any:
        return SimpleNamespace(body=[{"author": "scout@vault", "text": text} for text in self.said])

    def plain(self, script: str, args: Sequence[str] = ()) -> Ran:
        return Ran(0, "")

    def close(self) -> None:
        pass

    def run(
        self, script: str, args: Sequence[str] = (), *, data: bytes = b"", into: IO[bytes] | None = None,
        timeout: float = 1.0,
    ) -> Ran:  # fmt: skip
        self.moment()
        asked = json.loads(data)
        told = self._act(asked, into)
        self.moment()
        line = json.dumps(told)
        return Ran(0, "", line) if into else Ran(0, line)

    def _act(self, asked: dict[str, Any], into: IO[bytes] | None) -> dict[str, Any]:
        do, dry = asked["do"], bool(asked.get("dry"))
        here, away = {"done": False, "said": do}, {"done": True, "said": do}
        if do == "look":
            return {
                **away, "address": "scout@vault" if "agent" in self.left else None, "unread": self.unread,
                "user": "scout", "made_user": True, "home": "/h" if "home" in self.left else None, "work": self.work,
                "timers": [],
            }  # fmt: skip
        if do == "archive":
            assert into is not None
            data, files = packed(self.files)
            into.write(data[: len(data) // 2] if self.damage else data)
            return {**here, "files": files}
        if do == "goodbye":
            if "agent" not in self.left or asked["text"] in self.said:
                return away
            if not dry:
                self.said.append(asked["text"])
            return here
        what = {"quiet": "timers", "gone": "agent", "erase": "home", "node-off": "node"}[do]
        if what not in self.left:
            return away
        if not dry:
            self.left.discard(what)
            self.done.append(what)
        return here


def end(
    body: Body, folder: Path, ending: Ending | None = None, *, dry: bool = False
) -> tuple[Death, list[Told]]:
    with opened(folder, "scout", "death") as journal:
        far: Any = body
        death = Death(
            ending or Ending("scout"), Engine(journal, dry), far, folder, "/usr/bin/python3", far=far
        )
        return death, death.run()


def test_kept_before_it_is_gone(tmp_path: Path) -> None:
    body = Body()
    death, told = end(body, tmp_path)
    assert body.done == ["timers", "agent", "home"] and len(body.said) == 1
    (kept,) = tmp_path.glob("scout-*.tar.gz")
    assert kept.stat().st_mode & 0o777 == 0o600 and death.report(told)["archive"] == str(kept)
    with tarfile.open(kept) as archive:
        assert archive.extractfile("scout/memory/log.md").read() == FILES["scout/memory/log.md"]  # type: ignore[union-attr]


def test_killed_at_each_moment(tmp_path: Path) -> None:
    whole = Body()
    end(whole, tmp_path / "whole")
    for moment in range(1, whole.calls + 1):
        body, folder = Body(kill=moment), tmp_path / str(moment)
        with pytest.raises(Killed):
            end(body, folder)
        if "home" not in body.left:
            assert list(folder.glob("scout-*.tar.gz")), "nothing is deleted before it is kept"
        body.kill = None
        end(body, folder)
        assert body.done == ["timers", "agent", "home"] and len(body.said) == 1, f"killed at moment {moment}"
        assert not list(folder.glob("*.part"))


def test_half_a_home_takes_no_whole_archives_place(tmp_path: Path) -> None:
    """The far host lost its power while it removed the home, or the Unix user: the same again."""
    body = Body()
    end(body, tmp_path / "whole")
    body = Body(kill=body.calls)
    with pytest.raises(Killed):
        end(body, tmp_path)
    (first,) = tmp_path.glob("scout-*.tar.gz")
    body.kill = None
    body.left.add("home")
    del body.files["scout/memory/log.md"]
    death, told = end(body, tmp_path)
    with tarfile.open(first) as archive:
        assert set(archive.getnames()) == set(FILES)
    assert len(list(tmp_path.glob("scout-*.tar.gz"))) == 2 and str(first) in str(death.report(told)["notes"])


def test_what_would_be_lost(tmp_path: Path) -> None:
    for body in (Body(unread=2), Body(work=["repo: 1 not committed: M x"])):
        with pytest.raises(Refused) as refused:
            end(body, tmp_path)
        assert refused.value.code == "not_finished" and body.done == [] == body.said
        death, _ = end(body, tmp_path, dry=True)
        assert "without --force" in death.notes[0] and body.done == []
    end(Body(unread=2), tmp_path, Ending("scout", insist=True))


def test_an_archive_that_did_not_come_whole_ends_it(tmp_path: Path) -> None:
    body = Body(damage=True)
    with pytest.raises(Unavailable) as bad:
        end(body, tmp_path)
    assert bad.value.code == "bad_archive" and body.left >= {"agent", "home"}
    body.damage = False
    end(body, tmp_path)
    assert body.left == set()


def test_a_file_that_is_not_as_it_was_read(tmp_path: Path) -> None:
    data, files = packed(FILES)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    verify(path, files)
    for wrong in ({**files, "scout/soul.md": "0" * 64}, {**files, "scout/more": ""}, {}):
        with pytest.raises(MawError):
            verify(path, wrong)


def test_nobody_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        end(Body(left=set()), tmp_path)


def test_with_its_node_only_when_its_words_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dying, "HEARD_S", 0.0)
    monkeypatch.setattr(dying, "look", lambda far: SimpleNamespace(helper="/opt/maw/bin/python"))
    body = Body(left={"timers", "agent", "home", "node"})
    monkeypatch.setattr(Body, "get", lambda self, path, **_: SimpleNamespace(body=[]))
    ending = Ending("scout", host="vault", node=True)
    with opened(tmp_path, "scout", "death") as journal:
        far: Any = body
        death = Death(
            ending, Engine(journal, False), far, tmp_path, "/usr/bin/python3", connect=lambda _: far
        )
        with pytest.raises(Unavailable) as silent:
            death.run()
    assert silent.value.code == "not_heard" and body.left >= {"agent", "home", "node"}


def test_the_real_archive_of_a_real_home(tmp_path: Path) -> None:
    """Read by the act itself, in a process of its own: links are kept as links, and sockets left out."""
    import pwd
    import socket
    import sys

    home = tmp_path / "agents" / "scout"
    (home / "memory").mkdir(parents=True)
    (home / "memory" / "log.md").write_text("é\n")
    (home / "link").symlink_to("/etc/shadow")
    (home / "with\nnewline").write_text("x")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "s"))
    me = pwd.getpwuid(os.getuid())
    code = (
        "import sys, json; from maw.agents.birth import ends, site, there\n"
        "from pathlib import Path\n"
        f"person = site.Person({me.pw_name!r}, {me.pw_uid}, {me.pw_gid}, Path({str(tmp_path)!r}), '')\n"
        "site.Site.person = lambda self, name: person\n"
        "one = site.Site.here(); one.euid = 1\n"
        "told = there.answer(one, {'do': 'archive', 'agent': 'scout', 'user': 'x'})\n"
        "sys.stderr.write(json.dumps(told) + '\\n')\n"
    )
    target = tmp_path / "kept.tar.gz"
    with target.open("wb") as into:
        ran = Here().run('exec "$1" -c "$2"', [sys.executable, code], into=into)
    files = json.loads(ran.err.splitlines()[-1])["files"]
    assert set(files) == {"scout", "scout/memory", "scout/memory/log.md", "scout/link", "scout/with\nnewline"}
    verify(target, files)
    with tarfile.open(target) as archive:
        assert archive.getmember("scout/link").issym()


def test_work_that_is_nowhere_else(tmp_path: Path) -> None:
    from maw.agents.birth.site import Person, Site

    def git(*words: str, at: Path) -> None:
        ran = Here().run('cd "$1" && shift && git -c user.name=x -c user.email=x@x "$@"', [str(at), *words])
        assert ran.ok, ran.words

    origin, folder = tmp_path / "origin", tmp_path / "scout"
    folder.mkdir()
    git("init", "-q", "--bare", str(origin), at=tmp_path)
    git("clone", "-q", str(origin), "repo", at=folder)
    person = Person("me", os.getuid(), os.getgid(), tmp_path, "")
    site = replace(Site.here(), euid=1)
    assert ends._unsaved(site, person, folder) == []
    (folder / "repo" / "x").write_text("x")
    assert "1 not committed: ?? x" in ends._unsaved(site, person, folder)[0]
    git("add", "x", at=folder / "repo")
    git("commit", "-qm", "mine", at=folder / "repo")
    assert "1 not pushed anywhere" in ends._unsaved(site, person, folder)[0]
    git("push", "-q", "origin", "HEAD", at=folder / "repo")
    assert ends._unsaved(site, person, folder) == []
