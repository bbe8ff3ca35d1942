"""docs/runbook.md: each trouble is made on two nodes, and the page's commands, typed as they stand, end it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.e2e.lab import wait_until
from tests.e2e.world import put_back

pytestmark = pytest.mark.timeout(180)

PAGE = Path(__file__).parents[2] / "docs/runbook.md"
BLOCK = re.compile(r"^<!-- run on ([\w-]+) -->\n```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUDO = '#!/bin/sh\nexec "$@"\n'
MAW = f'#!/bin/sh\nexec {sys.executable} -m maw.cli.main "$@"\n'
SYSTEMCTL = """\
#!/bin/sh
case "$1 $2" in
  "stop maw") kill -TERM "$(cat "$MAW_HOME/maw.lock")" && exec flock -w 30 "$MAW_HOME/maw.lock" true ;;
  "start maw") maw up >>"$MAW_HOME.log" 2>&1 & ;;
  *) exit 1 ;;
esac
"""
"""A supervisor in five lines: what differs from systemd is not what this page is about."""


def drill(heading: str) -> list[tuple[str, str]]:
    """(host, commands) of each block under a heading, in order."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = BLOCK.findall(section)
    assert found, heading
    return found


class Host:
    def __init__(self, base: Path, name: str) -> None:
        self.name = name
        self.home = base / name
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MAW_")}
        path = f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**kept, "PATH": path, "MAW_HOME": str(self.home)}
        listen = ("--listen", f"127.0.0.1:{free_port()}", "--rest", f"127.0.0.1:{free_port()}")
        self.maw("init", "--name", name, *listen)
        self.start()

    def type(self, commands: str) -> str:
        text = commands.replace("/var/lib/maw", str(self.home)).replace("/media/stick", str(self.home))
        said = self.run(["bash", "-o", "pipefail", "-euc", text])
        if "systemctl start" in commands:
            wait_until(self.answers, f"{self.name} is up: {self.home}.log", 30)
        return said

    def run(self, command: list[str], check: bool = True) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def maw(self, *words: str, check: bool = True) -> str:
        return self.run(["maw", *words], check)

    def ask(self, *words: str) -> Any:
        return json.loads(self.maw(*words, "--json", check=False))

    def answers(self) -> bool:
        return "state" in self.ask("status")

    def start(self) -> None:
        self.type("systemctl start maw")

    def stop(self) -> None:
        self.type("systemctl stop maw")

    def close(self) -> None:
        if "state" in self.ask("status"):
            self.stop()

    def say(self, agent: str, text: str) -> None:
        self.maw("post", "--as", agent, "general", text)

    def texts(self) -> list[str]:
        return [one["text"] for one in self.ask("read", "general", "--limit", "500")]

    def peer(self) -> dict[str, Any]:
        """The other host as it is here now: who was replaced is not shown any more."""
        found = [one for one in self.ask("peers") if one["state"] != "revoked"]
        return found[0] if found else {"state": "none"}

    def alerts(self) -> set[str]:
        return {one["kind"] for one in self.ask("alerts")}


class Pair:
    """oracle-world, which founded the Colony and has neo, and mbp, which it invited, with arthur."""

    def __init__(self, base: Path) -> None:
        (base / "bin").mkdir()
        for name, text in (("sudo", SUDO), ("maw", MAW), ("systemctl", SYSTEMCTL)):
            (base / "bin" / name).write_text(text)
            (base / "bin" / name).chmod(0o755)
        self.base = base
        self.hosts: dict[str, Host] = {}
        for name, agent in (("oracle-world", "neo"), ("mbp", "arthur")):
            self.hosts[name] = Host(base, name)
            self.hosts[name].maw("agent", "add", agent)
        self.oracle, self.mbp = self.hosts.values()
        self.mbp.maw("join", self.oracle.maw("invite").strip())
        self.mbp.say("arthur", "before")
        self.until_level(["before"])

    def type(self, block: tuple[str, str]) -> str:
        name, commands = block
        return self.hosts[name].type(commands)

    def until_level(self, texts: list[str]) -> None:
        """Both show these, each once."""
        for host in self.hosts.values():
            wait_until(
                lambda host=host: sorted(host.texts()) == sorted(texts),  # type: ignore[misc]
                f"{host.name} shows {texts}",
                40,
            )


@pytest.fixture
def pair() -> Iterator[Pair]:
    base = Path(tempfile.mkdtemp(prefix="maw-run-", dir="/tmp"))  # short: a socket's path has little room
    made = None
    try:
        made = Pair(base)
        yield made
    finally:
        for host in made.hosts.values() if made else ():
            host.close()
        shutil.rmtree(base)


