"""The examples in the docs, run as they stand: on one node; the README's tour on two with WireGuard."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.e2e.lab import Lab, TestHost, wait_until

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
MAW = str(PROGRAMS / "maw")
BLOCK = re.compile(r"^(?:<!-- run(?: on ([\w-]+))? -->\n)?```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"^<!-- run(?: on ([\w-]+))? -->\n```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAW_")}
    return {**kept, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", **more}


class OneNode:
    """A node on loopback with agents neo and arthur, as the pages assume it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = clean_environment(MAW_HOME=str(home))
        # ports of its own: those that init finds free may be another test's a moment later
        mesh, rest = (f"127.0.0.1:{free_port()}" for _ in range(2))
        init = ["init", "--name", "oracle-world", "--listen", mesh, "--rest", rest, "--json"]
        self.rest = json.loads(self.maw(*init))["rest"]
        self.daemon = self.up()
        for agent in ("neo", "arthur"):
            self.maw("agent", "add", agent)

    def up(self) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            daemon = subprocess.Popen([MAW, "up"], env=self.environment, stderr=log)
        wait_until(self.answers, "the node is up", 20)
        return daemon

    def answers(self) -> bool:
        status = [MAW, "status"]
        return subprocess.run(status, env=self.environment, capture_output=True, check=False).returncode == 0

    def maw(self, *words: str) -> str:
        return self.run(["maw", *words])

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def script(self, blocks: list[str]) -> str:
        """All in one shell, which ends at the first that fails; the REST port is this node's."""
        text = "\n".join(["set -eu", *blocks]).replace("127.0.0.1:6291", self.rest)
        return self.run(["bash", "-o", "pipefail", "-c", text])

    def close(self) -> None:
        self.daemon.terminate()
        assert self.daemon.wait(20) == 0, (self.home / "log").read_text()


@pytest.fixture
def node() -> Iterator[OneNode]:
    base = Path(tempfile.mkdtemp(prefix="maw-docs-", dir="/tmp"))
    made = None
    try:
        made = OneNode(base / "n")
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(base)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl: apt-get install -y curl")
def test_the_examples_of_the_api(node: OneNode) -> None:
    node.maw("send", "--as", "neo", "@arthur", "for the inbox")
    blocks = [block for _, block in BLOCK.findall(page("docs/api.md"))]
    assert len(blocks) >= 6
    answers = node.script(blocks)
    assert '"error"' not in answers
    assert "hello, @arthur" in answers
    assert "maw_messages" in answers


def test_an_agent_is_brought_to_life_as_the_page_says(node: OneNode) -> None:
    node.environment["HOME"] = str(node.home)  # where ~/agents is
    said = node.script([block for _, block in MARKED.findall(page("docs/life.md"))])
    assert "PULSE scout: 1 message handed over, 1 message sent" in said
    assert "yes, I am" in said
    assert said.splitlines()[-1] == "HEARTBEAT_OK scout, nothing to do"


@pytest.mark.parametrize("name", ["docs/agents.md", "docs/operations.md"])
def test_the_examples_of_a_page(node: OneNode, name: str) -> None:
    blocks = [block for _, block in MARKED.findall(page(name))]
    assert blocks
    node.script(blocks)


def test_what_the_agents_page_does_is_what_it_says(node: OneNode) -> None:
    saying, listening, sensing = (block for _, block in MARKED.findall(page("docs/agents.md")))
    node.script([saying])
    heard: list[dict[str, Any]] = json.loads(node.maw("inbox", "--as", "neo", "--json"))
    assert [message["why"] for message in heard] == ["direct", "mention", "direct", "direct"]
    node.script([listening, sensing])
    (reading,) = json.loads(node.maw("read", "air", "--json"))
    assert (reading["author_name"], reading["intent"]) == ("arthur", "inform")
    inbox = subprocess.run(
        [MAW, "inbox", "--as", "neo"], env=node.environment, capture_output=True, check=False
    )
    assert inbox.returncode == 1


def test_a_backup_made_as_the_page_says_can_be_put_back(node: OneNode) -> None:
    for number in range(3):
        node.maw("post", "--as", "neo", "general", f"number {number}")
    node.script([block for _, block in MARKED.findall(page("docs/operations.md"))])
    node.maw("post", "--as", "neo", "general", "after the backup")
    node.close()
    (backup,) = (path for path in (node.home / "backups").iterdir() if path.is_dir())
    node.maw("restore", str(backup), "--force")
    node.daemon = node.up()
    texts = [message["text"] for message in json.loads(node.maw("read", "general", "--json"))]
    assert texts == ["number 0", "number 1", "number 2"]
    node.maw("post", "--as", "neo", "general", "and on")
    alert = "older than what this node has already said"
    wait_until(lambda: alert in node.maw("status"), "the restored database was noticed")


class TourHost:
    """A host of the lab on which the README's lines are typed."""

    def __init__(self, host: TestHost, home: Path) -> None:
        self._host = host
        self._home = home
        home.mkdir()
        self.environment = clean_environment(HOME=str(home))

    def type(self, block: str, invite: str) -> str:
        """Run a block in a shell. What needs systemd is done as the page says one can: by `maw up`."""
        said = ""
        block = block.replace("maw-invite-1:…", invite).replace("pipx install", ": pipx install")
        before, service, after = block.partition("maw service install\n")
        for part in (before, after):
            if part:
                said += self._shell(part)
            if service and part is before:
                self._up()
        return said

    def _up(self) -> None:
        self._host.popen([MAW, "up"], environment=self.environment, log=self._home / "log")
        wait_until(lambda: self._status() == 0, f"the node is up: {self._home / 'log'}", 20)

    def _status(self) -> int:
        status = [MAW, "status"]
        return self._host.run(status, check=False, environment=self.environment).returncode

    def _shell(self, text: str) -> str:
        command = ["bash", "-o", "pipefail", "-euc", text]
        return self._host.run(command, environment=self.environment, timeout=60).stdout

    def ask(self, *words: str) -> Any:
        done = self._host.run([MAW, *words, "--json"], check=False, environment=self.environment)
        return json.loads(done.stdout)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's: pytest's own is too long for that."""
    with tempfile.TemporaryDirectory(prefix="maw-tour-", dir="/tmp") as path:
        yield Path(path)


@pytest.mark.root
def test_the_tour_of_the_readme_on_two_hosts(lab: Callable[[int], Lab], short_path: Path) -> None:
    two = lab(2)
    two.wait_for_mesh()
    hosts = {
        name: TourHost(host, short_path / name)
        for name, host in zip(("oracle-world", "mbp"), two.hosts, strict=True)
    }
    blocks = MARKED.findall(page("README.md"))
    assert {name for name, _ in blocks} == set(hosts)
    invite, read = "", ""
    for name, block in blocks:
        reads = "maw inbox --as neo" in block
        if reads:  # a reader is slower than the link; we are not
            wait_until(lambda: len(hosts["oracle-world"].ask("mentions", "neo")) == 1, "the mention is there")
        said = hosts[name].type(block, invite)
        read = said if reads else read
        if found := re.search(r"^maw-invite-1:\S+$", said, re.MULTILINE):
            invite = found[0]
    assert read.count("moving to #general, @neo") == 4  # inbox, read, and twice over REST
    assert "0.42, and rising" in read
    assert "all sound" in said
    assert [message["author"] for message in hosts["oracle-world"].ask("inbox", "--as", "neo")] == [
        "arthur@mbp"
    ] * 2
    assert hosts["mbp"].ask("inbox", "--as", "arthur") == []
