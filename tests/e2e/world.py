"""Real daemons that know each other, all that they ever acknowledged, and ways to send them back in time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import MakeHome, free_port
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until

LOSABLE = ("colony.db", "colony.db-wal", "colony.db-shm")


class World:
    """mbp and oracle, and whoever else is named; ``acknowledged``: every post that a daemon took."""

    def __init__(self, make_home: MakeHome, tmp_path: Path, *more: str) -> None:
        self.daemons = [Daemon(make_home(name).path) for name in ("mbp", "oracle", *more)]
        self.mbp, self.oracle = self.daemons[:2]
        self.tmp_path = tmp_path
        self.acknowledged: list[str] = []
        self.started: list[Daemon] = list(self.daemons)

    def pair(self) -> None:
        """mbp invites the others; each has an agent: arthur, neo, …"""
        agents = dict(zip(self.daemons, ("arthur", "neo", "trinity", "morpheus"), strict=False))
        for daemon, agent in agents.items():
            daemon.start()
            daemon.maw("agent", "add", agent)
        for daemon in self.daemons[1:]:
            daemon.maw("join", json.loads(self.mbp.maw("invite", "--json"))["line"])
        self.linked(*self.daemons)
        for daemon in self.daemons:
            wait_until(lambda d=daemon: set(agents.values()) <= users(d), "all know each other", 60)  # type: ignore[misc]

    def say(self, daemon: Daemon, text: str, agent: str = "owner") -> None:
        status, said = daemon.ask("POST", "/api/channels/general/messages", {"text": text}, agent=agent)
        assert status == 201, said
        self.acknowledged.append(text)

    def mail(self, daemon: Daemon, to: str, text: str, agent: str) -> None:
        status, said = daemon.ask("POST", "/api/direct", {"to": to, "text": text}, agent=agent)
        assert status == 201, said

    def linked(self, *daemons: Daemon) -> None:
        for daemon in daemons:
            wait_until(lambda d=daemon: "linked" in states(d), f"{daemon.home.name} is linked", 60)  # type: ignore[misc]

    def check(self, *daemons: Daemon) -> None:
        expected = sorted(self.acknowledged)
        assert len(expected) == len(set(expected))
        for daemon in daemons or self.daemons:
            wait_until(
                lambda d=daemon: sorted(texts(d)) == expected,  # type: ignore[misc]
                f"{daemon.home.name} has all that was acknowledged, once: {daemon.log.read_text()[-2000:]}",
                90,
            )
            assert not [item for item in daemon.channel() if item["disputed"]]
            assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()

    def stop(self, *daemons: Daemon) -> None:
        for daemon in daemons or self.daemons:
            assert daemon.stop() == 0

    def start(self, *daemons: Daemon) -> None:
        for daemon in daemons or self.daemons:
            daemon.start()

    def copy(self, daemon: Daemon, name: str) -> Path:
        """Its directory as it is now."""
        return Path(shutil.copytree(daemon.home, self.tmp_path / name, ignore=_sockets))


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def put_back(copy: Path, home: Path, *, only: tuple[str, ...] | None = None) -> None:
    """Every byte as it was, in the very files that are there: to the node nothing has changed since."""
    for path in home.iterdir():
        if path.is_file() and not (copy / path.name).exists() and (only is None or path.name in only):
            path.unlink()
    for path in copy.iterdir():
        if only is None or path.name in only:
            (home / path.name).write_bytes(path.read_bytes())


def states(daemon: Daemon) -> set[str]:
    return {peer["state"] for peer in daemon.ask("GET", "/api/peers")[1]}


def users(daemon: Daemon) -> set[str]:
    return {user["username"] for user in daemon.ask("GET", "/api/users")[1]}


def texts(daemon: Daemon) -> list[str]:
    return [item["text"] for item in daemon.channel()]


def inbox(daemon: Daemon, agent: str) -> list[str]:
    return [item["text"] for item in daemon.ask("GET", "/api/inbox?limit=500", agent=agent)[1]]


def told(daemon: Daemon, kind: str) -> str:
    """The text of an alert, once it is in ``maw status``."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        alerts = daemon.ask("GET", "/api/status")[1]["alerts"]
        found[:] = [item for item in alerts if item["kind"] == kind]
        return bool(found)

    wait_until(look, f"{daemon.home.name} says {kind}: {daemon.log.read_text()[-2000:]}", 60)
    assert found[0]["text"] in " ".join(daemon.maw("status").split()) or kind in daemon.maw("status")
    return str(found[0]["text"])


def other_ports(home: Path) -> None:
    text = (home / "maw.toml").read_text()
    for port in dict.fromkeys(re.findall(r"127\.0\.0\.1:(\d+)", text)):
        text = text.replace(f":{port}", f":{free_port()}")
    (home / "maw.toml").write_text(text)