def test_a_host_was_stolen(pair: Pair) -> None:
    ((name, commands),) = drill("A host was stolen")
    told = pair.hosts[name].type(commands)
    assert "mbp" in told
    wait_until(lambda: pair.oracle.peer()["state"] != "linked", "the link is gone")
    pair.mbp.maw("post", "--as", "arthur", "general", "says the thief", check=False)
    pair.oracle.say("neo", "among us")
    assert pair.oracle.texts() == ["before", "among us"], "the thief is not heard"
    assert pair.oracle.peer()["state"] != "linked"
    assert "among us" not in pair.mbp.texts(), "and hears nothing"


def test_somebody_has_a_copy(pair: Pair) -> None:
    before = pair.mbp.maw("key").strip()
    (block,) = drill("Somebody has a copy of a host's directory")
    pair.type(block)
    after = pair.mbp.maw("key").strip()
    assert after != before
    wait_until(lambda: pair.oracle.peer()["state"] == "linked", "linked under the new key", 40)
    assert (pair.oracle.peer()["name"], pair.oracle.peer()["key"]) == ("mbp", after)
    pair.mbp.say("arthur", "still me")
    pair.until_level(["before", "still me"])
    assert "sound" in pair.mbp.maw("verify"), "what was said under the old key is whole"


def test_the_database_is_damaged_or_gone(pair: Pair) -> None:
    repair, restore, begin = drill("The database is damaged or gone")
    assert "sound" in pair.type(repair)
    pair.mbp.maw("backup")
    pair.mbp.say("arthur", "after the backup")
    pair.oracle.say("neo", "heard after it")
    said = ["before", "after the backup", "heard after it"]
    pair.until_level(said)

    pair.mbp.stop()
    for suffix in ("", "-wal", "-shm"):
        (pair.mbp.home / f"colony.db{suffix}").unlink(missing_ok=True)
    (pair.mbp.home / "colony.db").write_bytes(b"not a database at all" * 1000)
    pair.type((restore[0], restore[1].replace("sudo systemctl stop maw\n", "")))  # it is down already
    pair.until_level(said)

    pair.type(begin)
    pair.until_level(said)
    pair.mbp.say("arthur", "and on")
    pair.until_level([*said, "and on"])


def test_a_node_forked(pair: Pair) -> None:
    (block,) = drill("A node forked")
    pair.mbp.stop()
    yesterday = pair.base / "yesterday"
    shutil.copytree(pair.mbp.home, yesterday, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    pair.mbp.start()
    pair.mbp.say("arthur", "today")
    pair.until_level(["before", "today"])
    pair.mbp.stop()
    pair.oracle.stop()
    put_back(yesterday, pair.mbp.home)
    pair.mbp.start()
    pair.mbp.say("arthur", "in the dark")
    pair.oracle.start()
    pair.until_level(["before", "today", "in the dark"])
    wait_until(lambda: "own_fork" in pair.mbp.alerts(), "it says what happened")
    assert "own_fork" in pair.type(block)
    assert "own_fork" not in pair.mbp.alerts()


def test_the_disk_is_full(pair: Pair) -> None:
    """Full by its own measure: it is to leave more free than there is."""
    (block,) = drill("The disk is full")
    pair.mbp.stop()
    config = pair.mbp.home / "maw.toml"
    text, count = re.subn(
        r"(?m)^#? *min_free_disk_mib = \d+", "min_free_disk_mib = 1048576", config.read_text()
    )
    assert count == 1
    config.write_text(text)
    pair.mbp.start()
    assert "read-only" in pair.type(block)
    refused = json.loads(pair.mbp.maw("post", "--as", "arthur", "general", "no room", "--json", check=False))
    assert refused["error"]["code"] == "read_only"
    assert pair.mbp.texts() == ["before"], "reading goes on"


def test_an_agent_runs_wild(pair: Pair) -> None:
    stop, go_on = drill("An agent runs wild")
    wait_until(lambda: "arthur@mbp" in pair.oracle.maw("agent", "list"), "oracle knows him")
    assert "arthur@mbp is frozen (it answers itself)" in pair.type(stop)

    def tries() -> str:
        said = pair.mbp.ask("post", "--as", "arthur", "general", "me again")
        return str(said.get("error", {}).get("code", "said"))

    wait_until(lambda: "arthur" in pair.mbp.maw("freeze", check=False), "mbp heard of it")
    assert tries() == "frozen"
    pair.type(go_on)
    wait_until(lambda: tries() == "said", "he may speak again")
