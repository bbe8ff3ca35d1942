"""The acts of the far side, on a made-up host: what is there already, what is refused, what is never done as root."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from maw.agents.birth import acts, ends
from maw.agents.birth.site import Person, Site
from maw.agents.birth.there import answer
from maw.errors import NotFound
from maw.ops.machine import Ran

ME = Person("scout", os.getuid() or 1000, os.getgid(), Path("/nonexistent"), "maw agent scout")


class Made(Site):
    """People and a daemon in memory; commands are noted, and answered by their first word. ``euid`` is not root's, so
    that what is run as somebody is run as us."""

    def __init__(self, folder: Path, **people: Person) -> None:
        super().__init__(1000, {}, system=folder / "node", marks=folder / "opt")
        self.people = people
        self.users: list[dict[str, Any]] = []
        self.posted: list[tuple[str, Any]] = []
        self.ran: list[list[str]] = []
        self.fails: set[str] = set()
        self.sent: list[dict[str, Any]] = []

    def person(self, name: str) -> Person | None:
        return self.people.get(name)

    def daemon(self, speaker: str | None = None) -> Any:
        def post(path: str, body: Any, **_: object) -> Any:
            self.posted.append((path, body))
            return SimpleNamespace(body={"token": "mt1secret", "address": "scout@vault"})

        def get(path: str, **_: object) -> Any:
            if speaker not in [one["username"] for one in self.users]:
                raise NotFound(f"no agent of this host is called {speaker}", code="no_such_agent")
            return SimpleNamespace(body=self.sent)

        return SimpleNamespace(do=lambda _: self.users, post=post, get=get)

    def run(self, command: Sequence[str], **more: Any) -> Ran:
        self.ran.append(list(command))
        if command[0] in self.fails:
            return Ran(1, "", f"{command[0]}: no")
        if command[0] in ("useradd", "usermod", "systemctl", "loginctl", "pkill", "userdel"):
            return Ran(0, "")
        more.pop("as_user", None)
        return super().run(command, **more)


def person(folder: Path, name: str = "scout", comment: str = "maw agent scout", uid: int = 1001) -> Person:
    return Person(name, uid, os.getgid(), folder, comment)


def ask(site: Site, do: str, **asked: Any) -> Any:
    told = answer(site, {"do": do, "agent": "scout", "user": "scout", **asked})
    return told.get("error", told)


def test_an_act_that_is_not_known(tmp_path: Path) -> None:
    assert ask(Made(tmp_path), "format-disk")["code"] == "old_maw"


def test_a_user_that_no_birth_made_is_taken_only_by_wish(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path, comment="Scout Finch"))
    assert ask(site, "user")["code"] == "user_exists"
    assert ask(site, "user", given=True)["done"] is True
    assert ask(Made(tmp_path, scout=person(tmp_path, uid=0)), "user", given=True)["code"] == "daemons_user"
    assert (
        ask(Made(tmp_path, maw=person(tmp_path, "maw")), "user", user="maw", given=True)["code"]
        == "daemons_user"
    )
    assert site.ran == []


def test_a_home_is_made_once_and_kept_as_it_is(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    assert ask(site, "home", dry=True)["done"] is False and not (tmp_path / "agents").exists()
    made = ask(site, "home", soul="# scout\n", tasks="- hello\n", runner=["claude", "-p"])
    home = Path(made["home"])
    assert made["done"] is False and (home / "soul.md").read_text() == "# scout\n"
    (home / "soul.md").write_text("# another\n")
    assert ask(site, "home", soul="# scout\n")["done"] is True
    assert (home / "soul.md").read_text() == "# another\n"


def test_a_dry_run_goes_on_past_the_agent_that_it_did_not_make(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    told = ask(site, "hello", channel="general", dry=True)
    assert told["done"] is False and "introduces itself in #general" in told["said"]
    site.users.append({"username": "scout", "local": True, "uid": 1001, "address": "scout@vault"})
    assert ask(site, "hello", channel="general", dry=True)["done"] is False
    site.sent.append({"channel": "general", "text": "I am scout"})
    assert ask(site, "hello", channel="general", dry=True)["done"] is True
    assert site.ran == [], "and begins no pulse"


def test_each_install_line_once(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    ask(site, "home")
    lines = ["echo one >>did", "test -e ready && echo two >>did", "echo three >>did"]
    failed = ask(site, "install", lines=lines)
    assert failed["code"] == "install_failed" and "test -e ready" in failed["message"]
    home = tmp_path / "agents" / "scout"
    (home / "ready").touch()
    assert ask(site, "install", lines=lines, dry=True)["done"] is False
    assert ask(site, "install", lines=lines)["said"].startswith("2 of 3")
    assert ask(site, "install", lines=lines)["done"] is True
    assert (home / "did").read_text() == "one\ntwo\nthree\n"


def test_a_login_that_is_not_there_says_what_a_human_does(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    told = ask(site, "login", check="echo not logged in >&2; exit 1")
    assert told["done"] is False and told["needs"] == "sudo -iu scout" and "not logged in" in told["said"]
    assert ask(site, "login", check="true")["done"] is True


def test_the_token_is_made_there_and_lies_in_its_home_alone(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    ask(site, "home")
    told = ask(site, "agent", born="mk1x:00:1", about="keeps the vault")
    token = tmp_path / "agents" / "scout" / ".maw" / "token"
    assert token.read_text() == "mt1secret\n" and token.stat().st_mode & 0o777 == 0o600
    assert "mt1secret" not in json.dumps(told) and not any(
        "mt1secret" in " ".join(words) for words in site.ran
    )
    assert site.posted == [
        ("/api/users", {"username": "scout", "uid": 1001, "born": "mk1x:00:1", "about": "keeps the vault"})
    ]
    site.users = [{"local": True, "username": "scout", "uid": 1001, "address": "scout@vault"}]
    assert ask(site, "agent")["done"] is True
    token.unlink()  # killed between the two
    assert ask(site, "agent")["done"] is False and token.exists()
    assert site.posted[-1][0] == "/api/users/scout/token", "no second agent"


def test_an_agent_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    site.users = [{"local": True, "username": "scout", "uid": 1002, "address": "scout@vault"}]
    assert ask(site, "agent")["code"] == "agent_exists" and site.posted == []


def test_a_clone_is_whole_or_not_there(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    site = Made(tmp_path, scout=person(tmp_path))
    ask(site, "home")
    assert ask(site, "repo", url=str(origin))["code"] == "clone_failed"
    target = tmp_path / "agents" / "scout" / "repo"
    assert not target.exists()
    assert Site.here().run(["git", "init", "-q", "--bare", str(origin)]).ok
    (target.with_name("repo.part")).mkdir()  # of a birth that was killed there
    assert ask(site, "repo", url=str(origin))["done"] is False and (target / ".git").is_dir()
    assert ask(site, "repo", url=str(origin))["done"] is True
    assert ask(site, "repo", url=str(tmp_path / "other"))["code"] == "other_repo"


def test_only_a_user_that_a_birth_made_is_deleted(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path, comment="Scout Finch"))
    assert ask(site, "erase", whole=True)["code"] == "user_exists"
    assert site.ran == []
    site.people["scout"] = person(tmp_path)
    assert ask(site, "erase", whole=True, dry=True)["done"] is False and site.ran == []
    assert ask(site, "erase", whole=True)["done"] is False
    assert site.ran[-1] == ["userdel", "--remove", "--", "scout"]
    site.people.clear()
    assert ask(site, "erase", whole=True)["done"] is True


def test_a_home_is_aside_before_any_of_it_is_removed(tmp_path: Path) -> None:
    site = Made(tmp_path, scout=person(tmp_path))
    home, aside = tmp_path / "agents" / "scout", tmp_path / "agents" / ".scout.ended"
    for folder in (home, aside):  # half of an earlier one, of a death that was killed there
        (folder / "memory").mkdir(parents=True)
    assert ask(site, "erase", dry=True)["done"] is False and home.exists()
    assert ask(site, "erase")["done"] is False
    assert not home.exists() and not aside.exists()
    aside.mkdir()
    assert ask(site, "erase")["done"] is False and not aside.exists()
    assert ask(site, "erase")["done"] is True


def test_the_names_of_acts_are_those_that_are_asked_for() -> None:
    """Both sides of a birth and a death ask by name: what is asked for is there."""
    import re

    from maw.agents.birth import bearing, dying
    from maw.agents.birth.there import ACTS

    asked: set[str] = set()
    for module in (bearing, dying):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        asked |= set(re.findall(r"\b(?:_act|_ask|act)\(\s*\"([a-z-]+)\"", text))
    assert asked <= ACTS.keys() and {"node", "agent", "hello", "archive", "erase"} <= asked
    assert acts.COMMENT and ends.SHOWN
